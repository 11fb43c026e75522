//! Spans on their way to an exporter.
//!
//! A closing span costs its thread a push on a bounded queue and nothing else: what finds no room is counted
//! and gone. A thread of its own takes the queue over as a whole and waits for the exporter. (The SDK's batch
//! processor has no counter that could be read, and does not survive an exporter that panics.)

use std::fmt;
use std::future::Future;
use std::panic::{self, AssertUnwindSafe};
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use opentelemetry::Context as OtelContext;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{Span, SpanData, SpanExporter, SpanProcessor};
use serde::{Deserialize, Serialize};

use super::activation::Silence;
use super::counters::{Counters, Lost, Signal};
use super::variables::Variables;
use crate::error::ConfigError;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, Ordering};

/// How spans wait for their export.
///
/// `OTEL_BSP_MAX_QUEUE_SIZE`, `OTEL_BSP_MAX_EXPORT_BATCH_SIZE` and `OTEL_BSP_SCHEDULE_DELAY` win over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct BatchSettings {
    /// Spans that may wait; more are dropped and counted. 2,048.
    pub queue: usize,
    /// Spans in one export. 512.
    pub batch: usize,
    /// The longest that a span waits while the queue is short. 5 s.
    #[serde(with = "crate::duration")]
    pub delay: Duration,
}

impl Default for BatchSettings {
    fn default() -> Self {
        Self { queue: 2_048, batch: 512, delay: Duration::from_secs(5) }
    }
}

impl BatchSettings {
    pub(super) fn with_variables(mut self, variables: &Variables) -> Result<Self, ConfigError> {
        if let Some(queue) = variables.number("OTEL_BSP_MAX_QUEUE_SIZE")? {
            self.queue = queue;
        }
        if let Some(batch) = variables.number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE")? {
            self.batch = batch;
        }
        if let Some(delay) = variables.milliseconds("OTEL_BSP_SCHEDULE_DELAY")? {
            self.delay = delay;
        }
        Ok(self)
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        ConfigError::check(self.queue > 0, "batch.queue", self.queue, "at least 1")?;
        ConfigError::check(self.batch > 0, "batch.batch", self.batch, "at least 1")?;
        ConfigError::check(!self.delay.is_zero(), "batch.delay", self.delay, "more than zero")
    }
}

/// Hands spans to an exporter, in batches, from a thread of its own.
pub(super) struct Batch {
    shared: Arc<Shared>,
    messages: Sender<Message>,
}

struct Shared {
    queue: Mutex<Queue>,
    settings: BatchSettings,
    /// Whether the worker knows that a batch is full.
    told: AtomicBool,
    counters: Arc<Counters>,
}

struct Queue {
    spans: Vec<SpanData>,
    closed: bool,
}

enum Message {
    Full,
    Flush(Sender<bool>),
    Shutdown(Duration, Sender<bool>),
}

impl Batch {
    pub(super) fn start<E: SpanExporter + 'static>(
        exporter: E,
        settings: BatchSettings,
        counters: Arc<Counters>,
    ) -> std::io::Result<Self> {
        let queue = Queue { spans: Vec::new(), closed: false };
        let shared =
            Arc::new(Shared { queue: Mutex::new(queue), settings, told: AtomicBool::new(false), counters });
        let (messages, inbox) = mpsc::channel();
        let worker = Worker { shared: Arc::clone(&shared), exporter, failing: false };
        thread::Builder::new().name("campanile-spans".to_owned()).spawn(move || worker.run(&inbox))?;
        Ok(Self { shared, messages })
    }

    /// Exports what waits; `false` if that failed or took longer than `limit`.
    pub(super) fn flush(&self, limit: Duration) -> bool {
        let (reply, answer) = mpsc::channel();
        self.messages.send(Message::Flush(reply)).is_ok() && answer.recv_timeout(limit) == Ok(true)
    }

    /// Exports what waits and ends the worker; `false` if that failed or took longer than `limit`.
    pub(super) fn shut_down(&self, limit: Duration) -> bool {
        if std::mem::replace(&mut self.shared.queue.lock().closed, true) {
            return true;
        }
        let (reply, answer) = mpsc::channel();
        self.messages.send(Message::Shutdown(limit, reply)).is_ok() && answer.recv_timeout(limit) == Ok(true)
    }
}

impl SpanProcessor for Batch {
    fn on_start(&self, _: &mut Span, _: &OtelContext) {}

    fn on_end(&self, span: SpanData) {
        if !span.span_context.is_sampled() {
            return;
        }
        let shared = &*self.shared;
        let waiting = {
            let mut queue = shared.queue.lock();
            if queue.closed {
                drop(queue);
                return shared.counters.lost(Lost::Shutdown, 1);
            }
            if queue.spans.len() >= shared.settings.queue {
                drop(queue);
                return shared.counters.lost(Lost::QueueFull, 1);
            }
            queue.spans.push(span);
            queue.spans.len()
        };
        let batch = shared.settings.batch.min(shared.settings.queue);
        if waiting >= batch && !shared.told.swap(true, Ordering::AcqRel) {
            // Without the worker there is nobody to tell; the queue fills up and counts.
            let _ = self.messages.send(Message::Full);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        let limit = Duration::from_secs(5);
        if self.flush(limit) { Ok(()) } else { Err(OTelSdkError::Timeout(limit)) }
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        if self.shut_down(timeout) { Ok(()) } else { Err(OTelSdkError::Timeout(timeout)) }
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("settings", &self.shared.settings).finish_non_exhaustive()
    }
}

struct Worker<E> {
    shared: Arc<Shared>,
    exporter: E,
    /// Whether the last export failed: only a change is logged.
    failing: bool,
}

impl<E: SpanExporter> Worker<E> {
    fn run(mut self, inbox: &Receiver<Message>) {
        Silence::for_good();
        let _suppressed = OtelContext::enter_telemetry_suppressed_scope();
        loop {
            match inbox.recv_timeout(self.shared.settings.delay) {
                Ok(Message::Full) => {
                    self.shared.told.store(false, Ordering::Release);
                    self.export_waiting();
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.export_waiting();
                }
                Ok(Message::Flush(reply)) => {
                    let fine = self.export_waiting();
                    // Who asked may have given up.
                    let _ = reply.send(fine);
                }
                Ok(Message::Shutdown(limit, reply)) => {
                    let fine = self.export_waiting();
                    let _ = guarded(|| self.exporter.shutdown_with_timeout(limit));
                    let _ = reply.send(fine);
                    return;
                }
                Err(RecvTimeoutError::Disconnected) => {
                    self.export_waiting();
                    return;
                }
            }
        }
    }

    fn export_waiting(&mut self) -> bool {
        let BatchSettings { queue, batch, .. } = self.shared.settings;
        let room = Vec::with_capacity(batch.min(queue));
        let mut waiting = std::mem::replace(&mut self.shared.queue.lock().spans, room);
        let mut fine = true;
        while !waiting.is_empty() {
            let rest = waiting.split_off(waiting.len().min(batch));
            fine &= self.export(std::mem::replace(&mut waiting, rest));
        }
        fine
    }

    fn export(&mut self, batch: Vec<SpanData>) -> bool {
        let spans = batch.len();
        let result = guarded(|| block_on(self.exporter.export(batch)));
        match result {
            Ok(()) => {
                if std::mem::replace(&mut self.failing, false) {
                    tracing::info!("exporting traces works again");
                }
            }
            Err(error) => {
                self.shared.counters.failed(Signal::Traces);
                self.shared.counters.lost(Lost::ExportFailed, spans);
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::warn!(%error, "cannot export traces; spans are dropped and counted until it works");
                }
            }
        }
        !self.failing
    }
}

/// What `action` gives; a panic is an error like any other.
fn guarded(action: impl FnOnce() -> OTelSdkResult) -> OTelSdkResult {
    panic::catch_unwind(AssertUnwindSafe(action))
        .unwrap_or_else(|_| Err(OTelSdkError::InternalFailure("the exporter panicked".to_owned())))
}

/// Runs a future on this thread.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
