//! The values of fields.
//!
//! Spans, events, log records, labels and the console get values through this module, so all of them show the same text.
//! `Debug`, `Display` and `source` are user code. They may panic, write without end, or form a ring.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::{self, Write};

use tracing::field::Field;

use crate::base::cut::cut;
use crate::base::panics::catch;

/// The maximum number of causes that are shown, because a chain can be a ring.
const CAUSES: usize = 16;

/// The value of a field.
#[derive(Clone, Copy)]
pub(super) enum FieldValue<'a> {
    Integer(i128),
    /// Larger than every `i128`.
    LargeInteger(u128),
    Float(f64),
    Bool(bool),
    Text(&'a str),
    /// A value with `%` or `?`, or bytes.
    Debug(&'a dyn fmt::Debug),
    Error(&'a (dyn Error + 'static)),
}

impl<'a> FieldValue<'a> {
    /// Up to `room` bytes of the text of the value. The text of an error has no causes.
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

    /// Whether the value is a text, or printed as one.
    #[inline]
    pub(super) fn is_text(self) -> bool {
        matches!(self, Self::Text(_) | Self::Debug(_) | Self::Error(_))
    }
}

/// Visits each field with its value.
pub(super) trait VisitField {
    fn visit(&mut self, field: &Field, value: FieldValue<'_>);
}

/// Implements `Visit` for types that implement [`VisitField`].
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

/// The name of a field, without the prefix `r#` of a raw identifier.
#[inline]
pub(super) fn name(field: &Field) -> &'static str {
    let name = field.name();
    name.strip_prefix("r#").unwrap_or(name)
}

/// Whether a field with this name holds an error.
#[inline]
pub(super) fn is_error(name: &str) -> bool {
    matches!(name, "error" | "exception")
}

/// Up to `room` bytes of the `Debug` text of `value`.
pub(super) fn debug(room: usize, value: &dyn fmt::Debug) -> String {
    printed(room, |out| write!(out, "{value:?}"))
}

/// Up to `room` bytes of the text of an error and its causes, with `between` before each cause.
pub(super) fn chain(room: usize, error: &(dyn Error + 'static), between: &str) -> String {
    printed(room, |out| {
        write!(out, "{error}")?;
        let mut causes = std::iter::successors(error.source(), |&cause| cause.source()).take(CAUSES);
        causes.try_for_each(|cause| write!(out, "{between}{cause}"))
    })
}

/// Whether `error` has a cause.
pub(super) fn has_cause(error: &(dyn Error + 'static)) -> bool {
    guarded(|| error.source().is_some()).unwrap_or(false)
}

/// The result of `action`, or `None` if it panics.
pub(super) fn guarded<R>(action: impl FnOnce() -> R) -> Option<R> {
    catch(action).ok()
}

/// Up to `room` bytes of what `print` writes.
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
        // Stops the printing.
        Err(fmt::Error)
    }
}
