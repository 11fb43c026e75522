//! What kind of error it was.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use tracing::Event;
use tracing::field::{Field, Visit};

use crate::error::{Rejected, TimedOut, find_cause};

/// The kind of error that an event tells of, as far as it can be told: what a field says, else the type.
pub(super) fn error_type(event: &Event<'_>) -> Option<Cow<'static, str>> {
    let mut kind = Kind(None);
    event.record(&mut kind);
    kind.0
}

/// Longer texts are no kinds.
const LONGEST: usize = 128;

struct Kind(Option<Cow<'static, str>>);

impl Visit for Kind {
    fn record_str(&mut self, field: &Field, value: &str) {
        if matches!(field.name(), "error.type" | "exception.type") && value.len() <= LONGEST {
            self.0 = Some(Cow::Owned(value.to_owned()));
        }
    }

    fn record_error(&mut self, _: &Field, value: &(dyn Error + 'static)) {
        if self.0.is_none() {
            self.0 = type_name(value).map(Cow::Borrowed);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

/// The type of an error, for the few types that can be told from behind `dyn Error`.
pub(super) fn type_name(error: &(dyn Error + 'static)) -> Option<&'static str> {
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
