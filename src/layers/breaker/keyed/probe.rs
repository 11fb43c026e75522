//! A check for each key that decides when its open circuit becomes half-open.

use std::fmt;
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::key::Key;
use crate::layers::breaker::health_probe::{Answer, HealthProbe};

/// Maximum number of running checks of a keyed breaker; the others wait for their turn.
const AT_ONCE: usize = 64;

type Check<K> = dyn Fn(K) -> Answer + Send + Sync;

/// The check of all keys.
pub(super) struct KeyedProbe<K> {
    check: Arc<Check<K>>,
    turns: Arc<Semaphore>,
}

impl<K: Key> KeyedProbe<K> {
    pub(super) fn new(check: impl Fn(K) -> Answer + Send + Sync + 'static) -> Self {
        Self { check: Arc::new(check), turns: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// The check of one key.
    pub(super) fn of(&self, key: &K) -> HealthProbe {
        let (check, key) = (Arc::clone(&self.check), key.clone());
        HealthProbe::new(move || check(key.clone()), Some(Arc::clone(&self.turns)))
    }
}

/// The same check for another breaker, whose checks have their own turns.
impl<K> Clone for KeyedProbe<K> {
    fn clone(&self) -> Self {
        Self { check: Arc::clone(&self.check), turns: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl<K> fmt::Debug for KeyedProbe<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedProbe").finish_non_exhaustive()
    }
}
