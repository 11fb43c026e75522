//! The `error.type` of an error.

use std::borrow::Cow;
use std::error::Error;

use tracing::Event;
use tracing::field::Field;

use super::field_value::{FieldValue, VisitField, guarded, visits};
use super::secrets::Secrets;
use crate::base::error::{Rejected, TimedOut, find_cause};
use crate::base::outcome::{FailureKind, kind_of, name_of};

/// The error type of an event: the field `error.type` or `exception.type`, otherwise the type of its error, if that is known.
pub(super) fn error_type(event: &Event<'_>, secrets: &Secrets) -> Option<Cow<'static, str>> {
    let mut kind = ErrorTypeVisitor { found: None, secrets };
    event.record(&mut kind);
    kind.found
}

/// The maximum length of a type, in bytes. A longer text is ignored.
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

/// The error type of `error`: a known type, then the kind of failure of a cause, as the layers name it, then the type's name.
pub(crate) fn kind_name(error: &(dyn Error + 'static)) -> Option<Cow<'static, str>> {
    let kind = match kind_of(error) {
        kind @ (FailureKind::Timeout | FailureKind::Overload) => Some(Cow::Borrowed(kind.as_str())),
        _ => None,
    };
    let known = known_type(error).filter(|_| !error.is::<std::io::Error>());
    known.map(Cow::Borrowed).or(kind).or_else(|| type_name(error))
}

/// The type of an error, if it is known or its `Debug` text begins with a name.
pub(super) fn type_name(error: &(dyn Error + 'static)) -> Option<Cow<'static, str>> {
    known_type(error).map(Cow::Borrowed).or_else(|| name_of(error).map(Cow::Owned))
}

/// The full path of the type, for types that a downcast finds.
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
