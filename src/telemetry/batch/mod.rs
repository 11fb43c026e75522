//! Spans and log records on their way to an exporter.
//!
//! A span that ends costs its thread a push on a bounded queue. If the queue is full, the span is counted and dropped. A
//! thread of its own takes the whole queue and waits for the exporter.
//!
//! The batch processors of `opentelemetry_sdk` 0.33.1 cost a span the same, but:
//! - An exporter that panics ends their thread. Of 55 spans in batches of 10, of which the first panics, they export
//!   none and this exports 45. Their metric counts 10 of them as processed and 5 as late, and 40 not at all.
//! - An export that never ends keeps their thread for good: they have no time limit without an asynchronous runtime.
//! - They count (`otel.sdk.processor.span.processed`) with the meter that is global when they are made. A pipeline is
//!   made before it becomes global, and may never be. They do not count failed exports or waiting items.
//! - A log record is some 500 bytes in theirs, and becomes that large only when it is exported in this.

mod queue;
mod settings;
mod worker;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use opentelemetry::Context as OtelContext;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{Span, SpanData, SpanExporter, SpanProcessor};

use self::queue::{Queue, Refused};
pub use self::settings::BatchSettings;
use self::worker::{Message, Worker};
use super::counters::{Counters, DropReason, ExportQueue, Signal};
use super::export_thread::request;
use super::size;
use crate::base::sync::atomic::{AtomicBool, Ordering};

/// Something that is exported in batches.
pub(super) trait Item: Send + Sync + 'static {
    const SIGNAL: Signal;

    /// Its approximate size in memory, in bytes.
    fn bytes(&self) -> usize;
}

/// The exporter of batches.
pub(super) trait Export<T>: Send + 'static {
    fn export(&self, batch: Vec<T>) -> impl Future<Output = OTelSdkResult>;
    fn shut_down(&self, limit: Duration) -> OTelSdkResult;
}

/// Hands what ends to an exporter, in batches, from a thread of its own.
pub(super) struct Batch<T = SpanData> {
    shared: Arc<Shared<T>>,
    messages: Sender<Message>,
}

struct Shared<T> {
    queue: Queue<T>,
    settings: BatchSettings,
    /// Whether the worker knows that a batch is full.
    told: AtomicBool,
    counters: Arc<Counters>,
}

impl<T: Item> Batch<T> {
    pub(super) fn start<E: Export<T>>(
        exporter: E,
        settings: BatchSettings,
        counters: Arc<Counters>,
    ) -> std::io::Result<Self> {
        let queue = Queue::new(settings.queue, settings.queue_bytes);
        let shared = Arc::new(Shared { queue, settings, told: AtomicBool::new(false), counters });
        let waiting: Arc<dyn ExportQueue> = Arc::clone(&shared) as _;
        shared.counters.watch(&waiting);
        let (messages, inbox) = mpsc::channel();
        let worker = Worker { shared: Arc::clone(&shared), exporter, failing: false };
        let name = format!("campanile-{}", T::SIGNAL.as_str());
        thread::Builder::new().name(name).spawn(move || worker.run(&inbox))?;
        Ok(Self { shared, messages })
    }

    /// Takes `item` in, or counts it.
    #[inline]
    pub(super) fn push(&self, item: T) {
        let shared = &*self.shared;
        let bytes = item.bytes();
        match shared.queue.push(item, bytes) {
            Ok(waiting) => {
                let full = waiting.items >= shared.settings.full()
                    || waiting.bytes >= shared.settings.queue_bytes / 2;
                if full && !shared.told.swap(true, Ordering::AcqRel) {
                    // Without the worker the queue fills up and counts.
                    let _ = self.messages.send(Message::Full);
                }
            }
            Err(Refused::Full) => shared.counters.dropped(T::SIGNAL, DropReason::QueueFull, 1),
            Err(Refused::Closed) => shared.counters.dropped(T::SIGNAL, DropReason::Shutdown, 1),
        }
    }

    /// Exports what waits; `false` if that failed or took longer than `limit`.
    pub(super) fn flush(&self, limit: Duration) -> bool {
        request(&self.messages, limit, Message::Flush)
    }

    /// Exports what waits and ends the worker; `false` if that failed or took longer than `limit`.
    pub(super) fn shut_down(&self, limit: Duration) -> bool {
        !self.shared.queue.close() || request(&self.messages, limit, |reply| Message::Shutdown(limit, reply))
    }
}

/// How long those wait who do not say.
pub(super) const FLUSH: Duration = Duration::from_secs(5);

/// What the SDK wants to hear, for what [`Batch`] tells.
pub(super) fn within(limit: Duration, done: bool) -> OTelSdkResult {
    if done { Ok(()) } else { Err(OTelSdkError::Timeout(limit)) }
}

impl<T: Item> ExportQueue for Shared<T> {
    fn signal(&self) -> Signal {
        T::SIGNAL
    }

    fn length(&self) -> usize {
        self.queue.len()
    }
}

impl<T> fmt::Debug for Batch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("settings", &self.shared.settings).finish_non_exhaustive()
    }
}

// ===== spans =====

impl Item for SpanData {
    const SIGNAL: Signal = Signal::Traces;

    fn bytes(&self) -> usize {
        size::of_span(self)
    }
}

impl<E: SpanExporter + 'static> Export<SpanData> for E {
    fn export(&self, batch: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> {
        SpanExporter::export(self, batch)
    }

    fn shut_down(&self, limit: Duration) -> OTelSdkResult {
        self.shutdown_with_timeout(limit)
    }
}

impl SpanProcessor for Batch {
    fn on_start(&self, _: &mut Span, _: &OtelContext) {}

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() {
            self.push(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        within(FLUSH, self.flush(FLUSH))
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        within(timeout, self.shut_down(timeout))
    }
}
