//! The permit of a call, released on drop.

use std::fmt;
use std::sync::Arc;
#[cfg(feature = "http")]
use std::time::Duration;

use super::circuit::Circuit;
use super::machine::Admission;
use crate::base::clock::{self, Tick};
use crate::base::error::Rejected;
use crate::base::outcome::{FailureKind, Outcome, Settle, is_timing_out, is_waiting_for_caller};

/// The right to make one call. Its drop releases it, unused or with the outcome of the call.
pub struct Permit {
    circuit: Arc<Circuit>,
    admission: Admission,
    /// The start of the call. Without a slow-call limit: its first pending poll, or 0 before that.
    since: Tick,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The call has not started.
    Reserved,
    /// The call waits for its next poll.
    Waiting,
    /// Its code is running.
    Running,
    /// Its outcome is known.
    Settled,
}

impl Permit {
    /// A permit for a call that may come.
    pub(super) fn reserve(circuit: Arc<Circuit>, admission: Admission) -> Self {
        Self { circuit, admission, since: Tick::default(), phase: Phase::Reserved }
    }

    /// A permit for a call that starts now, if the circuit has not changed since its admission.
    #[inline(always)]
    pub(super) fn running(circuit: Arc<Circuit>, admission: Admission) -> Self {
        let since = if admission.is_timed() { clock::now() } else { Tick::default() };
        Self { circuit, admission, since, phase: Phase::Running }
    }

    /// A permit for a call that starts now.
    #[inline(always)]
    pub(super) fn begin(circuit: Arc<Circuit>) -> Result<Self, Box<Rejected>> {
        match circuit.machine.pass() {
            Some(admission) => Ok(Self::running(circuit, admission)),
            None => Self::begin_slowly(&circuit),
        }
    }

    #[cold]
    fn begin_slowly(circuit: &Arc<Circuit>) -> Result<Self, Box<Rejected>> {
        loop {
            let admission = circuit.admit().map_err(|refusal| circuit.refuse(refusal))?;
            if let Some(permit) = Self::reserve(Arc::clone(circuit), admission).start() {
                return Ok(permit);
            }
        }
    }

    /// Starts the call, whose code runs until [`Settle::in_user_code`] is called with `false`. `None` if the circuit has
    /// changed since the permit was given; then the permit is void.
    #[inline]
    pub(super) fn start(mut self) -> Option<Self> {
        if !self.circuit.machine.start(self.admission, clock::now) {
            return None;
        }
        self.phase = Phase::Running;
        if self.admission.is_timed() {
            self.since = clock::now();
        }
        Some(self)
    }
}

impl Settle for Permit {
    #[inline(always)]
    fn settle(&mut self, outcome: Outcome) {
        self.phase = Phase::Settled;
        if self.admission.is_timed() {
            self.circuit.settle_timed(self.admission, outcome, self.since);
        } else {
            self.circuit.settle(self.admission, outcome);
        }
    }

    #[inline(always)]
    fn in_user_code(&mut self, running: bool) {
        self.phase = if running { Phase::Running } else { Phase::Waiting };
    }

    fn pending(&mut self) {
        if self.since == Tick::default() {
            self.since = clock::now();
        }
    }

    #[cfg(feature = "http")]
    fn stall_limit(&self) -> Option<Duration> {
        self.circuit.cancelled_after()
    }
}

impl Drop for Permit {
    #[inline]
    fn drop(&mut self) {
        if self.phase != Phase::Settled {
            self.abandoned();
        }
    }
}

impl Permit {
    #[cold]
    fn abandoned(&mut self) {
        let outcome = match self.phase {
            Phase::Reserved => return self.circuit.release(self.admission),
            Phase::Running => Outcome::Failure(FailureKind::Panic),
            _ if is_waiting_for_caller() => Outcome::Ignored,
            _ if is_timing_out() => Outcome::Failure(FailureKind::Timeout),
            Phase::Waiting | Phase::Settled => {
                let ran = clock::now().since(self.since);
                match self.circuit.cancelled_after() {
                    Some(limit) if self.since != Tick::default() && ran > limit => {
                        Outcome::Failure(FailureKind::Cancelled)
                    }
                    _ => Outcome::Ignored,
                }
            }
        };
        if self.since == Tick::default() {
            self.circuit.settle(self.admission, outcome);
        } else {
            self.circuit.settle_timed(self.admission, outcome, self.since);
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("circuit", &self.circuit.name)
            .field("phase", &self.phase)
            .finish_non_exhaustive()
    }
}
