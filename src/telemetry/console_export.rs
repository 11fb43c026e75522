//! `OTEL_TRACES_EXPORTER=console` and `OTEL_METRICS_EXPORTER=console`: a line of JSON each, on standard error.

use std::future::{Future, ready};
use std::time::{Duration, SystemTime};

use opentelemetry::Array;
use opentelemetry::{KeyValue, Value};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use serde_json::{Map, json};

/// Writes spans and metrics to standard error.
#[derive(Debug)]
pub(super) struct ConsoleExporter;

#[allow(clippy::print_stderr)] // That is what it is for.
impl SpanExporter for ConsoleExporter {
    fn export(&self, batch: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> + Send {
        for span in batch {
            eprintln!("{}", describe(&span));
        }
        ready(Ok(()))
    }
}

#[allow(clippy::print_stderr)]
impl PushMetricExporter for ConsoleExporter {
    fn export(&self, metrics: &ResourceMetrics) -> impl Future<Output = OTelSdkResult> + Send {
        for metric in metrics.scope_metrics().flat_map(|scope| scope.metrics()) {
            let line = json!({
                "metric": metric.name(),
                "unit": metric.unit(),
                "data": format!("{:?}", metric.data()),
            });
            eprintln!("{line}");
        }
        ready(Ok(()))
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }

    fn temporality(&self) -> Temporality {
        Temporality::Cumulative
    }
}

fn describe(span: &SpanData) -> serde_json::Value {
    let events: Vec<_> = span
        .events
        .iter()
        .map(|event| json!({"name": event.name, "attributes": attributes(&event.attributes)}))
        .collect();
    json!({
        "span": span.name,
        "trace_id": span.span_context.trace_id().to_string(),
        "span_id": span.span_context.span_id().to_string(),
        "parent_span_id": span.parent_span_id.to_string(),
        "kind": format!("{:?}", span.span_kind),
        "start": time(span.start_time),
        "end": time(span.end_time),
        "status": format!("{:?}", span.status),
        "attributes": attributes(&span.attributes),
        "events": events,
    })
}

fn time(time: SystemTime) -> String {
    humantime::format_rfc3339_nanos(time).to_string()
}

fn attributes(attributes: &[KeyValue]) -> Map<String, serde_json::Value> {
    attributes
        .iter()
        .map(|KeyValue { key, value, .. }| {
            let value = match value {
                Value::Bool(value) => json!(value),
                Value::I64(value) => json!(value),
                Value::F64(value) => json!(value),
                Value::String(value) => json!(value.as_str()),
                Value::Array(Array::I64(values)) => json!(values),
                value => json!(value.to_string()),
            };
            (key.to_string(), value)
        })
        .collect()
}
