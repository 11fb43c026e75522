//! The result of a redrive, and the progress of one that runs.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::dead_letter::letter::Unsendable;

/// The result of a redrive: see [`DeadLetterQueue::redrive`](crate::DeadLetterQueue::redrive).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct RedriveReport {
    /// Letters that the redrive read.
    pub matched: u64,
    /// Letters that were sent, succeeded and were removed.
    pub redriven: u64,
    /// Letters that were sent and failed. They wait, with one more attempt.
    pub failed: u64,
    /// Failed letters that were set aside because they had failed too often. In the background, skipped letters can be set
    /// aside too.
    pub set_aside: u64,
    /// Letters that cannot be sent as they were. They still wait. Only a redrive in the background changes them.
    pub skipped: u64,
    /// The skipped letters by reason.
    pub skipped_by: BTreeMap<Unsendable, u64>,
    /// Letters that were sent, but whose result the store did not record. A later redrive sends those that succeeded again;
    /// those that failed wait without this attempt. Each can be claimed once its lease is over.
    pub unrecorded: u64,
    /// Matching letters that another redrive held, sent or removed meanwhile. 0 if the redrive ended early, because the
    /// number is unknown then.
    pub held: u64,
    /// Time spent waiting for a circuit breaker.
    #[serde(with = "crate::base::duration")]
    pub paused: Duration,
    /// Why the redrive ended early.
    pub stopped: Option<StopReason>,
}

impl RedriveReport {
    /// The number of letters that need no more work.
    pub(super) fn done(&self) -> u64 {
        self.redriven + self.failed + self.skipped + self.unrecorded + self.held
    }
}

/// Why a redrive ended early: see [`RedriveReport::stopped`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StopReason {
    /// This many letters failed in a row.
    Failures(u32),
    /// Too large a share of the letters failed.
    FailureRate {
        /// How many failed.
        failed: u64,
        /// How many were sent.
        sent: u64,
    },
    /// A circuit breaker rejected letters for too long. It asked to wait this long after the last rejection.
    CircuitOpen(Option<Duration>),
    /// The service failed in `poll_ready`, with this error.
    NotReady(String),
    /// It was stopped by [`DeadLetterQueue::stop_redrives`](crate::DeadLetterQueue::stop_redrives).
    Asked,
}

/// The progress of a redrive that runs: see [`DeadLetterQueue::redrives`](crate::DeadLetterQueue::redrives).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RedriveProgress {
    /// When it started.
    #[serde(with = "crate::base::moment::as_micros")]
    pub started: SystemTime,
    /// Whether it runs in the background: see
    /// [`DeadLetterQueue::redrive_automatically`](crate::DeadLetterQueue::redrive_automatically).
    pub automatic: bool,
    /// The number of matching letters when it started. In the background, the number of letters done so far.
    pub total: u64,
    /// Its result so far.
    pub so_far: RedriveReport,
    /// Letters per second, measured over the last five to ten seconds.
    pub per_second: f64,
    /// How long the rest will take at this pace; `None` while that is unknown.
    #[serde(with = "crate::base::duration::option", default)]
    pub remaining: Option<Duration>,
    /// What it does at the moment.
    pub state: RedriveState,
}

/// What a redrive does at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RedriveState {
    /// It sends letters, or waits until the next one is due.
    Running,
    /// It waits for a circuit breaker.
    Paused {
        /// When it continues.
        #[serde(with = "crate::base::moment::as_micros")]
        until: SystemTime,
    },
    /// It was asked to stop, and waits for the calls in progress.
    Stopping,
}
