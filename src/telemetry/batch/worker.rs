//! The thread that takes batches from the queue and waits for the exporter.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use opentelemetry::Context as OtelContext;

use super::export::{BatchExporter, BatchItem};
use super::shared::Shared;
use crate::base::clock;
use crate::base::sync::atomic::Ordering;
use crate::telemetry::counters::DropReason;
use crate::telemetry::export_thread::{block_on, guarded, log_change};
use crate::telemetry::suppress::suppress_thread;

pub(super) enum Message {
    Full,
    Flush(Sender<bool>),
    Shutdown(Duration, Sender<bool>),
}

pub(super) struct Worker<T, E> {
    pub(super) shared: Arc<Shared<T>>,
    pub(super) exporter: E,
    /// Whether the last export failed. Only changes are logged.
    pub(super) failing: bool,
}

impl<T: BatchItem, E: BatchExporter<T>> Worker<T, E> {
    pub(super) fn run(mut self, inbox: &Receiver<Message>) {
        suppress_thread();
        let _suppressed = OtelContext::enter_telemetry_suppressed_scope();
        loop {
            match inbox.recv_timeout(self.shared.settings.delay) {
                Ok(Message::Full) => {
                    self.shared.notified.store(false, Ordering::Release);
                    self.export_waiting();
                }
                Err(RecvTimeoutError::Timeout) => _ = self.export_waiting(),
                Ok(Message::Flush(reply)) => {
                    let fine = self.export_waiting();
                    // The caller may no longer wait.
                    let _ = reply.send(fine);
                }
                Ok(Message::Shutdown(limit, reply)) => {
                    let fine = self.export_waiting();
                    let _ = guarded(|| self.exporter.shut_down(limit));
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
        let batch = self.shared.settings.full();
        let mut waiting = self.shared.queue.take().into_iter();
        let mut fine = true;
        while waiting.len() > 0 {
            let mut part = Vec::with_capacity(waiting.len().min(batch));
            part.extend(waiting.by_ref().take(batch));
            fine &= self.export(part);
        }
        fine
    }

    fn export(&mut self, batch: Vec<T>) -> bool {
        let items = batch.len();
        let limit = self.shared.settings.export_timeout;
        let start = clock::now();
        let result = guarded(|| block_on(self.exporter.export(batch), limit));
        let counters = &self.shared.counters;
        counters.exported(T::SIGNAL, clock::now().since(start), result.is_ok());
        if result.is_err() {
            counters.dropped(T::SIGNAL, DropReason::ExportFailed, items);
        }
        let then = "they are dropped and counted until an export succeeds";
        log_change(&mut self.failing, T::SIGNAL, &result, then);
        !self.failing
    }
}
