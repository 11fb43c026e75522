//! Whether the store is known to fail.
//!
//! Callers wait until their letter is parked. After the store has failed, they do not ask it again until an attempt has
//! succeeded; the time between attempts grows. The drainer makes the attempts. A caller makes one only if the drainer seems
//! not to run.

use std::time::Duration;

use crate::base::clock::{self, Tick};
use crate::base::sync::Mutex;
use crate::store::{SpillReason, StoreError};

/// The time until the first attempt after a failure. Each further failure doubles it.
const FIRST: Duration = Duration::from_millis(100);

/// The longest time between two attempts.
pub(super) const LONGEST: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(super) struct Circuit(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Grows with each change, so that of attempts at the same time only the first result counts.
    generation: u64,
    /// The current outage. `None` while the store answers.
    outage: Option<Outage>,
}

#[derive(Debug)]
struct Outage {
    why: SpillReason,
    error: StoreError,
    next_attempt: Tick,
    wait: Duration,
}

/// The permission to ask the store.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt(u64);

impl Circuit {
    /// Allows a caller to ask the store, or returns the failure of the outage. No other attempt starts within `timeout`.
    pub(super) fn admit_caller(&self, timeout: Duration) -> Result<Attempt, (SpillReason, StoreError)> {
        let mut state = self.0.lock();
        let generation = state.generation;
        if let Some(outage) = &mut state.outage {
            let now = clock::now();
            if now < outage.next_attempt + outage.wait {
                return Err((outage.why, outage.error.duplicate()));
            }
            outage.next_attempt = now + outage.wait.max(timeout);
        }
        Ok(Attempt(generation))
    }

    /// Allows the drainer to ask the store. No other attempt starts within `timeout`.
    pub(super) fn admit_drainer(&self, timeout: Duration) -> Option<Attempt> {
        let mut state = self.0.lock();
        let generation = state.generation;
        if let Some(outage) = &mut state.outage {
            let now = clock::now();
            if now < outage.next_attempt {
                return None;
            }
            outage.next_attempt = now + outage.wait.max(timeout);
        }
        Some(Attempt(generation))
    }

    pub(super) fn is_closed(&self) -> bool {
        self.0.lock().outage.is_none()
    }

    /// The time until the next attempt of the drainer.
    pub(super) fn wait(&self) -> Duration {
        self.0.lock().outage.as_ref().map_or(Duration::ZERO, |outage| outage.next_attempt.since(clock::now()))
    }

    /// Records that the store answered. Returns whether this ends an outage.
    pub(super) fn answered(&self) -> bool {
        let mut state = self.0.lock();
        let was_outage = state.outage.take().is_some();
        state.generation += u64::from(was_outage);
        was_outage
    }

    /// Records that the store failed. Returns whether this begins an outage.
    pub(super) fn failed(&self, Attempt(generation): Attempt, why: SpillReason, error: &StoreError) -> bool {
        let mut state = self.0.lock();
        if state.generation != generation {
            return false;
        }
        state.generation += 1;
        let (wait, first) = match &state.outage {
            Some(outage) => ((outage.wait * 2).min(LONGEST), false),
            None => (FIRST, true),
        };
        state.outage =
            Some(Outage { why, error: error.duplicate(), next_attempt: clock::now() + wait, wait });
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    const TIMEOUT: Duration = Duration::from_millis(1);

    fn fail(circuit: &Circuit, attempt: Attempt) -> bool {
        circuit.failed(attempt, SpillReason::Error, &StoreError::other("outage"))
    }

    #[tokio::test(start_paused = true)]
    async fn simultaneous_failures_count_once_and_attempts_become_rarer() {
        let circuit = Circuit::default();
        let attempts: Vec<Attempt> = (0..50).map(|_| circuit.admit_caller(TIMEOUT).unwrap()).collect();
        let first = attempts.into_iter().filter(|attempt| fail(&circuit, *attempt)).count();
        assert_eq!(first, 1);
        let mut waits = Vec::new();
        for _ in 0..10 {
            assert!(circuit.admit_drainer(TIMEOUT).is_none());
            let wait = circuit.wait();
            waits.push(wait.as_millis());
            advance(wait).await;
            let attempt = circuit.admit_drainer(TIMEOUT).unwrap();
            assert!(circuit.admit_drainer(TIMEOUT).is_none(), "one at a time");
            assert!(!fail(&circuit, attempt));
        }
        assert_eq!(waits, [100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000, 10_000]);
        assert!(circuit.answered() && !circuit.answered());
        assert!(circuit.admit_caller(TIMEOUT).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_makes_an_attempt_only_if_the_drainer_did_not() {
        let circuit = Circuit::default();
        let attempt = circuit.admit_caller(TIMEOUT).unwrap();
        fail(&circuit, attempt);
        advance(FIRST).await;
        assert!(circuit.admit_caller(TIMEOUT).is_err(), "it is the drainer's turn");
        advance(FIRST).await;
        assert!(circuit.admit_caller(TIMEOUT).is_ok());
        assert!(circuit.admit_caller(TIMEOUT).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_from_before_an_answer_is_ignored() {
        let circuit = Circuit::default();
        let early = circuit.admit_caller(TIMEOUT).unwrap();
        fail(&circuit, circuit.admit_caller(TIMEOUT).unwrap());
        circuit.answered();
        fail(&circuit, early);
        assert!(circuit.is_closed());
    }
}
