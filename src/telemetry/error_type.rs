//! What kind of error it was.

use std::borrow::Cow;
use std::error::Error;

use tracing::Event;
use tracing::field::Field;

use super::field_value::{FieldValue, VisitField, guarded, visits};
use super::secrets::Secrets;
use crate::base::error::{Rejected, TimedOut, find_cause};
use crate::base::outcome::{FailureKind, kind_of, name_of};

/// The kind of error that an event tells of, as far as it can be told: what a field says, else the type.
pub(super) fn error_type(event: &Event<'_>, secrets: &Secrets) -> Option<Cow<'static, str>> {
    let mut kind = ErrorTypeVisitor { found: None, secrets };
    event.record(&mut kind);
    kind.found
}

/// Longer texts are no kinds.
const LONGEST: usize = 128;

struct ErrorTypeVisitor<'a> {
    found: Option<Cow<'static, str>>,
    secrets: &'a Secrets,
}

impl VisitField for ErrorTypeVisitor<'_> {
    fn visit(&mut self, field: &Field, value: FieldValue<'_>) {
        let name = field.name();
        if matches!(name, "error.type" | "exception.type") {
            let text = value.text(LONGEST + 1);
            if text.len() <= LONGEST {
                self.found = Some(Cow::Owned(self.secrets.text(name, &text).into_owned()));
            }
        } else if let (FieldValue::Error(error), None) = (value, &self.found) {
            self.found = kind_name(error).map(|kind| Cow::Owned(self.secrets.text(name, &kind).into_owned()));
        }
    }
}

visits!(ErrorTypeVisitor<'_>);

/// The kind of an error that an event carries: what went wrong below is told before the type of the error around it, as
/// the layers tell it.
fn kind_name(error: &(dyn Error + 'static)) -> Option<Cow<'static, str>> {
    let kind = match kind_of(error) {
        kind @ (FailureKind::Timeout | FailureKind::Overload) => Some(Cow::Borrowed(kind.as_str())),
        _ => None,
    };
    let known = known_type(error).filter(|_| !error.is::<std::io::Error>());
    known.map(Cow::Borrowed).or(kind).or_else(|| type_name(error))
}

/// The type of an error, as far as it can be told.
pub(super) fn type_name(error: &(dyn Error + 'static)) -> Option<Cow<'static, str>> {
    known_type(error).map(Cow::Borrowed).or_else(|| name_of(error).map(Cow::Owned))
}

/// The type of an error, for types that can be told in full from behind `dyn Error`.
fn known_type(error: &(dyn Error + 'static)) -> Option<&'static str> {
    macro_rules! known {
        ($($name:ty),*) => { $(if error.is::<$name>() { return Some(std::any::type_name::<$name>()); })* };
    }
    known!(
        std::io::Error,
        std::fmt::Error,
        std::str::Utf8Error,
        std::num::ParseIntError,
        std::num::ParseFloatError,
        tower::timeout::error::Elapsed,
        tokio::time::error::Elapsed
    );
    guarded(|| match error {
        _ if find_cause::<Rejected>(error).is_some() => Some("campanile::Rejected"),
        _ if find_cause::<TimedOut>(error).is_some() => Some("campanile::TimedOut"),
        _ => None,
    })
    .flatten()
}
