//! The counts of an operation.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::tally::Tally;
use super::watch::Subject;
use crate::base::sync::Mutex;
use crate::base::sync::atomic::{AtomicU64, Ordering};
use crate::signal::WORKER_OPERATION_DURATION;

/// Operations of a worker that are counted apart.
pub(super) const OPERATIONS: usize = 64;

/// The resident memory of the process around a call of an operation, in bytes. Other work in the process changes it too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MemoryUse {
    /// Before the last call.
    pub before: u64,
    /// After the last call.
    pub after: u64,
    /// The largest growth during one call.
    pub largest_growth: u64,
}

/// See the [module](self).
pub(super) struct Operation {
    pub(super) name: Arc<str>,
    tally: Tally,
    items: AtomicU64,
    memory: Mutex<Option<MemoryUse>>,
}

impl Operation {
    pub(super) fn new(worker: &str, name: &Arc<str>) -> Self {
        let attributes = [("worker", worker), ("operation", &**name)];
        Self {
            name: Arc::clone(name),
            tally: Tally::with_histogram(&WORKER_OPERATION_DURATION, attributes),
            items: AtomicU64::new(0),
            memory: Mutex::default(),
        }
    }

    pub(super) fn add_items(&self, items: u64) {
        self.items.fetch_add(items, Ordering::Relaxed);
    }

    pub(super) fn items(&self) -> u64 {
        self.items.load(Ordering::Relaxed)
    }

    /// Records the memory before and after a call.
    #[cfg(feature = "system")]
    pub(super) fn measured(&self, before: u64, after: u64) {
        let mut memory = self.memory.lock();
        let largest = memory.map_or(0, |memory| memory.largest_growth);
        let largest_growth = largest.max(after.saturating_sub(before));
        *memory = Some(MemoryUse { before, after, largest_growth });
    }

    pub(super) fn memory(&self) -> Option<MemoryUse> {
        *self.memory.lock()
    }
}

impl Subject for Operation {
    fn tally(&self) -> &Tally {
        &self.tally
    }
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operation").field("name", &self.name).finish_non_exhaustive()
    }
}
