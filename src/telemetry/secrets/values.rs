//! Values of fields, without secrets and no longer than they may be.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use opentelemetry::Value;

use super::{Mark, Secrets};
use crate::cut::{cut, shorten};
use crate::telemetry::limits::SpanLimits;

/// How much further than it may reach a text is looked at: what is cut off of a secret would keep it from being
/// found.
const BEYOND: usize = 1_024;

/// Makes values of fields: without secrets, and within the limits.
#[derive(Clone, Copy, Debug)]
pub(in crate::telemetry) struct Values<'a> {
    pub(in crate::telemetry) limits: &'a SpanLimits,
    pub(in crate::telemetry) secrets: &'a Secrets,
}

impl Values<'_> {
    /// The text that goes by `name`.
    #[inline]
    pub(in crate::telemetry) fn text<'a>(&self, name: &'static str, text: &'a str) -> Cow<'a, str> {
        self.marked(self.secrets.mark(name), text)
    }

    #[inline]
    fn marked<'a>(&self, mark: Mark, text: &'a str) -> Cow<'a, str> {
        match self.secrets.marked(mark, self.near(text)) {
            Cow::Borrowed(text) => Cow::Borrowed(self.limits.cut(text)),
            Cow::Owned(text) => Cow::Owned(self.cut(text)),
        }
    }

    #[inline]
    pub(in crate::telemetry) fn string(&self, name: &'static str, text: &str) -> Value {
        match self.secrets.mark(name) {
            Mark::Secret(rule) => match self.secrets.instead(rule, text) {
                // The marker needs no memory of its own.
                Some(hidden) => Value::from(hidden),
                None => Value::from(self.marked(Mark::None, text).into_owned()),
            },
            mark => Value::from(self.marked(mark, text).into_owned()),
        }
    }

    #[inline]
    pub(in crate::telemetry) fn integer(&self, name: &'static str, number: i128) -> Value {
        match self.secrets.number(name, number) {
            Some(hidden) => Value::from(hidden),
            None => i64::try_from(number).map_or_else(|_| Value::from(number.to_string()), Value::I64),
        }
    }

    #[inline]
    pub(in crate::telemetry) fn other<T: fmt::Display + Into<Value>>(
        &self,
        name: &'static str,
        value: T,
    ) -> Value {
        match self.secrets.hidden(name, &value) {
            Some(hidden) => Value::from(hidden),
            None => value.into(),
        }
    }

    /// `value` as text that stops growing near the limit, however much it would print.
    pub(in crate::telemetry) fn render(&self, name: &'static str, value: &dyn fmt::Debug) -> String {
        struct Bounded(String, usize);

        impl fmt::Write for Bounded {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                let room = self.1.saturating_sub(self.0.len());
                self.0.push_str(cut(text, room));
                // The error stops the printing: there is no use for the rest.
                if room < text.len() { Err(fmt::Error) } else { Ok(()) }
            }
        }

        let mut bounded = Bounded(String::new(), self.limits.value_length.saturating_add(BEYOND));
        let _cut_short = write!(bounded, "{value:?}");
        let clean = match self.secrets.text(name, &bounded.0) {
            // Not the marker, which is borrowed as well.
            Cow::Borrowed(text) if std::ptr::eq(text, bounded.0.as_str()) => None,
            clean => Some(clean.into_owned()),
        };
        self.cut(clean.unwrap_or(bounded.0))
    }

    fn near<'a>(&self, text: &'a str) -> &'a str {
        cut(text, self.limits.value_length.saturating_add(BEYOND))
    }

    fn cut(&self, mut text: String) -> String {
        shorten(&mut text, self.limits.value_length);
        text
    }
}
