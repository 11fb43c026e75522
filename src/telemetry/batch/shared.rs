//! The state that a processor and its worker share.

use std::sync::Arc;

use super::export::BatchItem;
use super::queue::Queue;
use super::settings::BatchSettings;
use crate::base::sync::atomic::AtomicBool;
use crate::telemetry::counters::{Counters, ExportQueue, Signal};

/// The state that a processor and its worker share.
pub(super) struct Shared<T> {
    pub(super) queue: Queue<T>,
    pub(super) settings: BatchSettings,
    /// Whether the worker was notified of a full batch.
    pub(super) notified: AtomicBool,
    pub(super) counters: Arc<Counters>,
}

impl<T: BatchItem> ExportQueue for Shared<T> {
    fn signal(&self) -> Signal {
        T::SIGNAL
    }

    fn length(&self) -> usize {
        self.queue.len()
    }
}
