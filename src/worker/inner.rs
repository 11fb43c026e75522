//! The state that the clones of a handle share.

use std::fmt;
use std::sync::Arc;

use super::control::Controls;
use super::errors::{ErrorBook, RecordedError};
use super::event_counts::EventCounts;
use super::failure::Failure;
use super::failure_log::FailureLog;
use super::item_counts::ItemCounts;
use super::operation::Operation;
use super::table::Table;
use super::task_state::TaskState;
use super::texts::Texts;
use super::watch::WorkerVital;
use crate::dead_letter::DeadLetterQueue;
#[cfg(feature = "breaker")]
use crate::layers::breaker::CircuitBreaker;
#[cfg(feature = "retry")]
use crate::layers::retry::Retry;

/// See the [module](self).
pub(super) struct Inner {
    pub(super) name: Arc<str>,
    pub(super) letters: DeadLetterQueue,
    #[cfg(feature = "retry")]
    pub(super) retry: Option<Retry>,
    #[cfg(feature = "breaker")]
    pub(super) breaker: Option<CircuitBreaker>,
    pub(super) texts: Texts,
    pub(super) vital: Option<Arc<WorkerVital>>,
    pub(super) items: Arc<ItemCounts>,
    pub(super) operations: Table<Operation>,
    pub(super) tasks: Table<TaskState>,
    pub(super) errors: ErrorBook,
    pub(super) events: EventCounts,
    pub(super) log: Arc<FailureLog>,
    pub(super) loops: Controls,
}

impl Inner {
    /// Records and logs the failure of an item or task, in the current span.
    #[cold]
    pub(super) fn note(&self, failure: &Failure, of: &str, label: &str) {
        self.errors.add(failure.label(), RecordedError::new(failure, of, &self.texts));
        self.log.failed(label, failure);
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").field("name", &self.name).finish_non_exhaustive()
    }
}
