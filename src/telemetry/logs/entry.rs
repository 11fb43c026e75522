//! A log record: compact in the queue, and complete when it is exported.
//!
//! The SDK's record takes about 500 bytes, with room for five attributes. An event needs a quarter of that. The rest
//! follows from its callsite, and the export thread adds it.

use std::mem::{size_of, size_of_val};
use std::time::{Duration, SystemTime};

use opentelemetry::logs::{AnyValue, LogRecord as _, Logger as _, LoggerProvider as _, Severity};
use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId};
use opentelemetry::{Array, InstrumentationScope, Key, KeyValue, StringValue, Value};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{LogBatch, LogExporter, SdkLogRecord, SdkLogger, SdkLoggerProvider};
use tracing::{Level, Metadata};

use crate::telemetry::batch::{BatchExporter, BatchItem};
use crate::telemetry::correlation;
use crate::telemetry::counters::Signal;
use crate::telemetry::origin::{LogCall, Origin};
use crate::telemetry::size;

/// A log record in the queue.
#[derive(Clone, Debug)]
pub(in crate::telemetry) enum Entry {
    /// An event of `tracing`.
    Event(EventRecord),
    /// A record made through the OpenTelemetry API.
    Native(Box<(SdkLogRecord, InstrumentationScope)>),
}

impl BatchItem for Entry {
    const SIGNAL: Signal = Signal::Logs;

    fn bytes(&self) -> usize {
        let own = match self {
            Self::Event(event) => {
                let texts = [&event.message, &event.error].into_iter().flatten().map(String::len);
                let call = event.call.as_ref().map_or(0, |call| call.bytes());
                texts.sum::<usize>() + call + size::of_all(&event.attributes)
            }
            Self::Native(native) => {
                let record = &native.0;
                let attribute = |(key, value): &(Key, AnyValue)| {
                    size_of::<(Key, AnyValue)>() + key.as_str().len() + size::of_any(value)
                };
                size_of_val(&**native)
                    + record.body().map_or(0, size::of_any)
                    + record.attributes_iter().map(attribute).sum::<usize>()
            }
        };
        size_of::<Self>() + own
    }
}

/// A log record of a `tracing` event.
#[derive(Clone, Debug)]
pub(in crate::telemetry) struct EventRecord {
    pub(super) metadata: &'static Metadata<'static>,
    pub(super) at: SystemTime,
    pub(super) span: Option<SpanIds>,
    pub(super) message: Option<String>,
    /// The text of the event's error field.
    pub(super) error: Option<String>,
    pub(super) attributes: Vec<KeyValue>,
    pub(super) dropped: u32,
    pub(super) correlation_id: Option<StringValue>,
    /// The call of the `log` crate that it comes from, if any.
    pub(super) call: Option<Box<LogCall>>,
}

/// The ids of the span that an event belongs to.
#[derive(Clone, Copy, Debug)]
pub(in crate::telemetry) struct SpanIds {
    trace_id: TraceId,
    span_id: SpanId,
    flags: TraceFlags,
}

impl From<&SpanContext> for SpanIds {
    fn from(span: &SpanContext) -> Self {
        Self { trace_id: span.trace_id(), span_id: span.span_id(), flags: span.trace_flags() }
    }
}

/// Converts entries to records of the SDK and exports them.
#[derive(Debug)]
pub(in crate::telemetry) struct RecordExporter<E> {
    exporter: E,
    factory: SdkLogger,
    /// The scope of events. The SDK replaces its name by the target of the event.
    scope: InstrumentationScope,
    /// Whether records have the `code.*` attributes.
    code_attributes: bool,
}

impl<E: LogExporter> RecordExporter<E> {
    pub(super) fn new(exporter: E, code_attributes: bool) -> Self {
        let scope = InstrumentationScope::builder("campanile").build();
        Self { exporter, factory: record_factory(), scope, code_attributes }
    }
}

impl<E: LogExporter + 'static> BatchExporter<Entry> for RecordExporter<E> {
    async fn export(&self, batch: Vec<Entry>) -> OTelSdkResult {
        let records: Vec<(SdkLogRecord, Option<InstrumentationScope>)> = batch
            .into_iter()
            .map(|entry| match entry {
                Entry::Event(event) => {
                    (event.record(self.factory.create_log_record(), self.code_attributes), None)
                }
                Entry::Native(native) => (native.0, Some(native.1)),
            })
            .collect();
        let records: Vec<(&SdkLogRecord, &InstrumentationScope)> =
            records.iter().map(|(record, scope)| (record, scope.as_ref().unwrap_or(&self.scope))).collect();
        self.exporter.export(LogBatch::new(&records)).await
    }

    fn shut_down(&self, limit: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(limit)
    }
}

/// A logger that makes empty records. The SDK has no other way to make them.
pub(super) fn record_factory() -> SdkLogger {
    SdkLoggerProvider::builder().build().logger("campanile")
}

impl EventRecord {
    fn record(self, mut record: SdkLogRecord, code_attributes: bool) -> SdkLogRecord {
        let metadata = self.metadata;
        let origin = Origin::new(metadata, self.call.as_deref());
        match &self.call {
            Some(_) => record.set_target(origin.target.to_owned()),
            None => record.set_target(metadata.target()),
        }
        record.set_timestamp(self.at);
        record.set_observed_timestamp(self.at);
        record.set_severity_number(severity(*metadata.level()));
        record.set_severity_text(metadata.level().as_str());
        // `tracing` names an event after its file and line if the code gives no name.
        if !metadata.name().starts_with("event ") && !metadata.name().starts_with("log event") {
            record.set_event_name(metadata.name());
        }
        if let Some(SpanIds { trace_id, span_id, flags }) = self.span {
            record.set_trace_context(trace_id, span_id, Some(flags));
        }
        // `#[instrument(err)]` makes events with an error and no message.
        if let Some(message) = self.message.or(self.error) {
            record.set_body(AnyValue::String(message.into()));
        }
        for KeyValue { key, value, .. } in self.attributes {
            record.add_attribute(key, any(value));
        }
        if let Some(id) = self.correlation_id {
            record.add_attribute(correlation::FIELD, id);
        }
        if code_attributes {
            origin.code_attributes(|key, value| record.add_attribute(key, any(value)));
        }
        if self.dropped > 0 {
            record.add_attribute(DROPPED, i64::from(self.dropped));
        }
        record
    }
}

/// The SDK's record has no field for this count. The specification has this name for formats without such a field.
pub(super) const DROPPED: &str = "otel.dropped_attributes_count";

pub(super) fn severity(level: Level) -> Severity {
    match level {
        Level::TRACE => Severity::Trace,
        Level::DEBUG => Severity::Debug,
        Level::INFO => Severity::Info,
        Level::WARN => Severity::Warn,
        Level::ERROR => Severity::Error,
    }
}

fn any(value: Value) -> AnyValue {
    fn list<T: Into<AnyValue>>(values: Vec<T>) -> AnyValue {
        values.into_iter().map(Into::into).collect()
    }
    match value {
        Value::Bool(value) => value.into(),
        Value::I64(value) => value.into(),
        Value::F64(value) => value.into(),
        Value::String(value) => value.into(),
        Value::Array(Array::Bool(values)) => list(values),
        Value::Array(Array::I64(values)) => list(values),
        Value::Array(Array::F64(values)) => list(values),
        Value::Array(Array::String(values)) => list(values),
        other => other.to_string().into(),
    }
}
