//! From the fields of spans and events to attributes.

use std::error::Error;
use std::fmt;

use opentelemetry::trace::SpanKind;
use opentelemetry::{Key, KeyValue, Value};
use tracing::field::{Field, FieldSet, Visit};

use super::error_type::type_name;
use super::limits::SpanLimits;
use super::secrets::{Secrets, Values};
use super::spans::Verdict;
use crate::error::sources;

/// Which of the fields that mean something to the layer a callsite has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Special(u8);

impl Special {
    /// A field steers the layer.
    const STEERS: u8 = 1;
    /// Two fields may make attributes of one name.
    const TWINS: u8 = 2;
    /// A field may have the name of an attribute that says where in the code the span stands.
    const PLACE: u8 = 4;

    pub(super) fn of(fields: &FieldSet) -> Self {
        let count = |name: &str| fields.iter().filter(|field| field.name() == name).count();
        Self(fields.iter().fold(0, |bits, field| match field.name() {
            "otel.name" | "otel.status_code" | "component" | "error.type" => bits | Self::STEERS,
            name if name.starts_with("code.") => bits | Self::PLACE,
            name if name.starts_with("exception.") => bits | Self::TWINS,
            _ => bits,
        } | if count(field.name()) > 1 { Self::TWINS } else { 0 }))
    }

    /// Whether an unsampled span of this callsite has fields worth a look.
    pub(super) fn any(self) -> bool {
        self.0 & Self::STEERS != 0
    }

    /// Whether no two fields of a span make attributes of one name.
    pub(super) fn distinct(self) -> bool {
        self.0 & Self::TWINS == 0
    }

    /// Whether a field may say where in the code the span stands.
    pub(super) fn places(self) -> bool {
        self.0 & Self::PLACE != 0
    }
}

/// What the fields of a span say.
#[derive(Debug)]
pub(super) struct SpanFields<'a> {
    values: Values<'a>,
    /// Whether attributes are wanted, or only what steers the layer.
    keep: bool,
    /// Whether no two of them make attributes of one name.
    pub(super) distinct: bool,
    pub(super) attributes: Vec<KeyValue>,
    pub(super) dropped: u32,
    pub(super) name: Option<String>,
    pub(super) component: Option<String>,
    pub(super) kind: Option<SpanKind>,
    pub(super) status: Option<Verdict>,
    pub(super) description: Option<String>,
    pub(super) error_type: Option<String>,
}

impl<'a> SpanFields<'a> {
    pub(super) fn all(limits: &'a SpanLimits, secrets: &'a Secrets, capacity: usize) -> Self {
        Self {
            values: Values { limits, secrets },
            keep: true,
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
        Self { keep: false, ..Self::all(limits, secrets, 0) }
    }

    fn add(&mut self, key: impl Into<Key>, value: impl Into<Value>) {
        if !self.keep {
            return;
        }
        let attribute = KeyValue::new(key, value);
        if self.distinct && self.attributes.len() < self.values.limits.attributes {
            self.attributes.push(attribute);
        } else {
            self.values.limits.add(&mut self.attributes, &mut self.dropped, attribute);
        }
    }

    /// Takes a text for a field that steers the layer; `false` if it is none of those.
    fn steer(&mut self, field: &Field, text: &str) -> bool {
        match field.name() {
            "otel.name" => self.name = Some(text.to_owned()),
            "otel.kind" => self.kind = kind(text),
            "otel.status_code" => self.status = status(text),
            "otel.status_description" => self.description = Some(text.to_owned()),
            "component" => {
                self.component = Some(text.to_owned());
                // It also is an attribute.
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

fn status(text: &str) -> Option<Verdict> {
    [("ok", Verdict::Ok), ("error", Verdict::Error), ("unset", Verdict::None)]
        .into_iter()
        .find_map(|(name, status)| name.eq_ignore_ascii_case(text).then_some(status))
}

fn is_special(name: &str) -> bool {
    name == "component" || name == "error.type" || name.starts_with("otel.")
}

impl Visit for SpanFields<'_> {
    fn record_i64(&mut self, field: &Field, value: i64) {
        if self.keep {
            self.add(field.name(), self.values.integer(field.name(), value.into()));
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if self.keep {
            self.add(field.name(), self.values.integer(field.name(), value.into()));
        }
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        if self.keep {
            self.add(field.name(), self.values.string(field.name(), &value.to_string()));
        }
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        if self.keep {
            self.add(field.name(), self.values.string(field.name(), &value.to_string()));
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        if self.keep {
            self.add(field.name(), self.values.other(field.name(), value));
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        if self.keep {
            self.add(field.name(), self.values.other(field.name(), value));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if is_special(field.name()) {
            let text = self.values.text(field.name(), value);
            if !self.steer(field, &text) {
                self.add(field.name(), text.into_owned());
            }
        } else if self.keep {
            self.add(field.name(), self.values.string(field.name(), value));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if self.keep || is_special(field.name()) {
            let text = self.values.render(field.name(), value);
            if !self.steer(field, &text) {
                self.add(field.name(), text);
            }
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        if self.keep {
            exception(field, value, self.values, &mut |key, value| {
                self.values.limits.add(&mut self.attributes, &mut self.dropped, KeyValue::new(key, value));
            });
        }
    }
}

/// What the fields of an event say.
#[derive(Debug)]
pub(super) struct EventFields<'a> {
    values: Values<'a>,
    pub(super) attributes: Vec<KeyValue>,
    pub(super) dropped: u32,
    pub(super) message: Option<String>,
    /// The text of the error that the event carries, if it carries one.
    pub(super) error: Option<String>,
}

impl<'a> EventFields<'a> {
    pub(super) fn new(limits: &'a SpanLimits, secrets: &'a Secrets, capacity: usize) -> Self {
        Self {
            values: Values { limits, secrets },
            attributes: Vec::with_capacity(capacity.min(limits.event_attributes)),
            dropped: 0,
            message: None,
            error: None,
        }
    }

    pub(super) fn add(&mut self, key: impl Into<Key>, value: impl Into<Value>) {
        if self.attributes.len() < self.values.limits.event_attributes {
            self.attributes.push(KeyValue::new(key, value));
        } else {
            self.dropped = self.dropped.saturating_add(1);
        }
    }
}

impl Visit for EventFields<'_> {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field.name(), self.values.integer(field.name(), value.into()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field.name(), self.values.integer(field.name(), value.into()));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field.name(), self.values.other(field.name(), value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field.name(), self.values.other(field.name(), value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message = Some(self.values.text("message", value).into_owned());
        } else {
            self.add(field.name(), self.values.string(field.name(), value));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = self.values.render(field.name(), value);
        match field.name() {
            "message" => self.message = Some(text),
            name => {
                // What `#[instrument(err)]` leaves.
                if name == "error" {
                    self.error = Some(text.clone());
                }
                self.add(name, text);
            }
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.error = Some(self.values.render(field.name(), &format_args!("{value}")));
        exception(field, value, self.values, &mut |key, value| self.add(key, value));
    }
}

/// The attributes of an error: what it says, what it is where its type is known, and what caused it.
fn exception(
    field: &Field,
    error: &(dyn Error + 'static),
    values: Values<'_>,
    add: &mut dyn FnMut(&'static str, Value),
) {
    let name = field.name();
    let message = values.render(name, &format_args!("{error}"));
    if !matches!(name, "error" | "exception") {
        add(name, message.clone().into());
    }
    add("exception.message", message.into());
    if let Some(kind) = type_name(error) {
        add("exception.type", values.text(name, &kind).into_owned().into());
    }
    if sources(error).nth(1).is_some() {
        let causes = Causes(error);
        // By the name of the field: what is secret under it is so with its causes.
        add("exception.stacktrace", values.render(name, &format_args!("{causes}")).into());
    }
}

struct Causes<'a>(&'a (dyn Error + 'static));

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        sources(self.0).skip(1).try_for_each(|cause| write!(f, "\ncaused by: {cause}"))
    }
}
