//! `OTEL_TRACES_EXPORTER=console` and its like for metrics and logs: a line of JSON each, on standard error.

use std::future::{Future, ready};
use std::time::{Duration, SystemTime};

use opentelemetry::logs::AnyValue;
use opentelemetry::{Array, InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{LogBatch, LogExporter, SdkLogRecord};
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use serde_json::{Map, json};

/// Writes spans, metrics and log records to standard error.
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

#[allow(clippy::print_stderr)]
impl LogExporter for ConsoleExporter {
    fn export(&self, batch: LogBatch<'_>) -> impl Future<Output = OTelSdkResult> + Send {
        for (record, scope) in batch.iter() {
            eprintln!("{}", describe_log(record, scope));
        }
        ready(Ok(()))
    }
}

fn describe_log(record: &SdkLogRecord, scope: &InstrumentationScope) -> serde_json::Value {
    let attributes: Map<String, serde_json::Value> =
        record.attributes_iter().map(|(key, value)| (key.to_string(), any(value))).collect();
    json!({
        "log": record.body().map(any),
        "severity": record.severity_text(),
        "time": record.timestamp().or_else(|| record.observed_timestamp()).map(time),
        "target": record.target().map_or(scope.name(), |target| target.as_ref()),
        "trace_id": record.trace_context().map(|context| context.trace_id.to_string()),
        "span_id": record.trace_context().map(|context| context.span_id.to_string()),
        "attributes": attributes,
    })
}

fn any(value: &AnyValue) -> serde_json::Value {
    match value {
        AnyValue::Int(value) => json!(value),
        AnyValue::Double(value) => json!(value),
        AnyValue::String(value) => json!(value.as_str()),
        AnyValue::Boolean(value) => json!(value),
        AnyValue::ListAny(values) => values.iter().map(any).collect(),
        AnyValue::Map(values) => {
            let values: Map<_, _> = values.iter().map(|(key, value)| (key.to_string(), any(value))).collect();
            values.into()
        }
        value => json!(format!("{value:?}")),
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
