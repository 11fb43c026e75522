//! The end of a queue in a process that shuts down.

use std::any::Any;
use std::sync::Arc;

use super::core::Core;
use super::queue::DeadLetterQueue;
use crate::store::MemoryStore;

/// A queue whose process shuts down.
#[derive(Clone)]
pub(crate) struct Closing {
    core: Arc<Core>,
    /// The letters that were dropped before.
    dropped: u64,
}

impl DeadLetterQueue {
    /// The end of this queue, which counts what is dropped from now on.
    pub(crate) fn closing(&self) -> Closing {
        Closing { core: Arc::clone(self.core()), dropped: self.snapshot().dropped_total() }
    }
}

impl Closing {
    /// Asks all redrives of the queue to stop, also those in the background.
    pub(crate) fn stop_redrives(&self) {
        self.core.redrives.stop_all();
    }

    /// Whether no redrive runs, and no letter is on its way to the store.
    pub(crate) fn is_settled(&self) -> bool {
        self.core.redrives.are_settled() && self.core.count(|counts| counts.parking) == 0
    }

    /// What is lost or still under way, for people; `None` if nothing.
    pub(crate) fn left(&self) -> Option<String> {
        let counts = self.core.snapshot();
        let store: &dyn Any = &**self.core.store.inner();
        let in_memory = if store.is::<MemoryStore>() { counts.waiting } else { 0 };
        let redrives = self.core.redrives.progress().len() as u64;
        let left: Vec<_> = [
            ("redrives that run", redrives),
            ("letters on their way to the store", counts.parking),
            ("dropped letters", counts.dropped_total().saturating_sub(self.dropped)),
            ("letters in memory, which end with the process", in_memory),
        ]
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(what, count)| format!("{what}: {count}"))
        .collect();
        (!left.is_empty()).then(|| format!("queue `{}`: {}", self.core.name, left.join(", ")))
    }
}
