//! What kind of error it was.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use tracing::Event;
use tracing::field::{Field, Visit};

use super::secrets::Secrets;
use crate::error::{Rejected, TimedOut, find_cause};
use crate::outcome::{FailureKind, kind_of, name_of};

/// The kind of error that an event tells of, as far as it can be told: what a field says, else the type.
pub(super) fn error_type(event: &Event<'_>, secrets: &Secrets) -> Option<Cow<'static, str>> {
    let mut kind = Kind { found: None, secrets };
    event.record(&mut kind);
    kind.found
}

/// Longer texts are no kinds.
const LONGEST: usize = 128;

struct Kind<'a> {
    found: Option<Cow<'static, str>>,
    secrets: &'a Secrets,
}

impl Visit for Kind<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if matches!(field.name(), "error.type" | "exception.type") && value.len() <= LONGEST {
            self.found = Some(Cow::Owned(self.secrets.text(field.name(), value).into_owned()));
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        if self.found.is_none() {
            // What went wrong below is told before the type of the error around it, as the layers tell it.
            let kind = match kind_of(value) {
                kind @ (FailureKind::Timeout | FailureKind::Overload) => Some(Cow::Borrowed(kind.as_str())),
                _ => None,
            };
            let known = known_type(value).filter(|_| !value.is::<std::io::Error>());
            let kind = known.map(Cow::Borrowed).or(kind).or_else(|| type_name(value));
            self.found = kind.map(|kind| Cow::Owned(self.secrets.text(field.name(), &kind).into_owned()));
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
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
    if find_cause::<Rejected>(error).is_some() {
        return Some("campanile::Rejected");
    }
    find_cause::<TimedOut>(error).is_some().then_some("campanile::TimedOut")
}
