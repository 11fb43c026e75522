//! Whether the store is known to be away.
//!
//! Callers wait for each letter. Once a store has not answered, the next ones do not wait for it again until somebody
//! has tried, and the tries become rarer. It is the drainer that tries; a caller does only where none seems to run.

use std::time::Duration;

use crate::base::clock::{self, Tick};
use crate::base::sync::Mutex;
use crate::store::{SpillReason, StoreError};

/// The time until the first try after a failure; each one that fails doubles it.
const FIRST: Duration = Duration::from_millis(100);

/// The time between two tries does not grow beyond this.
pub(super) const LONGEST: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(super) struct Circuit(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Grows at each change: of those that tried at the same time, the first one decides.
    generation: u64,
    away: Option<Away>,
}

#[derive(Debug)]
struct Away {
    why: SpillReason,
    error: StoreError,
    /// When somebody may try again.
    until: Tick,
    wait: Duration,
}

/// The right to try the store.
#[derive(Clone, Copy, Debug)]
pub(super) struct Try(u64);

impl Circuit {
    /// Whether a caller may try the store; if not, why not.
    pub(super) fn admit_caller(&self, patience: Duration) -> Result<Try, (SpillReason, StoreError)> {
        let mut state = self.0.lock();
        let generation = state.generation;
        if let Some(away) = &mut state.away {
            let now = clock::now();
            if now < away.until + away.wait {
                return Err((away.why, away.error.again()));
            }
            away.until = now + away.wait.max(patience);
        }
        Ok(Try(generation))
    }

    /// Whether the drainer may try the store.
    pub(super) fn admit_drainer(&self, patience: Duration) -> Option<Try> {
        let mut state = self.0.lock();
        let generation = state.generation;
        if let Some(away) = &mut state.away {
            let now = clock::now();
            if now < away.until {
                return None;
            }
            away.until = now + away.wait.max(patience);
        }
        Some(Try(generation))
    }

    pub(super) fn is_closed(&self) -> bool {
        self.0.lock().away.is_none()
    }

    /// How long the drainer has to wait for its next try.
    pub(super) fn wait(&self) -> Duration {
        self.0.lock().away.as_ref().map_or(Duration::ZERO, |away| away.until.since(clock::now()))
    }

    /// The store has answered; tells whether it was away.
    pub(super) fn answered(&self) -> bool {
        let mut state = self.0.lock();
        let was_away = state.away.take().is_some();
        state.generation += u64::from(was_away);
        was_away
    }

    /// The store has failed; tells whether it is the first failure of a row.
    pub(super) fn failed(&self, Try(generation): Try, why: SpillReason, error: &StoreError) -> bool {
        let mut state = self.0.lock();
        if state.generation != generation {
            return false;
        }
        state.generation += 1;
        let (wait, first) = match &state.away {
            Some(away) => ((away.wait * 2).min(LONGEST), false),
            None => (FIRST, true),
        };
        state.away = Some(Away { why, error: error.again(), until: clock::now() + wait, wait });
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    const PATIENCE: Duration = Duration::from_millis(1);

    fn fail(circuit: &Circuit, at: Try) -> bool {
        circuit.failed(at, SpillReason::Error, &StoreError::other("away"))
    }

    #[tokio::test(start_paused = true)]
    async fn failures_of_one_moment_are_one_and_tries_become_rarer() {
        let circuit = Circuit::default();
        let tries: Vec<Try> = (0..50).map(|_| circuit.admit_caller(PATIENCE).unwrap()).collect();
        let first = tries.into_iter().filter(|at| fail(&circuit, *at)).count();
        assert_eq!(first, 1);
        let mut waits = Vec::new();
        for _ in 0..10 {
            assert!(circuit.admit_drainer(PATIENCE).is_none());
            let wait = circuit.wait();
            waits.push(wait.as_millis());
            advance(wait).await;
            let at = circuit.admit_drainer(PATIENCE).unwrap();
            assert!(circuit.admit_drainer(PATIENCE).is_none(), "one at a time");
            assert!(!fail(&circuit, at));
        }
        assert_eq!(waits, [100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000, 10_000]);
        assert!(circuit.answered() && !circuit.answered());
        assert!(circuit.admit_caller(PATIENCE).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_tries_only_where_no_drainer_did() {
        let circuit = Circuit::default();
        let at = circuit.admit_caller(PATIENCE).unwrap();
        fail(&circuit, at);
        advance(FIRST).await;
        assert!(circuit.admit_caller(PATIENCE).is_err(), "it is the drainer's turn");
        advance(FIRST).await;
        assert!(circuit.admit_caller(PATIENCE).is_ok());
        assert!(circuit.admit_caller(PATIENCE).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_from_before_the_answer_says_nothing() {
        let circuit = Circuit::default();
        let early = circuit.admit_caller(PATIENCE).unwrap();
        fail(&circuit, circuit.admit_caller(PATIENCE).unwrap());
        circuit.answered();
        fail(&circuit, early);
        assert!(circuit.is_closed());
    }
}
