//! Log records that are made through the OpenTelemetry API, such as by appenders of other log crates.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::InstrumentationScope;
use opentelemetry::logs::{AnyValue, LogRecord as _, Logger as _, Severity};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{LogProcessor, SdkLogRecord, SdkLogger, SdkLoggerProvider};

use super::emit::Logs;
use super::entry::{DROPPED, Entry, record_factory, severity};
use super::settings::LogSettings;
use crate::telemetry::batch::{FLUSH, sdk_result};
use crate::telemetry::secrets::Secrets;
use crate::telemetry::suppress::is_suppressed;

impl Logs {
    /// A provider for log records that are made through the OpenTelemetry API.
    pub(in crate::telemetry) fn provider(
        self: &Arc<Self>,
        resource: &Resource,
        secrets: &Secrets,
    ) -> SdkLoggerProvider {
        let provider = SdkLoggerProvider::builder().with_resource(resource.clone());
        provider.with_log_processor(NativeProcessor::new(self, secrets)).build()
    }
}

/// Queues native records with those of events. They are redacted, and have the same limits.
#[derive(Debug)]
pub(super) struct NativeProcessor {
    logs: Arc<Logs>,
    factory: SdkLogger,
    secrets: Secrets,
}

impl NativeProcessor {
    pub(super) fn new(logs: &Arc<Logs>, secrets: &Secrets) -> Self {
        Self { logs: Arc::clone(logs), factory: record_factory(), secrets: secrets.clone() }
    }

    fn admits(&self, severity: Option<Severity>) -> bool {
        let Some(level) = self.logs.settings.level.into_level() else { return false };
        !self.logs.batches.is_empty()
            && !is_suppressed()
            && severity.is_none_or(|found| found >= self::severity(level))
    }

    /// `record` without secrets, and within the limits.
    fn sanitized(&self, record: &SdkLogRecord) -> SdkLogRecord {
        let LogSettings { attributes, value_length, .. } = self.logs.settings;
        let long = |value: &AnyValue| size(value) > value_length;
        let body = record.body().map(|body| self.redacted("", body));
        let values: Vec<_> =
            record.attributes_iter().map(|(key, value)| (key, self.redacted(key.as_str(), value))).collect();
        let same = |value: &Cow<'_, AnyValue>| matches!(value, Cow::Borrowed(value) if !long(value));
        if values.len() <= attributes && values.iter().all(|(_, value)| same(value)) && body.iter().all(same)
        {
            return record.clone();
        }
        // A new record is built, because the SDK cannot remove attributes.
        let mut new = self.factory.create_log_record();
        if let Some(name) = record.event_name() {
            new.set_event_name(name);
        }
        if let Some(target) = record.target() {
            new.set_target(target.clone());
        }
        if let Some(at) = record.timestamp() {
            new.set_timestamp(at);
        }
        if let Some(at) = record.observed_timestamp() {
            new.set_observed_timestamp(at);
        }
        if let Some(span) = record.trace_context() {
            new.set_trace_context(span.trace_id, span.span_id, span.trace_flags);
        }
        if let Some(text) = record.severity_text() {
            new.set_severity_text(text);
        }
        if let Some(number) = record.severity_number() {
            new.set_severity_number(number);
        }
        if let Some(body) = body {
            new.set_body(cut(&body, value_length));
        }
        let dropped = values.len().saturating_sub(attributes);
        for (key, value) in values.into_iter().take(attributes) {
            new.add_attribute(key.clone(), cut(&value, value_length));
        }
        if dropped > 0 {
            new.add_attribute(DROPPED, i64::try_from(dropped).unwrap_or(i64::MAX));
        }
        new
    }

    /// The value of the attribute `name` without its secrets.
    fn redacted<'a>(&self, name: &str, value: &'a AnyValue) -> Cow<'a, AnyValue> {
        match self.secrets.clean_any(name, value) {
            Some(clean) => Cow::Owned(clean),
            None => Cow::Borrowed(value),
        }
    }
}

impl LogProcessor for NativeProcessor {
    fn emit(&self, record: &mut SdkLogRecord, scope: &InstrumentationScope) {
        if self.admits(record.severity_number()) {
            self.logs.push(Entry::Native(Box::new((self.sanitized(record), scope.clone()))));
        }
    }

    fn event_enabled(&self, level: Severity, _: &str, _: Option<&str>) -> bool {
        self.admits(Some(level))
    }

    fn force_flush(&self) -> OTelSdkResult {
        sdk_result(FLUSH, self.logs.batches.iter().all(|batch| batch.flush(FLUSH)))
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        sdk_result(timeout, self.logs.batches.iter().all(|batch| batch.shut_down(timeout)))
    }
}

/// The bytes of the texts in `value`.
fn size(value: &AnyValue) -> usize {
    match value {
        AnyValue::String(text) => text.as_str().len(),
        AnyValue::Bytes(bytes) => bytes.len(),
        AnyValue::ListAny(values) => values.iter().map(size).sum(),
        AnyValue::Map(values) => values.iter().map(|(key, value)| key.as_str().len() + size(value)).sum(),
        _ => 0,
    }
}

/// Truncates `value` to `length` bytes: a text keeps its beginning, a list or map its first parts.
fn cut(value: &AnyValue, length: usize) -> AnyValue {
    match value {
        AnyValue::String(text) => {
            let text = text.as_str();
            AnyValue::String(crate::base::cut::cut(text, length).to_owned().into())
        }
        AnyValue::Bytes(bytes) => AnyValue::Bytes(Box::new(bytes[..bytes.len().min(length)].to_vec())),
        AnyValue::ListAny(values) => {
            let mut left = length;
            let parts = values.iter().map_while(|value| {
                let part = (left > 0).then(|| cut(value, left));
                left = left.saturating_sub(size(value).max(1));
                part
            });
            AnyValue::ListAny(Box::new(parts.collect()))
        }
        AnyValue::Map(values) => {
            let mut left = length;
            let parts = values.iter().map_while(|(key, value)| {
                let part = (left > key.as_str().len()).then(|| (key.clone(), cut(value, left)));
                left = left.saturating_sub(key.as_str().len() + size(value).max(1));
                part
            });
            AnyValue::Map(Box::new(parts.collect()))
        }
        other => other.clone(),
    }
}
