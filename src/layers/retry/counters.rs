//! The counters of a handle.

use std::collections::BTreeMap;

use super::snapshot::{GiveUp, RetrySnapshot};
use crate::base::sync::atomic::{AtomicU64, Ordering};

/// The counters of one handle. The budget counts the calls that succeed at once.
#[derive(Debug, Default)]
pub(super) struct Counters {
    late_successes: AtomicU64,
    cancelled: AtomicU64,
    retries: AtomicU64,
    given_up: [AtomicU64; GiveUp::ALL.len()],
}

impl Counters {
    /// Counts a call that succeeded after a failed attempt.
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
