//! The processor that queues items for its worker.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use opentelemetry_sdk::trace::SpanData;

use super::export::{BatchExporter, BatchItem};
use super::queue::{Queue, Refused};
use super::settings::BatchSettings;
use super::shared::Shared;
use super::worker::{Message, Worker};
use crate::base::sync::atomic::{AtomicBool, Ordering};
use crate::telemetry::counters::{Counters, DropReason, ExportQueue};
use crate::telemetry::export_thread::request;

/// A queue of items that a worker thread exports in batches.
pub(in crate::telemetry) struct BatchProcessor<T = SpanData> {
    shared: Arc<Shared<T>>,
    messages: Sender<Message>,
}

impl<T: BatchItem> BatchProcessor<T> {
    pub(in crate::telemetry) fn start<E: BatchExporter<T>>(
        exporter: E,
        settings: BatchSettings,
        counters: Arc<Counters>,
    ) -> io::Result<Self> {
        let queue = Queue::new(settings.queue, settings.queue_bytes);
        let shared = Arc::new(Shared { queue, settings, notified: AtomicBool::new(false), counters });
        let waiting: Arc<dyn ExportQueue> = Arc::clone(&shared) as _;
        shared.counters.add_queue(&waiting);
        let (messages, inbox) = mpsc::channel();
        let worker = Worker { shared: Arc::clone(&shared), exporter, failing: false };
        let name = format!("campanile-{}", T::SIGNAL.as_str());
        thread::Builder::new().name(name).spawn(move || worker.run(&inbox))?;
        Ok(Self { shared, messages })
    }

    /// Queues `item`, or drops and counts it.
    #[inline]
    pub(in crate::telemetry) fn push(&self, item: T) {
        let shared = &*self.shared;
        let bytes = item.bytes();
        match shared.queue.push(item, bytes) {
            Ok(waiting) => {
                let full = waiting.items >= shared.settings.full()
                    || waiting.bytes >= shared.settings.queue_bytes / 2;
                if full && !shared.notified.swap(true, Ordering::AcqRel) {
                    // If the worker has ended, the queue fills up and items are counted as dropped.
                    let _ = self.messages.send(Message::Full);
                }
            }
            Err(Refused::Full) => shared.counters.dropped(T::SIGNAL, DropReason::QueueFull, 1),
            Err(Refused::Closed) => shared.counters.dropped(T::SIGNAL, DropReason::Shutdown, 1),
        }
    }

    /// Exports all items. Returns `false` if that failed or took longer than `limit`.
    pub(in crate::telemetry) fn flush(&self, limit: Duration) -> bool {
        request(&self.messages, limit, Message::Flush)
    }

    /// Exports all items and ends the worker. Returns `false` if that failed or took longer than `limit`.
    pub(in crate::telemetry) fn shut_down(&self, limit: Duration) -> bool {
        !self.shared.queue.close() || request(&self.messages, limit, |reply| Message::Shutdown(limit, reply))
    }
}

impl<T> fmt::Debug for BatchProcessor<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchProcessor").field("settings", &self.shared.settings).finish_non_exhaustive()
    }
}
