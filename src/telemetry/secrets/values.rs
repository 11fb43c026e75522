//! Values of fields, redacted and truncated.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use opentelemetry::Value;

use super::redact::{FieldClass, Secrets};
use crate::base::cut::{cut, shorten};
use crate::telemetry::field_value::{self, FieldValue};
use crate::telemetry::limits::SpanLimits;

/// How many bytes beyond the limit are searched, because a truncated secret would not be found.
const BEYOND: usize = 1_024;

/// Makes values of fields, redacted and within the limits.
#[derive(Clone, Copy, Debug)]
pub(in crate::telemetry) struct Values<'a> {
    pub(in crate::telemetry) limits: &'a SpanLimits,
    pub(in crate::telemetry) secrets: &'a Secrets,
}

impl Values<'_> {
    /// The text of a field `name`.
    #[inline]
    pub(in crate::telemetry) fn text<'a>(&self, name: &'static str, text: &'a str) -> Cow<'a, str> {
        self.text_of(self.secrets.class(name), text)
    }

    #[inline]
    fn text_of<'a>(&self, class: FieldClass, text: &'a str) -> Cow<'a, str> {
        match self.secrets.text_of(class, self.near(text)) {
            Cow::Borrowed(text) => Cow::Borrowed(self.limits.cut(text)),
            Cow::Owned(text) => Cow::Owned(self.cut(text)),
        }
    }

    #[inline]
    fn string(&self, name: &'static str, text: &str) -> Value {
        match self.secrets.class(name) {
            FieldClass::Secret(rule) => match self.secrets.secret_text(rule, text) {
                // The replacement may be static.
                Some(hidden) => Value::from(hidden),
                None => Value::from(self.text_of(FieldClass::Plain, text).into_owned()),
            },
            class => Value::from(self.text_of(class, text).into_owned()),
        }
    }

    #[inline]
    fn integer(&self, name: &'static str, number: i128) -> Value {
        match self.secrets.number(name, number) {
            Some(hidden) => Value::from(hidden),
            None => i64::try_from(number).map_or_else(|_| Value::from(number.to_string()), Value::I64),
        }
    }

    #[inline]
    fn other<T: fmt::Display + Into<Value>>(&self, name: &'static str, value: T) -> Value {
        match self.secrets.hidden(name, &value) {
            Some(hidden) => Value::from(hidden),
            None => value.into(),
        }
    }

    /// The text of `value`. The text of an error has no causes.
    #[inline(always)] // See `value`.
    pub(in crate::telemetry) fn display<'a>(
        &self,
        name: &'static str,
        value: FieldValue<'a>,
    ) -> Cow<'a, str> {
        match value {
            FieldValue::Text(text) => self.text(name, text),
            FieldValue::Debug(value) => self.owned(name, field_value::debug(self.room(), value)).into(),
            value => self.owned(name, value.text(self.room()).into_owned()).into(),
        }
    }

    /// The value of an attribute.
    #[inline(always)] // The variant is known at each call, so the match is removed.
    pub(in crate::telemetry) fn value(&self, name: &'static str, value: FieldValue<'_>) -> Value {
        match value {
            FieldValue::Integer(value) => self.integer(name, value),
            FieldValue::LargeInteger(large) => match self.secrets.hidden(name, &large) {
                Some(hidden) => hidden.into(),
                None => large.to_string().into(),
            },
            FieldValue::Float(value) => self.other(name, value),
            FieldValue::Bool(value) => self.other(name, value),
            FieldValue::Text(text) => self.string(name, text),
            FieldValue::Debug(value) => self.owned(name, field_value::debug(self.room(), value)).into(),
            value => self.owned(name, value.text(self.room()).into_owned()).into(),
        }
    }

    /// The text of `error` and its causes.
    pub(in crate::telemetry) fn chain(
        &self,
        name: &'static str,
        error: &(dyn Error + 'static),
        between: &str,
    ) -> String {
        self.owned(name, field_value::chain(self.room(), error, between))
    }

    fn owned(&self, name: &'static str, text: String) -> String {
        let clean = match self.secrets.text(name, &text) {
            // A borrowed replacement has another address.
            Cow::Borrowed(clean) if std::ptr::eq(clean, text.as_str()) => None,
            clean => Some(clean.into_owned()),
        };
        self.cut(clean.unwrap_or(text))
    }

    /// The number of bytes that are searched.
    fn room(&self) -> usize {
        self.limits.value_length.saturating_add(BEYOND)
    }

    fn near<'a>(&self, text: &'a str) -> &'a str {
        cut(text, self.room())
    }

    fn cut(&self, mut text: String) -> String {
        shorten(&mut text, self.limits.value_length);
        text
    }
}
