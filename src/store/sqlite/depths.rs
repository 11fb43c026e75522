//! The state of each queue, published after each commit so that metrics need not wait.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::log;
use crate::base::sync::Mutex;
use crate::store::Depth;

/// Queues with their depths.
pub(super) type QueueDepths = Vec<(Arc<str>, Depth)>;

/// The depth of each queue and the size of the file, as of the last commit of this process.
#[derive(Debug, Default)]
pub(super) struct Depths {
    queues: Mutex<BTreeMap<Arc<str>, Depth>>,
    file: AtomicU64,
}

impl Depths {
    pub(super) fn get(&self, queue: &str) -> Depth {
        let depth = self.queues.lock().get(queue).copied().unwrap_or_default();
        Depth { file_size: Some(self.file.load(Ordering::Relaxed)), ..depth }
    }

    pub(super) fn publish(&self, depths: QueueDepths) {
        if !depths.is_empty() {
            self.queues.lock().extend(depths);
        }
    }

    /// Replaces all depths by those of another file.
    pub(super) fn replace(&self, depths: QueueDepths) {
        *self.queues.lock() = depths.into_iter().collect();
    }

    /// Updates the size of the file and its log.
    pub(super) fn update_file_size(&self, path: &Path) {
        let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
        self.file.store(size(path) + size(&log::path_of(path)), Ordering::Relaxed);
    }
}
