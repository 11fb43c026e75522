//! What was done, and why what was called for was not.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::health::numbers::seconds;
use crate::health::status::Status;

/// One action: why it began and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct HealingRecord {
    /// Counts up over all healings of one health, in the order in which they began.
    pub number: u64,
    /// The name of the healing.
    pub healing: Arc<str>,
    /// The component that it is for.
    pub component: Arc<str>,
    /// How that was doing when it began.
    pub status: Status,
    /// Why, the dearest first; up to 16 reasons.
    pub cause: Vec<String>,
    /// Whether somebody asked for it by [`HealingHandle::run_now`](super::HealingHandle::run_now).
    pub by_hand: bool,
    /// When it began.
    #[serde(with = "crate::base::moment::as_micros")]
    pub began: SystemTime,
    /// How long the action took.
    #[serde(serialize_with = "seconds")]
    pub took: Duration,
    /// How long it took with the looks whether it helped.
    #[serde(serialize_with = "seconds")]
    pub took_in_all: Duration,
    /// What came of it.
    pub outcome: HealingOutcome,
    /// How the component was doing at the last look.
    pub status_after: Option<Status>,
    /// The end of what a command wrote, or what a function said: up to 4 KiB, without the secrets in it.
    pub output: Option<String>,
    /// What a command ended with.
    pub exit_code: Option<i32>,
}

/// What came of an action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HealingOutcome {
    /// What called for it is over.
    Helped,
    /// It was done, and what called for it was still there at the last look.
    DidNotHelp,
    /// It was done, and nobody looked: [`HealingSettings::verify`](super::HealingSettings::verify) is off.
    Unverified,
    /// It could not be done: why.
    Failed(String),
    /// It took too long and was ended.
    TimedOut,
    /// It panicked: with what.
    Panicked(String),
    /// It would have been done.
    DryRun,
}

impl HealingOutcome {
    pub(super) const ALL: [&'static str; 7] =
        ["helped", "did_not_help", "unverified", "failed", "timed_out", "panicked", "dry_run"];

    /// The outcome in one word, in lower case.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        Self::ALL[self.place()]
    }

    /// Whether what called for it is over, as far as anybody can tell.
    #[must_use]
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Helped | Self::Unverified)
    }

    /// Where it stands among all.
    pub(super) fn place(&self) -> usize {
        match self {
            Self::Helped => 0,
            Self::DidNotHelp => 1,
            Self::Unverified => 2,
            Self::Failed(_) => 3,
            Self::TimedOut => 4,
            Self::Panicked(_) => 5,
            Self::DryRun => 6,
        }
    }
}

impl fmt::Display for HealingOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Helped => f.write_str("it helped"),
            Self::DidNotHelp => f.write_str("it did not help"),
            Self::Unverified => f.write_str("it was done"),
            Self::Failed(why) => write!(f, "it failed: {why}"),
            Self::TimedOut => f.write_str("it took too long"),
            Self::Panicked(with) => write!(f, "it panicked: {with}"),
            Self::DryRun => f.write_str("it was a dry run"),
        }
    }
}

words! {
    /// Why a healing that was called for did not begin.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
    #[serde(rename_all = "snake_case")]
    #[non_exhaustive]
    pub enum Withheld {
        /// An operator paused it.
        Paused = "paused",
        /// The process is on its way out.
        Draining = "draining",
        /// It runs already.
        Running = "running",
        /// Its component fails because of another: that is to be healed.
        Caused = "caused",
        /// It began as often as it may within an hour.
        HourlyLimit = "hourly_limit",
        /// It ran a short while ago.
        Backoff = "backoff",
        /// Another healing of its component runs.
        ComponentBusy = "component_busy",
        /// As many healings run as may at once.
        TooMany = "too_many",
        /// As many healings began as may within an hour, all together.
        HourlyLimitOfAll = "hourly_limit_of_all",
        /// No Tokio runtime runs that could do it.
        NoRuntime = "no_runtime",
    }
    /// The reason in snake case.
    pub as_str, without Display;
    pub(super) ALL;
}

impl fmt::Display for Withheld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Paused => "it is paused",
            Self::Draining => "the process is on its way out",
            Self::Running => "it runs already",
            Self::Caused => "its component fails because of another one",
            Self::HourlyLimit => "it began as often as it may within an hour",
            Self::Backoff => "it ran a short while ago",
            Self::ComponentBusy => "another healing of its component runs",
            Self::TooMany => "as many healings run as may at once",
            Self::HourlyLimitOfAll => "as many healings began as may within an hour",
            Self::NoRuntime => "no Tokio runtime runs",
        })
    }
}

impl Error for Withheld {}
