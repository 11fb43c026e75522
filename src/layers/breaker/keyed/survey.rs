//! The sums over all circuits.

use crate::layers::breaker::circuit::Circuit;
use crate::layers::breaker::snapshot::CircuitState;
use crate::layers::breaker::tally::Tally;

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Survey {
    pub(super) circuits: u64,
    states: [u64; CircuitState::ALL.len()],
    pub(super) kept_closed: u64,
    pub(super) evicted: u64,
    pub(super) tally: Tally,
}

impl Survey {
    /// Starts with the counts of circuits that are gone.
    pub(super) fn new(tally: Tally) -> Self {
        Self { tally, ..Self::default() }
    }

    pub(super) fn add(&mut self, circuit: &Circuit) {
        let (tally, (state, kept_closed)) =
            circuit.machine.tally(|core| (core.state(), core.is_kept_closed()));
        self.circuits += 1;
        self.states[state as usize] += 1;
        self.kept_closed += u64::from(kept_closed);
        self.tally.add(&tally);
    }

    pub(super) fn in_state(&self, state: CircuitState) -> u64 {
        self.states[state as usize]
    }

    pub(super) fn broken(&self) -> u64 {
        let refusing = [CircuitState::Open, CircuitState::HalfOpen, CircuitState::ForcedOpen];
        refusing.iter().map(|state| self.in_state(*state)).sum::<u64>() + self.kept_closed
    }
}
