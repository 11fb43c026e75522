//! A call that has ended, and how it counts.

use std::time::Duration;

use crate::base::outcome::{FailureKind, Outcome};

/// A call that has ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct CompletedCall {
    pub(super) outcome: Outcome,
    pub(super) slow: bool,
    pub(super) elapsed: Option<Duration>,
}

impl CompletedCall {
    /// Whether it is a failure for a closed circuit; `None` if it is ignored.
    pub(super) fn failed_closed(&self) -> Option<bool> {
        match self.outcome {
            Outcome::Success => Some(false),
            Outcome::Ignored => None,
            Outcome::Failure(kind) | Outcome::Permanent(kind) => match kind {
                // An overloaded service is not broken, and a refusal by another breaker says nothing about this service.
                FailureKind::Overload | FailureKind::Rejected => None,
                _ => Some(true),
            },
        }
    }

    /// Whether it is a failure of a probe; `None` if it is ignored.
    pub(super) fn failed_as_probe(&self) -> Option<bool> {
        match self.outcome {
            Outcome::Success => Some(false),
            Outcome::Ignored
            | Outcome::Failure(FailureKind::Rejected)
            | Outcome::Permanent(FailureKind::Rejected) => None,
            Outcome::Failure(_) | Outcome::Permanent(_) => Some(true),
        }
    }
}
