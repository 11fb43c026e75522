//! The sums over the circuits of a keyed breaker.

use crate::layers::breaker::circuit::Circuit;
use crate::layers::breaker::counters::Counters;
use crate::layers::breaker::snapshot::CircuitState;

/// The sums over all circuits.
#[derive(Debug, Default)]
pub(super) struct Sums {
    pub(super) circuits: u64,
    states: [u64; CircuitState::ALL.len()],
    pub(super) kept_closed: u64,
    pub(super) evicted: u64,
    pub(super) counters: Counters,
}

impl Sums {
    /// Starts with the counts of evicted circuits.
    pub(super) fn new(counters: Counters) -> Self {
        Self { counters, ..Self::default() }
    }

    pub(super) fn add(&mut self, circuit: &Circuit) {
        let (counters, (state, kept_closed)) =
            circuit.machine.counters(|core| (core.state(), core.is_kept_closed()));
        self.circuits += 1;
        self.states[state as usize] += 1;
        self.kept_closed += u64::from(kept_closed);
        self.counters.add(&counters);
    }

    pub(super) fn in_state(&self, state: CircuitState) -> u64 {
        self.states[state as usize]
    }

    pub(super) fn broken(&self) -> u64 {
        let refusing = [CircuitState::Open, CircuitState::HalfOpen, CircuitState::ForcedOpen];
        refusing.iter().map(|state| self.in_state(*state)).sum::<u64>() + self.kept_closed
    }
}
