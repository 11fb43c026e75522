//! The parts of a program by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::OnceCell;

use super::dependency::Dependency;
use super::server::Server;
use crate::base::error::ConfigError;
use crate::dead_letter::DeadLetterQueue;
use crate::health::CheckHandle;
use crate::worker::Worker;

/// The maximum number of parts of one kind: names are chosen in code, not by callers.
const MOST: usize = 1_000;

#[derive(Default)]
pub(super) struct Parts {
    pub(super) servers: Named<Server>,
    pub(super) dependencies: Named<Dependency>,
    pub(super) workers: Named<Worker>,
    /// The checks of dependencies.
    pub(super) checks: Vec<CheckHandle>,
}

/// Parts of one kind.
pub(super) struct Named<T>(BTreeMap<Arc<str>, Slot<T>>);

/// The place of a part. Tasks that build it at the same time wait for the first of them.
pub(super) type Slot<T> = Arc<OnceCell<T>>;

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T: Clone> Named<T> {
    /// All that are built.
    pub(super) fn all(&self) -> Vec<T> {
        self.0.values().filter_map(|slot| slot.get().cloned()).collect()
    }

    /// Returns the place of the part with this name.
    ///
    /// # Errors
    /// When there are too many.
    pub(super) fn slot(&mut self, name: &Arc<str>) -> Result<Slot<T>, ConfigError> {
        if self.0.len() >= MOST && !self.0.contains_key(name) {
            return Err(ConfigError::because(
                "name",
                format_args!("`{name}`"),
                "there are 1,000 of this kind already; names must not be made from requests",
            ));
        }
        Ok(Arc::clone(self.0.entry(Arc::clone(name)).or_default()))
    }
}

impl Parts {
    /// All queues of dead letters.
    pub(super) fn queues(&self) -> Vec<DeadLetterQueue> {
        let mut queues: Vec<_> =
            self.dependencies.all().iter().filter_map(|dependency| dependency.letters().cloned()).collect();
        queues.extend(self.workers.all().iter().map(|worker| worker.letters().clone()));
        queues
    }
}
