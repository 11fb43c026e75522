//! The counts of a retry.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::base::sync::atomic::{AtomicU64, Ordering};

words! {
    /// Why a failed call was not tried again.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
    #[serde(rename_all = "snake_case")]
    #[non_exhaustive]
    pub enum GiveUp {
        /// The maximum number of attempts was reached.
        Attempts = "attempts",
        /// The deadline passed, or the next wait would reach it; or a layer of this crate further out ended the call for
        /// time.
        Deadline = "deadline",
        /// The budget had no retry left.
        Budget = "budget",
        /// A layer further in, such as a circuit breaker, refused it.
        Rejected = "rejected",
        /// The classifier says that the failure is permanent.
        Permanent = "permanent",
        /// Sending it again could do its work twice.
        NotIdempotent = "not_idempotent",
        /// Its body is larger than the cap for replays, or broke off.
        Body = "body",
        /// `poll_ready` of the service returned an error.
        NotReady = "not_ready",
        /// The server forbids a retry by a negative `grpc-retry-pushback-ms`.
        Forbidden = "forbidden",
    }
    /// The reason as a metric attribute, in snake case.
    pub as_str;
    /// Every reason.
    pub ALL;
}

/// What a [`Retry`](crate::Retry) has counted since it was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RetrySnapshot {
    /// Calls that ended: successes, failures and cancelled ones.
    pub calls: u64,
    /// Calls that succeeded, at any attempt.
    pub successes: u64,
    /// Calls that failed after their last attempt.
    pub failures: u64,
    /// Calls whose future was dropped before its end, except by a time limit of this crate.
    pub cancelled: u64,
    /// Attempts after the first.
    pub retries: u64,
    /// The failures by the reason why no attempt followed.
    pub given_up: BTreeMap<GiveUp, u64>,
    /// Retries that the budget allows now; `None` without a budget.
    pub budget_left: Option<u64>,
}

/// The counters of one handle. Calls that succeed at once are counted by the budget.
#[derive(Debug, Default)]
pub(super) struct Tally {
    late_successes: AtomicU64,
    cancelled: AtomicU64,
    retries: AtomicU64,
    given_up: [AtomicU64; GiveUp::ALL.len()],
}

impl Tally {
    /// A call succeeded after a failed attempt.
    pub(super) fn late_success(&self) {
        self.late_successes.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn cancelled(&self) {
        self.cancelled.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn retry(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn give_up(&self, why: GiveUp) {
        self.given_up[why as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn snapshot(&self, early_successes: u64, budget_left: Option<u64>) -> RetrySnapshot {
        let given_up: BTreeMap<GiveUp, u64> = GiveUp::ALL
            .into_iter()
            .map(|why| (why, self.given_up[why as usize].load(Ordering::Relaxed)))
            .collect();
        let successes = early_successes + self.late_successes.load(Ordering::Relaxed);
        let failures = given_up.values().sum();
        let cancelled = self.cancelled.load(Ordering::Relaxed);
        RetrySnapshot {
            calls: successes + failures + cancelled,
            successes,
            failures,
            cancelled,
            retries: self.retries.load(Ordering::Relaxed),
            given_up,
            budget_left,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_the_place_in_the_list() {
        for (place, why) in GiveUp::ALL.into_iter().enumerate() {
            assert_eq!(why as usize, place);
        }
    }
}
