use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::numbers::seconds;

/// The last result of one check, and its counts.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CheckReport {
    /// The component that it checks.
    pub component: Arc<str>,
    /// Its name: that of the component, unless it was added with its own name.
    pub check: Arc<str>,
    /// The outcome that counts: it changes after as many runs in a row as `Every::failures` and `Every::successes` say.
    pub outcome: CheckOutcome,
    /// The outcome of the last run, which may not count yet.
    pub last: CheckOutcome,
    /// The error or warning of the last run.
    pub message: Option<Arc<str>>,
    /// How long the last run took.
    #[serde(serialize_with = "seconds")]
    pub took: Duration,
    /// When the last run ended.
    pub at: Option<SystemTime>,
    /// The number of completed runs.
    pub runs: u64,
    /// How many of them failed.
    pub failures: u64,
    /// The number of failures since the last pass.
    pub failures_in_a_row: u64,
    /// Whether it ever passed.
    pub passed_once: bool,
    /// The time limit of a run.
    #[serde(serialize_with = "seconds")]
    pub timeout: Duration,
}

words! {
    /// The outcome of a check. `Display` writes it in lower case.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
    #[serde(rename_all = "snake_case")]
    #[non_exhaustive]
    pub enum CheckOutcome {
        /// It has not run yet.
        Pending = "pending",
        /// It passed.
        Pass = "pass",
        /// It passed with a warning.
        Warn = "warn",
        /// It failed.
        Fail = "fail",
        /// It took longer than its time limit.
        TimedOut = "timed_out",
        /// It panicked.
        Panicked = "panicked",
    }
    pub(crate) as_str;
}

impl CheckOutcome {
    /// Whether the check failed, timed out or panicked.
    #[must_use]
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Fail | Self::TimedOut | Self::Panicked)
    }
}
