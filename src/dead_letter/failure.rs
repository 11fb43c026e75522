//! How a call failed, and how a letter records it.

use std::error::Error;
use std::time::{Duration, SystemTime};

use super::fingerprint::shape;
use super::letter::{Attempt, Letter};
use super::redact::LetterRedactor;
use crate::base::cut::shorten;
use crate::base::moment;
#[cfg(feature = "http")]
use crate::base::outcome::kind_of;
use crate::base::outcome::{Classify, FailureKind};
use crate::base::panics::{Panic, catch};
use crate::layers::attempts::{ErrorText, FailedAttempt, MESSAGE, Record, keep};
use crate::store::Fingerprint;

/// The maximum number of bytes of the message of one attempt. A letter may hold many.
const ATTEMPT_MESSAGE: usize = 1024;

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
        Self::said(kind, ErrorText::new(error_type, message))
    }

    pub(super) fn said(kind: FailureKind, said: ErrorText) -> Self {
        let ErrorText { error_type, message, causes } = said;
        Self { kind, error_type, message, causes }
    }

    pub(super) fn of_error(kind: FailureKind, error: &(dyn Error + 'static)) -> Self {
        Self::said(kind, ErrorText::of_error(error))
    }

    /// The failure of a response body that ended with `error`.
    #[cfg(feature = "http")]
    pub(super) fn of_body(error: &(dyn Error + 'static)) -> Self {
        let mut failure = Self::of_error(kind_of(error), error);
        failure.error_type = "body".to_owned();
        failure
    }

    pub(super) fn of_panic(panic: &Panic) -> Self {
        Self::new(FailureKind::Panic, "panic", panic.message().unwrap_or("the service panicked"))
    }

    /// The failure of a response that a classifier counts as one.
    pub(super) fn of_response(kind: FailureKind) -> Self {
        Self::said(kind, ErrorText::of_response())
    }

    /// Removes secrets, because a message may quote the request, and then shortens the texts.
    pub(super) fn redact(&mut self, redactor: &LetterRedactor) {
        self.clean(|text| redactor.message(text));
    }

    /// `redact` returns the text without its secrets, or `None` if there are none.
    fn clean(&mut self, mut redact: impl FnMut(&str) -> Option<String>) {
        for text in std::iter::once(&mut self.message).chain(&mut self.causes) {
            if let Some(clean) = redact(text) {
                *text = clean;
            }
            shorten(text, MESSAGE);
        }
    }

    /// The same for every failure with this cause.
    pub(super) fn fingerprint(&self, component: &str) -> Fingerprint {
        let message = shape(&self.message);
        let root = self.causes.last().map(|cause| shape(cause)).unwrap_or_default();
        Fingerprint::of([component, self.kind.as_str(), &self.error_type, &message, &root])
    }
}

/// The kind of failure of `error`, as `classifier` sees it. An error whose code panics is a failure.
pub(super) fn classified<T, E, C: Classify<T, E>>(classifier: &C, error: &E) -> Option<FailureKind> {
    catch(|| classifier.classify(Err(error)).failure()).unwrap_or(Some(FailureKind::Error))
}

/// A call that has failed.
#[doc(hidden)]
#[derive(Debug)]
pub struct FailedCall {
    pub(super) failure: Failure,
    /// How long the call took.
    pub(super) took: Duration,
    /// The attempts that retries in the call made.
    pub(super) record: Record,
}

impl FailedCall {
    /// The attempts that failed, without secrets, and the number of all attempts. `failure` is the end of the call, at
    /// `at`; `redrive` is the number of the redrive that made it, or 0.
    pub(super) fn attempts(
        self,
        at: SystemTime,
        redrive: u32,
        redactor: &LetterRedactor,
    ) -> (Failure, Vec<Attempt>, u32) {
        let Self { mut failure, took, record } = self;
        failure.redact(redactor);
        let (tried, tries) = record.end(FailedAttempt {
            at,
            took,
            kind: failure.kind,
            error_type: failure.error_type.clone(),
            message: failure.message.clone(),
        });
        let attempts = tried.into_iter().map(|tried| attempt(tried, redrive, redactor)).collect();
        (failure, attempts, tries)
    }
}

fn attempt(tried: FailedAttempt, redrive: u32, redactor: &LetterRedactor) -> Attempt {
    let FailedAttempt { at, took, kind, error_type, mut message } = tried;
    if let Some(clean) = redactor.message(&message) {
        message = clean;
    }
    shorten(&mut message, ATTEMPT_MESSAGE);
    Attempt { at, took: Some(took), kind, error_type, message, redrive: redrive > 0, redrive_number: redrive }
}

impl Letter {
    /// Records that a redrive of the letter failed.
    pub(super) fn record_failure(&mut self, call: FailedCall, redactor: &LetterRedactor) {
        self.last_failed = moment::now();
        self.redrives = self.redrives.saturating_add(1);
        let (failure, attempts, tries) = call.attempts(self.last_failed, self.redrives, redactor);
        self.tries = self.tries.saturating_add(tries);
        for attempt in attempts {
            keep(&mut self.attempts, attempt);
        }
        self.fingerprint = failure.fingerprint(&self.component);
        self.kind = failure.kind;
        self.error_type = failure.error_type;
        self.message = failure.message;
        self.causes = failure.causes;
        // The letter could be sent.
        self.unsendable = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(message: &str) -> Failure {
        Failure::new(FailureKind::Error, "E", message)
    }

    #[test]
    fn a_fingerprint_ignores_numbers_and_ids() {
        let print = |message| failure(message).fingerprint("payments");
        assert_eq!(
            print("order 0f8a-17 failed after 31.5 ms at 10.0.0.7:8080"),
            print("order 1b2c-99 failed after 2 ms at 10.0.0.8:443")
        );
        assert_ne!(print("order 7 failed"), print("order 7 timed out"));
        assert_ne!(failure("x").fingerprint("a"), failure("x").fingerprint("b"));
    }

    #[test]
    fn a_secret_at_the_limit_of_a_message_is_removed_before_the_cut() {
        let mut failure = failure(&format!("{}SECRET and so on", "é".repeat(MESSAGE / 2 - 1)));
        failure.clean(|text| text.contains("SECRET").then(|| text.replace("SECRET", "***")));
        assert_eq!(failure.message.len(), MESSAGE);
        assert!(failure.message.ends_with("é**"));
    }
}
