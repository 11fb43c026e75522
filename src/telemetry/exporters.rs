//! Exporters of spans and log records that are not started yet.

use std::io;
use std::sync::Arc;

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::LogExporter;
use opentelemetry_sdk::trace::SpanExporter;

use super::batch::{BatchProcessor, BatchSettings};
use super::counters::Counters;
use super::logs::{Entry, LogSettings, Logs};

pub(super) type StartSpans =
    Box<dyn FnOnce(BatchSettings, &Arc<Counters>, &Resource) -> io::Result<BatchProcessor> + Send>;
pub(super) type StartLogs = Box<
    dyn FnOnce(&LogSettings, bool, &Arc<Counters>, &Resource) -> io::Result<BatchProcessor<Entry>> + Send,
>;

pub(super) fn span_exporter(mut exporter: impl SpanExporter + 'static) -> StartSpans {
    Box::new(move |settings, counters, resource| {
        exporter.set_resource(resource);
        BatchProcessor::start(exporter, settings, Arc::clone(counters))
    })
}

pub(super) fn log_exporter(exporter: impl LogExporter + 'static) -> StartLogs {
    Box::new(move |settings, places, counters, resource| {
        Logs::start(exporter, settings, places, counters, resource)
    })
}
