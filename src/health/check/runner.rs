//! Runs one check on schedule and on demand.
//!
//! Each check has two tasks. The first keeps the schedule and the timeout, and runs no user code. The second is spawned for
//! each run and calls the check, which may hang, panic or block its thread without harm to the first. Runs of a check never
//! overlap: while a run that timed out still blocks a thread, no other starts.
//!
//! Time in which this process, or the runtime of the check, stood still does not count for the timeout. A run that fails
//! during such a time is repeated, because its failure may come from a time limit within the check.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use super::entry::{Entry, RunResult};
use super::erased::{ErasedCheck, panic_message};
use super::finding::Finding;
use super::run_scope::in_run;
use crate::base::clock;
use crate::base::every::Schedule;
use crate::base::moment;
use crate::base::outcome::Timed;
use crate::base::panics::Panic;
use crate::health::CheckOutcome;
use crate::health::awake::{LATE, Waited, suspended, within};

/// Maximum number of runs in a row that are repeated after a standstill. The next run counts.
const MAX_REPEATS: u32 = 3;

/// Runs one check until it is stopped or the runtime ends.
pub(super) struct Runner {
    entry: Arc<Entry>,
    check: Arc<dyn ErasedCheck>,
    /// A run that timed out and has not ended.
    unfinished: Option<Run>,
}

impl Runner {
    pub(super) fn new(entry: Arc<Entry>, check: Arc<dyn ErasedCheck>) -> Self {
        Self { entry, check, unfinished: None }
    }

    pub(super) async fn run_until_stopped(mut self, mut schedule: Schedule) {
        let mut repeats = 0;
        loop {
            if repeats == 0 {
                self.entry.wait_until_due(schedule.due()).await;
            }
            self.entry.run_started(clock::now());
            let Some((result, stood)) = self.run_once().await else { return };
            if stood > LATE && result.outcome != CheckOutcome::Pass && repeats < MAX_REPEATS {
                repeats += 1;
                self.entry.run_discarded(&result, stood);
            } else {
                repeats = 0;
                schedule.advance(self.entry.run_ended(result));
            }
        }
    }

    /// Runs the check within its timeout. Returns the result and the time meanwhile in which the process stood still;
    /// `None` when the runtime ends. An earlier run that timed out must end first.
    async fn run_once(&mut self) -> Option<(RunResult, Duration)> {
        let limit = self.entry.every.check_timeout();
        let began = clock::now();
        let failed = |outcome, message: String| RunResult {
            outcome,
            message: Some(message),
            took: clock::now().since(began),
        };
        let timed_out = |message| failed(CheckOutcome::TimedOut, message);
        let mut waited = Duration::ZERO;
        if let Some(earlier) = &mut self.unfinished {
            let earlier = within(limit, &mut earlier.0.task).await;
            let stood = earlier.stood;
            match earlier.ended {
                // `Panic` drops the payload of a panic safely.
                Some(ended) => drop(ended.map_err(Panic::of_task)),
                None => {
                    let message =
                        format!("an earlier run, which timed out after {limit:?}, still blocks its thread");
                    return Some((timed_out(message), Duration::ZERO));
                }
            }
            self.unfinished = None;
            waited = clock::now().since(began).saturating_sub(stood);
        }
        let left = limit.saturating_sub(waited);
        let (run_began, run_began_at) = (clock::now(), moment::now());
        let mut run = Run::spawn(&self.entry, &self.check, left);
        let Waited { ended: result, stood } = within(left, &mut run.0.task).await;
        // A check that blocks the only thread of its runtime stops this task too. That time counts.
        let alone = Handle::current().metrics().num_workers() < 2;
        let wall_time = moment::now().duration_since(run_began_at).unwrap_or_default();
        let slept = suspended(wall_time, clock::now().since(run_began));
        let stood = if alone { stood.saturating_sub(self.entry.poll_timer.blocked()) } else { stood };
        let result = match result {
            Some(Ok((_, took))) if took.saturating_sub(stood) > limit => {
                timed_out(format!("took {took:.1?}, more than the timeout of {limit:?}"))
            }
            Some(Ok((found, took))) => {
                let (outcome, message) = match self.entry.every.judge(found, took) {
                    Finding::Pass => (CheckOutcome::Pass, None),
                    Finding::Warn(warning) => (CheckOutcome::Warn, Some(warning)),
                    Finding::Fail(reason) => (CheckOutcome::Fail, Some(reason)),
                };
                RunResult { outcome, message, took }
            }
            // A task that was cancelled from outside says nothing about the component: the runtime ends.
            Some(Err(error)) => {
                let panic = Panic::of_task(error)?;
                failed(CheckOutcome::Panicked, panic_message(&panic).to_owned())
            }
            None => {
                run.0.give_up();
                self.unfinished = Some(run);
                timed_out(format!("no answer within {limit:?}"))
            }
        };
        Some((result, stood + slept))
    }
}

impl Drop for Runner {
    /// Wakes the callers that wait for a run, even when the runtime ends.
    fn drop(&mut self) {
        self.entry.mark_stopped();
    }
}

/// One run, in its own task.
struct Run(Timed<(Finding, Duration)>);

impl Run {
    fn spawn(entry: &Arc<Entry>, check: &Arc<dyn ErasedCheck>, limit: Duration) -> Self {
        let (entry, check) = (Arc::clone(entry), Arc::clone(check));
        let began = clock::now();
        let measured = Arc::clone(&entry.measured);
        Self(Timed::spawn(in_run(began + limit, measured, async move {
            // Measured from the first poll: waiting for a thread is not part of the check.
            let began = clock::now();
            let found = entry.poll_timer.watch(async { check.run().await }).await;
            (found, clock::now().since(began))
        })))
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.0.task.abort();
    }
}
