//! Makes attributes from the fields of spans and events.

use std::error::Error;

use opentelemetry::trace::SpanKind;
use opentelemetry::{Key, KeyValue, Value};
use tracing::field::{Field, FieldSet};
use tracing::{Event, Level};

use super::error_type::type_name;
use super::field_value::{self, FieldValue, VisitField, has_cause, is_error, visits};
use super::limits::SpanLimits;
use super::origin::{LogCall, is_log};
use super::secrets::{Secrets, Values};
use super::status::SpanStatus;

/// The special fields that a callsite declares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SpecialFields(u8);

impl SpecialFields {
    /// A field sets name, status, component or error type.
    const CONTROL: u8 = 1;
    /// Two fields may make attributes with the same name.
    const DUPLICATES: u8 = 2;
    /// A field may have the name of an attribute `code.*`.
    const CODE: u8 = 4;

    pub(super) fn of(fields: &FieldSet) -> Self {
        let count = |name: &str| fields.iter().filter(|field| field.name() == name).count();
        Self(fields.iter().fold(0, |bits, field| match field.name() {
            "otel.name" | "otel.status_code" | "otel.status_description" | "component" | "error.type" => {
                bits | Self::CONTROL
            }
            name if name.starts_with("code.") => bits | Self::CODE,
            name if name.starts_with("exception.") => bits | Self::DUPLICATES,
            _ => bits,
        } | if count(field.name()) > 1 { Self::DUPLICATES } else { 0 }))
    }

    /// Whether an unsampled span of this callsite needs its fields.
    pub(super) fn has_control(self) -> bool {
        self.0 & Self::CONTROL != 0
    }

    /// Whether no two fields of a span make attributes with the same name.
    pub(super) fn is_distinct(self) -> bool {
        self.0 & Self::DUPLICATES == 0
    }

    /// Whether a field may have the name of an attribute `code.*`.
    pub(super) fn has_code(self) -> bool {
        self.0 & Self::CODE != 0
    }
}

/// The visited fields of a span.
#[derive(Debug)]
pub(super) struct SpanFields<'a> {
    values: Values<'a>,
    /// `false` for an unsampled span, of which only the special fields are needed.
    keep_attributes: bool,
    /// Whether no two fields make attributes with the same name.
    pub(super) distinct: bool,
    pub(super) attributes: Vec<KeyValue>,
    pub(super) dropped: u32,
    pub(super) name: Option<String>,
    pub(super) component: Option<String>,
    pub(super) kind: Option<SpanKind>,
    pub(super) status: Option<SpanStatus>,
    pub(super) description: Option<String>,
    pub(super) error_type: Option<String>,
}

impl<'a> SpanFields<'a> {
    pub(super) fn all(limits: &'a SpanLimits, secrets: &'a Secrets, capacity: usize) -> Self {
        Self {
            values: Values { limits, secrets },
            keep_attributes: true,
            distinct: false,
            attributes: Vec::with_capacity(capacity.min(limits.attributes)),
            dropped: 0,
            name: None,
            component: None,
            kind: None,
            status: None,
            description: None,
            error_type: None,
        }
    }

    pub(super) fn special(limits: &'a SpanLimits, secrets: &'a Secrets) -> Self {
        Self { keep_attributes: false, ..Self::all(limits, secrets, 0) }
    }

    fn add(&mut self, key: impl Into<Key>, value: impl Into<Value>) {
        if !self.keep_attributes {
            return;
        }
        let attribute = KeyValue::new(key, value);
        if self.distinct && self.attributes.len() < self.values.limits.attributes {
            self.attributes.push(attribute);
        } else {
            self.values.limits.add(&mut self.attributes, &mut self.dropped, attribute);
        }
    }

    /// Applies a special field. Returns `false` if it is also an attribute.
    fn apply(&mut self, name: &str, text: &str) -> bool {
        match name {
            "otel.name" => self.name = Some(text.to_owned()),
            "otel.kind" => self.kind = kind(text),
            "otel.status_code" => self.status = status(text),
            "otel.status_description" => self.description = Some(text.to_owned()),
            "component" => {
                self.component = Some(text.to_owned());
                return false;
            }
            "error.type" => {
                self.error_type = Some(text.to_owned());
                return false;
            }
            _ => return false,
        }
        true
    }
}

fn kind(text: &str) -> Option<SpanKind> {
    [
        ("server", SpanKind::Server),
        ("client", SpanKind::Client),
        ("producer", SpanKind::Producer),
        ("consumer", SpanKind::Consumer),
        ("internal", SpanKind::Internal),
    ]
    .into_iter()
    .find_map(|(name, kind)| name.eq_ignore_ascii_case(text).then_some(kind))
}

fn status(text: &str) -> Option<SpanStatus> {
    // The numbers of OTLP.
    [("unset", "0", SpanStatus::None), ("ok", "1", SpanStatus::Ok), ("error", "2", SpanStatus::Error)]
        .into_iter()
        .find_map(|(name, number, status)| {
            (name.eq_ignore_ascii_case(text) || number == text).then_some(status)
        })
}

fn is_special(name: &str) -> bool {
    name == "component" || name == "error.type" || name.starts_with("otel.")
}

impl VisitField for SpanFields<'_> {
    #[inline(always)] // See `Values::value`.
    fn visit(&mut self, field: &Field, value: FieldValue<'_>) {
        let name = field_value::name(field);
        if is_special(name) {
            let text = self.values.display(name, value);
            if self.apply(name, &text) || !self.keep_attributes {
                return;
            }
            if value.is_text() {
                // Redacted above.
                return self.add(name, text.into_owned());
            }
        }
        if !self.keep_attributes {
            return;
        }
        if let FieldValue::Error(error) = value {
            let message = self.values.display(name, value).into_owned();
            for attribute in exception(name, error, &message, self.values) {
                self.values.limits.add(&mut self.attributes, &mut self.dropped, attribute);
            }
            self.add(name, message);
        } else {
            self.add(name, self.values.value(name, value));
        }
    }
}

/// The error of an event.
#[derive(Debug)]
pub(super) struct EventError {
    pub(super) text: String,
    /// How surely the field holds the error of the event.
    rank: u8,
    exception: Vec<KeyValue>,
}

/// The visited fields of an event.
#[derive(Debug)]
pub(super) struct EventFields<'a> {
    values: Values<'a>,
    /// Whether the level is `ERROR`.
    failure: bool,
    pub(super) attributes: Vec<KeyValue>,
    pub(super) dropped: u32,
    pub(super) message: Option<String>,
    pub(super) error: Option<Box<EventError>>,
    /// For an event from the `log` crate.
    pub(super) call: Option<Box<LogCall>>,
}

impl<'a> EventFields<'a> {
    #[inline]
    pub(super) fn of(event: &Event<'_>, limits: &'a SpanLimits, secrets: &'a Secrets) -> Self {
        let metadata = event.metadata();
        // Room for level and target.
        let capacity = metadata.fields().len() + 2;
        let mut fields = Self {
            values: Values { limits, secrets },
            failure: *metadata.level() == Level::ERROR,
            attributes: Vec::with_capacity(capacity.min(limits.event_attributes)),
            dropped: 0,
            message: None,
            error: None,
            call: is_log(metadata).then(Box::default),
        };
        event.record(&mut fields);
        if fields.error.is_some() {
            fields.add_exception();
        }
        fields
    }

    /// Adds the attributes of the error. They replace attributes with the same names.
    #[cold]
    fn add_exception(&mut self) {
        let exception = self.error.as_mut().map(|error| std::mem::take(&mut error.exception));
        for KeyValue { key, value, .. } in exception.into_iter().flatten() {
            match self.attributes.iter_mut().find(|old| old.key == key) {
                Some(old) => old.value = value,
                None => self.add(key, value),
            }
        }
    }

    pub(super) fn add(&mut self, key: impl Into<Key>, value: impl Into<Value>) {
        if self.attributes.len() < self.values.limits.event_attributes {
            self.attributes.push(KeyValue::new(key, value));
        } else {
            self.dropped = self.dropped.saturating_add(1);
        }
    }

    /// Adds a field with a text.
    fn put(&mut self, name: &'static str, text: String) {
        if name == "message" {
            self.message = Some(text);
        } else {
            self.add(name, text);
        }
    }

    /// Sets the error. A field with the name and the type of an error wins over one with the name, and that over one with the
    /// type.
    #[cold]
    fn set_error(&mut self, rank: u8, text: &str, exception: impl FnOnce() -> Vec<KeyValue>) {
        if self.error.as_ref().is_none_or(|error| rank >= error.rank) {
            self.error = Some(Box::new(EventError { text: text.to_owned(), rank, exception: exception() }));
        }
    }
}

impl VisitField for EventFields<'_> {
    #[inline(always)] // See `Values::value`.
    fn visit(&mut self, field: &Field, value: FieldValue<'_>) {
        let name = field_value::name(field);
        let values = self.values;
        if let Some(call) = &mut self.call
            && call.take(name, value, values.secrets)
        {
            return;
        }
        match value {
            FieldValue::Error(error) => {
                let text = values.display(name, value).into_owned();
                let rank = if is_error(name) { 3 } else { 1 };
                self.set_error(rank, &text, || exception(name, error, &text, values));
                self.put(name, text);
            }
            value if value.is_text() && is_error(name) => {
                let text = values.display(name, value).into_owned();
                let failure = self.failure;
                self.set_error(2, &text, || match failure {
                    true => vec![KeyValue::new("exception.message", text.clone())],
                    false => Vec::new(),
                });
                self.put(name, text);
            }
            value if name == "message" => self.message = Some(values.display(name, value).into_owned()),
            value => self.add(name, values.value(name, value)),
        }
    }
}

visits!(SpanFields<'_>, EventFields<'_>);

/// The attributes of an error: its message, its type if that is known, and its causes.
fn exception(
    name: &'static str,
    error: &(dyn Error + 'static),
    message: &str,
    values: Values<'_>,
) -> Vec<KeyValue> {
    let mut attributes = vec![KeyValue::new("exception.message", message.to_owned())];
    if let Some(kind) = type_name(error) {
        attributes.push(KeyValue::new("exception.type", values.text(name, &kind).into_owned()));
    }
    if has_cause(error) {
        // Redacted by the name of the field, like the error itself.
        let causes = values.chain(name, error, "\ncaused by: ");
        attributes.push(KeyValue::new("exception.stacktrace", causes));
    }
    attributes
}
