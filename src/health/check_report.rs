//! What is known of a check.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::health::numbers::seconds;

/// What is known of one check.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CheckReport {
    /// The component that it is about.
    pub component: Arc<str>,
    /// Its name; that of the component when it has none of its own.
    pub check: Arc<str>,
    /// What counts, by `Every::failures` and `Every::successes` of the check.
    pub outcome: CheckOutcome,
    /// What the last run found, which may not count yet.
    pub last: CheckOutcome,
    /// What was amiss at the last run.
    pub message: Option<Arc<str>>,
    /// How long the last run took.
    #[serde(serialize_with = "seconds")]
    pub took: Duration,
    /// When the last run ended.
    pub at: Option<SystemTime>,
    /// Runs so far that ended.
    pub runs: u64,
    /// Of these, how many failed.
    pub failures: u64,
    /// Failures since the last pass.
    pub failures_in_a_row: u64,
    /// Whether it ever passed.
    pub passed_once: bool,
    /// The most that a run may take.
    #[serde(serialize_with = "seconds")]
    pub timeout: Duration,
}

words! {
    /// How a check went.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
    #[serde(rename_all = "snake_case")]
    #[non_exhaustive]
    pub enum CheckOutcome {
        /// It has not run yet.
        Pending = "pending",
        /// All is well.
        Pass = "pass",
        /// It works, and something is amiss.
        Warn = "warn",
        /// It does not work.
        Fail = "fail",
        /// It did not end in time.
        TimedOut = "timed_out",
        /// It panicked.
        Panicked = "panicked",
    }
    /// The outcome in one word, in lower case.
    pub as_str;
}

impl CheckOutcome {
    /// Whether what was asked does not work, or did not say so in time.
    #[must_use]
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Fail | Self::TimedOut | Self::Panicked)
    }
}
