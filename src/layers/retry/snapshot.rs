//! The counts of a retry, and the reasons why a failed call was not tried again.

use std::collections::BTreeMap;

use serde::Serialize;

words! {
    /// Why a failed call was not tried again.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
    #[serde(rename_all = "snake_case")]
    #[non_exhaustive]
    pub enum GiveUp {
        /// The maximum number of attempts was reached.
        Attempts = "attempts",
        /// The deadline passed, or the next wait would reach it, or a time limit of an outer layer of this crate ended the
        /// call.
        Deadline = "deadline",
        /// The budget had no retry left.
        Budget = "budget",
        /// An inner layer, such as a circuit breaker, refused it.
        Rejected = "rejected",
        /// The classifier says that the failure is permanent.
        Permanent = "permanent",
        /// Sending it again could do its work twice.
        NotIdempotent = "not_idempotent",
        /// Its body is larger than [`RetrySettings::body_cap`](super::RetrySettings::body_cap), or the stream of the
        /// body failed.
        Body = "body",
        /// `poll_ready` of the service returned an error.
        NotReady = "not_ready",
        /// The server forbids a retry by a negative `grpc-retry-pushback-ms`.
        Forbidden = "forbidden",
    }
    /// The reason in snake case, as in metrics.
    pub(crate) as_str;
    /// Every reason.
    pub(crate) ALL;
}

/// The counts of a [`Retry`](crate::Retry) since it was made.
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
    /// Failures, by the reason why no attempt followed.
    pub given_up: BTreeMap<GiveUp, u64>,
    /// Retries that the budget allows now; `None` without a budget.
    pub budget_left: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_its_index_in_the_list() {
        for (index, why) in GiveUp::ALL.into_iter().enumerate() {
            assert_eq!(why as usize, index);
        }
    }
}
