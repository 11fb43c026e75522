//! Spans in batches.

use std::future::Future;
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanExporter, SpanProcessor};

use super::export::{BatchExporter, BatchItem, FLUSH, sdk_result};
use super::processor::BatchProcessor;
use crate::telemetry::counters::Signal;
use crate::telemetry::size;

impl BatchItem for SpanData {
    const SIGNAL: Signal = Signal::Traces;

    fn bytes(&self) -> usize {
        size::of_span(self)
    }
}

impl<E: SpanExporter + 'static> BatchExporter<SpanData> for E {
    fn export(&self, batch: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> {
        SpanExporter::export(self, batch)
    }

    fn shut_down(&self, limit: Duration) -> OTelSdkResult {
        self.shutdown_with_timeout(limit)
    }
}

impl SpanProcessor for BatchProcessor {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() {
            self.push(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        sdk_result(FLUSH, self.flush(FLUSH))
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        sdk_result(timeout, self.shut_down(timeout))
    }
}
