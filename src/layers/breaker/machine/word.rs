//! The word of a circuit: its epoch and state in one number, so that a closed circuit admits a call with a single load.

use std::time::Duration;

use crate::base::error::RejectReason;
use crate::layers::breaker::snapshot::CircuitState;

/// The bits of the word with the state.
pub(super) const STATE: u64 = 0b111;
/// The bit of the word that is set if calls are timed. The higher bits are the epoch.
const TIMED: u64 = 0b1000;
pub(super) const EPOCH_SHIFT: u32 = 4;

/// No word has this value.
pub(super) const NO_WORD: u64 = u64::MAX;

/// An admission: the word at that time, with its epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::layers::breaker) struct Admission(pub(super) u64);

/// Why a call is not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::layers::breaker) struct Refusal {
    pub(in crate::layers::breaker) reason: RejectReason,
    pub(in crate::layers::breaker) retry_after: Option<Duration>,
}

impl Admission {
    /// Whether the call is a probe of a half-open circuit.
    pub(in crate::layers::breaker) fn is_probe(self) -> bool {
        self.0 & STATE == CircuitState::HalfOpen as u64
    }

    /// Whether the call is timed.
    #[inline]
    pub(in crate::layers::breaker) fn is_timed(self) -> bool {
        self.0 & TIMED != 0
    }
}

/// Whether a circuit with this word admits every call.
pub(super) fn passes(word: u64) -> bool {
    const PASSING: u64 = 1 << CircuitState::Closed as u64
        | 1 << CircuitState::Disabled as u64
        | 1 << CircuitState::MetricsOnly as u64;
    PASSING >> (word & STATE) & 1 != 0
}

pub(super) fn word(epoch: u64, state: CircuitState, timed: bool) -> u64 {
    epoch << EPOCH_SHIFT | if timed { TIMED } else { 0 } | state as u64
}
