//! What a redrive did, and what one that is under way has done so far.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::dead_letter::unsendable::Unsendable;

/// What a redrive did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct RedriveReport {
    /// Letters that were looked at.
    pub matched: u64,
    /// Letters that were sent, succeeded and are removed for good.
    pub redriven: u64,
    /// Letters that were sent and failed; they wait with one more attempt.
    pub failed: u64,
    /// Those that were set aside: of the failed ones because it happened too often, of the skipped ones by
    /// [`AutoRedrive`](super::AutoRedrive).
    pub set_aside: u64,
    /// Letters that cannot be sent as they were. They wait on: a redrive by hand leaves them unchanged.
    pub skipped: u64,
    /// Those, by reason.
    pub skipped_by: BTreeMap<Unsendable, u64>,
    /// Letters that were sent, and whose end the store did not take: those that got through are sent again by a later
    /// redrive, and those that failed wait without this attempt. Each is free when its lease is over.
    pub unrecorded: u64,
    /// Letters that were meant, and that somebody else held or dealt with meanwhile. Unknown, and thus 0, when it
    /// ended early.
    pub held: u64,
    /// Time spent waiting for a circuit breaker.
    #[serde(with = "crate::base::duration")]
    pub paused: Duration,
    /// Why it ended before every letter was tried.
    pub stopped: Option<StopReason>,
}

impl RedriveReport {
    /// Letters that are dealt with.
    pub(super) fn done(&self) -> u64 {
        self.redriven + self.failed + self.skipped + self.unrecorded + self.held
    }
}

/// Why a redrive ended early.
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
    /// A circuit breaker refused for too long; it says to wait this long from the last refusal.
    CircuitOpen(Option<Duration>),
    /// The service is not ready and never will be.
    NotReady(String),
    /// Somebody called [`DeadLetterQueue::stop_redrives`](crate::DeadLetterQueue::stop_redrives).
    Asked,
}

/// How a redrive that is under way is doing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RedriveProgress {
    /// When it began.
    #[serde(with = "crate::base::moment::as_micros")]
    pub started: SystemTime,
    /// Whether it runs in the background: see
    /// [`DeadLetterQueue::redrive_automatically`](crate::DeadLetterQueue::redrive_automatically).
    pub automatic: bool,
    /// Letters that were meant when it began; those that were dealt with so far, for one in the background.
    pub total: u64,
    /// What it did so far.
    pub so_far: RedriveReport,
    /// Letters that it dealt with in a second, lately: within the last five to ten seconds.
    pub per_second: f64,
    /// How long the rest will take at that pace; none while nobody can tell.
    #[serde(with = "crate::base::duration::option", default)]
    pub remaining: Option<Duration>,
    /// What it is doing.
    pub state: RedriveState,
}

/// What a redrive is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RedriveState {
    /// It sends letters, or waits for the next one to be due.
    Running,
    /// It waits for a circuit breaker.
    Paused {
        /// Until then.
        #[serde(with = "crate::base::moment::as_micros")]
        until: SystemTime,
    },
    /// It was asked to stop, and waits for what is under way.
    Stopping,
}
