//! Pushes metrics to an exporter at an interval.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::reader::MetricReader;

use super::reader::SharedReader;
use crate::base::clock;
use crate::base::sync::atomic::{AtomicBool, Ordering};
use crate::telemetry::counters::{Counters, Signal};
use crate::telemetry::export_thread::{block_on, guarded, log_change, request};
use crate::telemetry::suppress::suppress_thread;

/// When metrics are pushed.
#[derive(Clone, Copy, Debug)]
pub(in crate::telemetry) struct PushSettings {
    pub(in crate::telemetry) every: Duration,
    /// Timeout of one export.
    pub(in crate::telemetry) timeout: Duration,
}

/// A thread that collects metrics at an interval and exports them.
pub(in crate::telemetry) struct Push {
    messages: Sender<Message>,
    ended: AtomicBool,
}

enum Message {
    Flush(Sender<bool>),
    Shutdown(Duration, Sender<bool>),
}

impl Push {
    pub(super) fn start<E: PushMetricExporter>(
        exporter: E,
        reader: SharedReader,
        settings: PushSettings,
        counters: Arc<Counters>,
    ) -> io::Result<Self> {
        let (messages, inbox) = mpsc::channel();
        let worker = Worker {
            exporter,
            reader,
            settings,
            counters,
            metrics: ResourceMetrics::default(),
            failing: false,
        };
        thread::Builder::new().name("campanile-metrics".to_owned()).spawn(move || worker.run(&inbox))?;
        Ok(Self { messages, ended: AtomicBool::new(false) })
    }

    /// Exports the metrics now. `false` if that failed or took longer than `limit`.
    pub(in crate::telemetry) fn flush(&self, limit: Duration) -> bool {
        request(&self.messages, limit, Message::Flush)
    }

    /// Exports the metrics once more and ends the thread. `false` if that failed or took longer than `limit`.
    pub(in crate::telemetry) fn shut_down(&self, limit: Duration) -> bool {
        self.ended.swap(true, Ordering::AcqRel)
            || request(&self.messages, limit, |reply| Message::Shutdown(limit, reply))
    }
}

struct Worker<E> {
    exporter: E,
    reader: SharedReader,
    settings: PushSettings,
    counters: Arc<Counters>,
    /// Reused by every collection, with its allocations.
    metrics: ResourceMetrics,
    /// Whether the last export failed. Only a change is logged.
    failing: bool,
}

impl<E: PushMetricExporter> Worker<E> {
    fn run(mut self, inbox: &Receiver<Message>) {
        suppress_thread();
        let _suppressed = Context::enter_telemetry_suppressed_scope();
        let mut last = clock::now();
        loop {
            let left = self.settings.every.saturating_sub(clock::now().since(last));
            match inbox.recv_timeout(left) {
                Err(RecvTimeoutError::Timeout) => {
                    last = clock::now();
                    self.export(self.settings.timeout);
                }
                Ok(Message::Flush(reply)) => {
                    let exported = self.export(self.settings.timeout);
                    // The caller may have given up.
                    let _ = reply.send(exported);
                }
                Ok(Message::Shutdown(limit, reply)) => {
                    let exported =
                        self.export(self.settings.timeout.min(limit.max(Duration::from_millis(1))));
                    let _ = guarded(|| self.exporter.shutdown_with_timeout(limit));
                    let _ = reply.send(exported);
                    return;
                }
                // The handle was dropped without a shutdown.
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn export(&mut self, limit: Duration) -> bool {
        let start = clock::now();
        let result = self.try_export(limit);
        self.counters.exported(Signal::Metrics, clock::now().since(start), result.is_ok());
        log_change(&mut self.failing, Signal::Metrics, &result, "the next interval tries again");
        result.is_ok()
    }

    fn try_export(&mut self, limit: Duration) -> OTelSdkResult {
        guarded(|| self.reader.collect(&mut self.metrics))?;
        if self.metrics.scope_metrics().next().is_none() {
            return Ok(());
        }
        guarded(|| block_on(self.exporter.export(&self.metrics), limit))
    }
}
