//! Records of actions, and the reasons why an action did not start.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::health::numbers::seconds;
use crate::health::status::Status;

/// The record of one action.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct HealingRecord {
    /// The number of the action, from 1, over all healings of one health.
    pub number: u64,
    /// The name of the healing.
    pub healing: Arc<str>,
    /// The name of the component.
    pub component: Arc<str>,
    /// The status of the component when the action began.
    pub status: Status,
    /// The reasons of that status, the most costly first; at most 16.
    pub cause: Vec<String>,
    /// Whether [`HealingHandle::run_now`](super::HealingHandle::run_now) started it.
    pub by_hand: bool,
    /// When the action began.
    #[serde(with = "crate::base::moment::as_micros")]
    pub began: SystemTime,
    /// How long the action took.
    #[serde(serialize_with = "seconds")]
    pub took: Duration,
    /// How long the action and its verification took.
    #[serde(serialize_with = "seconds")]
    pub took_in_all: Duration,
    /// The outcome.
    pub outcome: HealingOutcome,
    /// The status of the component at the end of the verification.
    pub status_after: Option<Status>,
    /// The last 4 KiB of the output of a command, or the text of [`Finding::Warn`](super::super::Finding::Warn) that a
    /// function returned. Secrets are redacted.
    pub output: Option<String>,
    /// The exit code of a command.
    pub exit_code: Option<i32>,
}

/// The outcome of an action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HealingOutcome {
    /// The condition no longer holds.
    Helped,
    /// The action succeeded, but the condition still held at the end of the verification.
    DidNotHelp,
    /// The action succeeded and was not verified: [`HealingSettings::verify`](super::HealingSettings::verify) is off.
    Unverified,
    /// The action failed: why.
    Failed(String),
    /// The action was ended at its timeout.
    TimedOut,
    /// The action panicked: with what message.
    Panicked(String),
    /// The action would have run: [`HealingSettings::dry_run`](super::HealingSettings::dry_run) is on.
    DryRun,
}

impl HealingOutcome {
    pub(super) const ALL: [&'static str; 7] =
        ["helped", "did_not_help", "unverified", "failed", "timed_out", "panicked", "dry_run"];

    /// The outcome as a label.
    pub(in crate::health) fn as_str(&self) -> &'static str {
        Self::ALL[self.index()]
    }

    /// Whether the action helped, or succeeded without verification.
    #[must_use]
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Helped | Self::Unverified)
    }

    /// The index in [`ALL`](Self::ALL).
    pub(super) fn index(&self) -> usize {
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
            Self::Unverified => f.write_str("it succeeded and was not verified"),
            Self::Failed(reason) => write!(f, "it failed: {reason}"),
            Self::TimedOut => f.write_str("it timed out"),
            Self::Panicked(message) => write!(f, "it panicked: {message}"),
            Self::DryRun => f.write_str("it was a dry run"),
        }
    }
}

words! {
    /// Why a healing did not start.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
    #[serde(rename_all = "snake_case")]
    #[non_exhaustive]
    pub enum Withheld {
        /// An operator paused it.
        Paused = "paused",
        /// The process drains.
        Draining = "draining",
        /// Its action is running or being verified.
        Running = "running",
        /// Its component fails because of another component.
        Caused = "caused",
        /// It has used up [`HealingSettings::at_most_per_hour`](super::HealingSettings::at_most_per_hour).
        HourlyLimit = "hourly_limit",
        /// Its [backoff](super::HealingSettings::backoff) is not over.
        Backoff = "backoff",
        /// Another healing of its component is running.
        ComponentBusy = "component_busy",
        /// [`HealingLimits::at_once`](super::HealingLimits::at_once) healings are running.
        TooMany = "too_many",
        /// All healings together have used up [`HealingLimits::per_hour`](super::HealingLimits::per_hour).
        HourlyLimitOfAll = "hourly_limit_of_all",
        /// There is no Tokio runtime to run it.
        NoRuntime = "no_runtime",
    }
    /// The reason as a label.
    pub(super) as_str, without Display;
    pub(super) ALL;
}

impl fmt::Display for Withheld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Paused => "it is paused",
            Self::Draining => "the process drains",
            Self::Running => "it is already running",
            Self::Caused => "its component fails because of another component",
            Self::HourlyLimit => "it has used up its limit per hour (`at_most_per_hour`)",
            Self::Backoff => "the backoff after its last action is not over (`backoff`)",
            Self::ComponentBusy => "another healing of its component is running",
            Self::TooMany => "too many healings are running (`at_once`)",
            Self::HourlyLimitOfAll => "all healings together have used up their limit per hour (`per_hour`)",
            Self::NoRuntime => "there is no Tokio runtime to run it",
        })
    }
}

impl Error for Withheld {}
