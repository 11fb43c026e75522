//! How work failed.

use std::borrow::Cow;

use crate::base::error::{CallError, Cause};
use crate::base::outcome::{FailureKind, kind_of};
use crate::base::panics::Panic;
use crate::layers::attempts::ErrorText;

/// A failure: its kind, and the text of its error.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) kind: FailureKind,
    pub(super) text: ErrorText,
}

impl Failure {
    pub(super) fn of<K>(error: &impl Cause<K>) -> Self {
        error.ask(|error| Self { kind: kind_of(error), text: ErrorText::of_error(error) })
    }

    /// The failure of a call through retry or circuit.
    pub(super) fn of_call<K>(error: &CallError<impl Cause<K>>) -> Self {
        match error {
            CallError::Rejected(rejected) => Self::of(rejected),
            CallError::TimedOut(timed_out) => Self::of(timed_out),
            CallError::Inner(error) => Self::of(error),
        }
    }

    pub(super) fn of_panic(panic: &Panic) -> Self {
        Self::of_kind(FailureKind::Panic, panic.message().unwrap_or("it panicked"))
    }

    pub(super) fn of_kind(kind: FailureKind, message: &str) -> Self {
        Self { kind, text: ErrorText::new(kind.as_str(), message) }
    }

    /// The type of the failure: its kind, or the type of an error that is of no other kind.
    pub(super) fn label(&self) -> &str {
        if self.kind == FailureKind::Error { &self.text.error_type } else { self.kind.as_str() }
    }

    /// The message of the error, and of its causes if they say more.
    pub(super) fn line(&self) -> Cow<'_, str> {
        let mut line = Cow::Borrowed(&*self.text.message);
        for cause in self.text.causes.iter().filter(|cause| !cause.is_empty()) {
            if !line.contains(&**cause) {
                let line = line.to_mut();
                line.push_str(": ");
                line.push_str(cause);
            }
        }
        line
    }
}
