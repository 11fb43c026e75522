//! The span processor that the SDK owns.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};

use super::secrets::Secrets;

/// Hands spans of the OpenTelemetry API to a processor that also gets the spans of the layer.
#[derive(Debug)]
pub(super) struct SharedProcessor {
    pub(super) processor: Arc<dyn SpanProcessor>,
    /// Spans of the layer are redacted before.
    pub(super) secrets: Secrets,
}

impl SpanProcessor for SharedProcessor {
    fn on_start(&self, span: &mut Span, cx: &Context) {
        self.processor.on_start(span, cx);
    }

    fn on_end(&self, mut span: SpanData) {
        self.secrets.clean_span(&mut span);
        self.processor.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.processor.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.processor.shutdown_with_timeout(timeout)
    }
}
