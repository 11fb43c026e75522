//! What the value of a field says, wherever it is shown.
//!
//! Spans, events, log records, labels and the console see values through this module, so that they agree about them.
//! `Debug`, `Display` and `source` are code of the user. They may panic, write without end, or lead in a ring.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::{self, Write};

use tracing::field::Field;

use crate::base::cut::cut;
use crate::base::panics::catch;

/// Causes of an error that are shown: a chain can be a ring.
const CAUSES: usize = 16;

/// The value of a field.
#[derive(Clone, Copy)]
pub(super) enum FieldValue<'a> {
    Integer(i128),
    /// Beyond every other integer.
    LargeInteger(u128),
    Float(f64),
    Bool(bool),
    Text(&'a str),
    /// What `%` and `?` give, and bytes.
    Debug(&'a dyn fmt::Debug),
    Error(&'a (dyn Error + 'static)),
}

impl<'a> FieldValue<'a> {
    /// Up to `room` bytes of what it says; of an error, without its causes.
    #[inline]
    pub(super) fn text(self, room: usize) -> Cow<'a, str> {
        match self {
            Self::Integer(value) => Cow::Owned(value.to_string()),
            Self::LargeInteger(value) => Cow::Owned(value.to_string()),
            Self::Float(value) => Cow::Owned(value.to_string()),
            Self::Bool(value) => Cow::Borrowed(if value { "true" } else { "false" }),
            Self::Text(text) => Cow::Borrowed(cut(text, room)),
            Self::Debug(value) => Cow::Owned(debug(room, value)),
            Self::Error(error) => Cow::Owned(printed(room, |out| write!(out, "{error}"))),
        }
    }

    /// Whether it is a text, or known by what it prints.
    #[inline]
    pub(super) fn is_text(self) -> bool {
        matches!(self, Self::Text(_) | Self::Debug(_) | Self::Error(_))
    }
}

/// Takes the value of each field.
pub(super) trait VisitField {
    fn visit(&mut self, field: &Field, value: FieldValue<'_>);
}

/// Makes visitors of types that take values.
macro_rules! visits {
    ($($visitor:ty),+) => { $(
        impl tracing::field::Visit for $visitor {
            fn record_i64(&mut self, field: &Field, value: i64) {
                self.visit(field, FieldValue::Integer(value.into()));
            }

            fn record_u64(&mut self, field: &Field, value: u64) {
                self.visit(field, FieldValue::Integer(value.into()));
            }

            fn record_i128(&mut self, field: &Field, value: i128) {
                self.visit(field, FieldValue::Integer(value));
            }

            fn record_u128(&mut self, field: &Field, value: u128) {
                self.visit(field, i128::try_from(value).map_or(FieldValue::LargeInteger(value), FieldValue::Integer));
            }

            fn record_f64(&mut self, field: &Field, value: f64) {
                self.visit(field, FieldValue::Float(value));
            }

            fn record_bool(&mut self, field: &Field, value: bool) {
                self.visit(field, FieldValue::Bool(value));
            }

            fn record_str(&mut self, field: &Field, value: &str) {
                self.visit(field, FieldValue::Text(value));
            }

            fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
                self.visit(field, FieldValue::Debug(value));
            }

            fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
                self.visit(field, FieldValue::Error(value));
            }
        }
    )+ };
}

pub(super) use visits;

/// The name of a field. A raw identifier, as in `r#type = 1`, is known by what follows its prefix.
#[inline]
pub(super) fn name(field: &Field) -> &'static str {
    let name = field.name();
    name.strip_prefix("r#").unwrap_or(name)
}

/// Whether a field of this name tells of an error, in whichever way it is written.
#[inline]
pub(super) fn is_error(name: &str) -> bool {
    matches!(name, "error" | "exception")
}

/// Up to `room` bytes of what `value` prints.
pub(super) fn debug(room: usize, value: &dyn fmt::Debug) -> String {
    printed(room, |out| write!(out, "{value:?}"))
}

/// An error and its causes, with `between` before each cause, in up to `room` bytes.
pub(super) fn chain(room: usize, error: &(dyn Error + 'static), between: &str) -> String {
    printed(room, |out| {
        write!(out, "{error}")?;
        let mut causes = std::iter::successors(error.source(), |&cause| cause.source()).take(CAUSES);
        causes.try_for_each(|cause| write!(out, "{between}{cause}"))
    })
}

/// Whether `error` names a cause.
pub(super) fn has_cause(error: &(dyn Error + 'static)) -> bool {
    guarded(|| error.source().is_some()).unwrap_or(false)
}

/// What `action` gives, unless it panics.
pub(super) fn guarded<R>(action: impl FnOnce() -> R) -> Option<R> {
    catch(action).ok()
}

/// What `print` writes, in up to `room` bytes.
#[inline]
fn printed(room: usize, print: impl FnOnce(&mut Bounded) -> fmt::Result) -> String {
    let mut out = Bounded { text: String::new(), room, full: false };
    match guarded(|| print(&mut out)) {
        Some(Err(fmt::Error)) if !out.full => out.text += "(it cannot be printed)",
        Some(_) => {}
        None => out.text += "(it panicked)",
    }
    out.text
}

struct Bounded {
    text: String,
    room: usize,
    full: bool,
}

impl Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.room.saturating_sub(self.text.len());
        if text.len() <= room {
            self.text.push_str(text);
            return Ok(());
        }
        self.text.push_str(cut(text, room));
        self.full = true;
        // It stops the printing: there is no use for the rest.
        Err(fmt::Error)
    }
}
