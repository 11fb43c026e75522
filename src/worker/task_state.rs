//! The counts of a task, and its last run.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::tally::Tally;
use super::watch::Subject;
use crate::base::moment;
use crate::base::outcome::FailureKind;
use crate::base::sync::Mutex;
use crate::signal::WORKER_TASK_DURATION;

/// Tasks and loops of a worker that are counted apart.
pub(super) const TASKS: usize = 128;

words! {
    /// The status of a task.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    #[non_exhaustive]
    pub enum TaskStatus {
        #[default]
        /// It has not run yet.
        Pending = "pending",
        /// At least one run is in progress.
        Running = "running",
        /// The last run succeeded.
        Ok = "ok",
        /// The last run failed.
        Failed = "failed",
        /// The last run panicked.
        Panicked = "panicked",
        /// The last run was cancelled.
        Cancelled = "cancelled",
    }
    /// The status in snake case.
    pub as_str;
}

/// See the [module](self).
pub(super) struct TaskState {
    pub(super) name: Arc<str>,
    /// What fails in a log line.
    pub(super) label: String,
    tally: Tally,
    last: Mutex<LastRun>,
}

/// The last run.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LastRun {
    pub(super) started: Option<SystemTime>,
    pub(super) ended: Option<SystemTime>,
    pub(super) took: Duration,
    /// How the last run ended.
    pub(super) status: TaskStatus,
}

impl TaskState {
    pub(super) fn new(worker: &str, name: &Arc<str>) -> Self {
        let attributes = [("worker", worker), ("task", &**name)];
        Self {
            name: Arc::clone(name),
            label: format!("task `{name}`"),
            tally: Tally::with_histogram(&WORKER_TASK_DURATION, attributes),
            last: Mutex::default(),
        }
    }

    pub(super) fn last(&self) -> LastRun {
        *self.last.lock()
    }
}

impl Subject for TaskState {
    fn tally(&self) -> &Tally {
        &self.tally
    }

    fn begun(&self) {
        self.last.lock().started = Some(moment::now());
    }

    fn ended(&self, took: Duration, failure: Option<FailureKind>) {
        let status = match failure {
            None => TaskStatus::Ok,
            Some(FailureKind::Panic) => TaskStatus::Panicked,
            Some(FailureKind::Cancelled) => TaskStatus::Cancelled,
            Some(_) => TaskStatus::Failed,
        };
        let mut last = self.last.lock();
        (last.ended, last.took, last.status) = (Some(moment::now()), took, status);
    }
}

impl fmt::Debug for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskState").field("name", &self.name).finish_non_exhaustive()
    }
}
