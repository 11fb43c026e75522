//! How a call failed.

use std::error::Error;
use std::time::{Duration, SystemTime};

use super::shape::shape;
use crate::base::cut::shorten;
#[cfg(feature = "http")]
use crate::base::outcome::kind_of;
use crate::base::outcome::{Classify, FailureKind};
use crate::base::panics::{Panic, catch};
use crate::layers::attempts::{MESSAGE, Record, Said, Tried};
use crate::store::Fingerprint;

/// How a call failed, in words.
#[derive(Clone, Debug)]
pub struct Failure {
    pub(super) kind: FailureKind,
    pub(super) error_type: String,
    pub(super) message: String,
    pub(super) causes: Vec<String>,
}

impl Failure {
    pub(super) fn new(kind: FailureKind, error_type: impl Into<String>, message: &str) -> Self {
        Self::said(kind, Said::new(error_type, message))
    }

    pub(super) fn said(kind: FailureKind, said: Said) -> Self {
        let Said { error_type, message, causes } = said;
        Self { kind, error_type, message, causes }
    }

    /// From an error.
    pub(super) fn of_error(kind: FailureKind, error: &(dyn Error + 'static)) -> Self {
        Self::said(kind, Said::by_error(error))
    }

    /// From an error of the body of a response, which broke off.
    #[cfg(feature = "http")]
    pub(super) fn of_body(error: &(dyn Error + 'static)) -> Self {
        let mut failure = Self::of_error(kind_of(error), error);
        failure.error_type = "body".to_owned();
        failure
    }

    /// From what a panic carried.
    pub(super) fn of_panic(panic: &Panic) -> Self {
        Self::new(FailureKind::Panic, "panic", panic.message().unwrap_or("the service panicked"))
    }

    /// From a response that a classifier took for a failure.
    pub(super) fn of_response(kind: FailureKind) -> Self {
        Self::said(kind, Said::answer())
    }

    /// Takes secrets out by `redact`, which gives the text that stands in the place of one, and then what is too long.
    pub(super) fn clean(&mut self, mut redact: impl FnMut(&str) -> Option<String>) {
        for text in std::iter::once(&mut self.message).chain(&mut self.causes) {
            if let Some(clean) = redact(text) {
                *text = clean;
            }
            shorten(text, MESSAGE);
        }
    }

    /// The same for every failure of this cause.
    pub(super) fn fingerprint(&self, component: &str) -> Fingerprint {
        let message = shape(&self.message);
        let root = self.causes.last().map(|cause| shape(cause)).unwrap_or_default();
        Fingerprint::of([component, self.kind.as_str(), &self.error_type, &message, &root])
    }
}

/// What `classifier` says of an error. It is asked for the causes of that, which is code of others: where that
/// panics, the caller gets its error nevertheless.
pub(super) fn classified<T, E, C: Classify<T, E>>(classifier: &C, error: &E) -> Option<FailureKind> {
    catch(|| classifier.classify(Err(error)).failure()).unwrap_or(Some(FailureKind::Error))
}

/// A call that has failed.
#[doc(hidden)]
#[derive(Debug)]
pub struct Ended {
    pub(super) failure: Failure,
    /// How long the call took.
    pub(super) took: Duration,
    /// The attempts that were made in it.
    pub(super) record: Record,
}

impl Ended {
    /// The attempts that failed, and how many there were in all.
    pub(super) fn attempts(
        record: Record,
        failure: &Failure,
        at: SystemTime,
        took: Duration,
    ) -> (Vec<Tried>, u32) {
        record.end(Tried {
            at,
            took,
            kind: failure.kind,
            error_type: failure.error_type.clone(),
            message: failure.message.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(message: &str) -> Failure {
        Failure::new(FailureKind::Error, "E", message)
    }

    #[test]
    fn a_fingerprint_leaves_numbers_and_ids_out() {
        let print = |message| failure(message).fingerprint("payments");
        assert_eq!(
            print("order 0f8a-17 failed after 31.5 ms at 10.0.0.7:8080"),
            print("order 1b2c-99 failed after 2 ms at 10.0.0.8:443")
        );
        assert_ne!(print("order 7 failed"), print("order 7 timed out"));
        assert_ne!(failure("x").fingerprint("a"), failure("x").fingerprint("b"));
    }

    #[test]
    fn a_secret_at_the_end_of_what_is_kept_is_taken_out_whole() {
        let mut failure = failure(&format!("{}SECRET and so on", "é".repeat(MESSAGE / 2 - 1)));
        failure.clean(|text| text.contains("SECRET").then(|| text.replace("SECRET", "***")));
        assert_eq!(failure.message.len(), MESSAGE);
        assert!(failure.message.ends_with("é**"));
    }
}
