//! What a worker shows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::errors::RecordedError;
use super::event_counts::Severity;
use super::operation::MemoryUse;
use super::task_state::TaskStatus;
use crate::base::outcome::FailureKind;
use crate::base::sketch::Summary;

/// A worker at one moment, since it was built: see [`Worker::snapshot`](super::Worker::snapshot).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct WorkerSnapshot {
    /// The worker's name.
    pub name: Arc<str>,
    /// Its items.
    pub items: ItemsSnapshot,
    /// The operations that it tracks, in the order of their names.
    pub operations: Vec<OperationSnapshot>,
    /// Its tasks and loops at an interval, in the order of their names.
    pub tasks: Vec<TaskSnapshot>,
    /// Its loops that have not ended.
    pub loops: Vec<LoopSnapshot>,
    /// Its errors.
    pub errors: ErrorsSnapshot,
    /// Its events.
    pub events: Vec<EventSnapshot>,
}

/// Durations of work that ended. Zero without any.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DurationsSnapshot {
    /// The shortest.
    #[serde(with = "crate::base::duration")]
    pub min: Duration,
    /// The mean.
    #[serde(with = "crate::base::duration")]
    pub mean: Duration,
    /// The longest.
    #[serde(with = "crate::base::duration")]
    pub max: Duration,
    /// The median. The error of percentiles is at most 1/32 of the value.
    #[serde(with = "crate::base::duration")]
    pub p50: Duration,
    /// 95 % were shorter.
    #[serde(with = "crate::base::duration")]
    pub p95: Duration,
    /// 99 % were shorter.
    #[serde(with = "crate::base::duration")]
    pub p99: Duration,
}

impl From<Summary> for DurationsSnapshot {
    fn from(summary: Summary) -> Self {
        let Summary { min, mean, max, p50, p95, p99, .. } = summary;
        Self { min, mean, max, p50, p95, p99 }
    }
}

/// The items of a worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ItemsSnapshot {
    /// Items that arrived.
    pub ingested: u64,
    /// Items that are processed now.
    pub active: u64,
    /// Items that were processed with success.
    pub ok: u64,
    /// Items that failed for good.
    pub failed: u64,
    /// Failed items by kind of failure.
    pub failed_by: BTreeMap<FailureKind, u64>,
    /// Items whose processing was cancelled.
    pub cancelled: u64,
    /// Items that were converted or written.
    pub converted: u64,
    /// Items that were left out.
    pub skipped: u64,
    /// Items that were left out, by reason.
    pub skipped_by: BTreeMap<Arc<str>, u64>,
    /// Letters that the queue of the worker parked in this process. Others may use the queue too.
    pub parked: u64,
    /// Letters that the queue dropped.
    pub dropped: u64,
    /// How long items took.
    pub durations: DurationsSnapshot,
}

/// An operation of a worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OperationSnapshot {
    /// Its name.
    pub name: Arc<str>,
    /// Calls that ended.
    pub calls: u64,
    /// Calls that are in progress.
    pub active: u64,
    /// Calls that failed or were cancelled.
    pub failed: u64,
    /// Failed calls by kind of failure.
    pub failed_by: BTreeMap<FailureKind, u64>,
    /// Items of the calls that succeeded.
    pub items: u64,
    /// These items per second in which a call was in progress, each call with its own time.
    pub items_per_second: f64,
    /// How long calls took.
    pub durations: DurationsSnapshot,
    /// The memory around calls, if it was measured.
    pub memory: Option<MemoryUse>,
}

/// A task of a worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TaskSnapshot {
    /// Its name.
    pub name: Arc<str>,
    /// Its status.
    pub status: TaskStatus,
    /// Runs that ended.
    pub runs: u64,
    /// Runs that are in progress.
    pub active: u64,
    /// Runs that failed or were cancelled.
    pub failed: u64,
    /// Failed runs by kind of failure.
    pub failed_by: BTreeMap<FailureKind, u64>,
    /// The start of the last run.
    #[serde(with = "crate::base::moment::as_micros::option", default)]
    pub last_started: Option<SystemTime>,
    /// The end of the run that ended last.
    #[serde(with = "crate::base::moment::as_micros::option", default)]
    pub last_ended: Option<SystemTime>,
    /// How long that run took.
    #[serde(with = "crate::base::duration")]
    pub last_took: Duration,
    /// How long runs took.
    pub durations: DurationsSnapshot,
}

/// A loop of a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LoopSnapshot {
    /// Its name.
    pub name: Arc<str>,
    /// Whether a run is in progress.
    pub running: bool,
    /// Whether it was asked to stop.
    pub stopping: bool,
}

/// The errors of a worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ErrorsSnapshot {
    /// All of them.
    pub total: u64,
    /// By type, or by kind if they are more than an error. At most 64 types; further ones are `_OTHER`.
    pub by_type: BTreeMap<Arc<str>, u64>,
    /// The newest ones, latest first: see [`WorkerSettings::recent_errors`](super::WorkerSettings::recent_errors).
    pub recent: Vec<Arc<RecordedError>>,
}

/// The events of one component, type and severity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EventSnapshot {
    /// The component.
    pub component: Arc<str>,
    /// The type of event.
    pub event: Arc<str>,
    /// The severity.
    pub severity: Severity,
    /// How many there were.
    pub count: u64,
}
