//! Runs one check on its rhythm, and on demand.
//!
//! Two tasks for each check. One keeps the rhythm and the time, and runs no code of others. The other is made for each
//! run and is the check: it may hang, panic or block its thread, and what it does stays its own. A check never overlaps
//! itself: as long as a run that was given up on still blocks a thread, there is no other.
//!
//! Time in which this process, or the runtime of the check, stood still is held against no check. The time limit does not
//! count it, and a run that it fell into proves nothing by a failure, which may be a limit of its own: it is run again.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use super::Finding;
use super::ask::{self, Ask};
use super::entry::{Ended, Entry};
use super::rhythm::Rhythm;
use crate::base::clock;
use crate::base::moment;
use crate::base::outcome::Timed;
use crate::base::panics::Panic;
use crate::health::CheckOutcome;
use crate::health::awake::{LATE, Waited, suspended, within};

/// Maximum number of runs in a row that are repeated for a standstill. In a process that never runs for long, the next
/// one counts.
const UNPROVEN: u32 = 3;

/// Runs one check until it is stopped or the runtime ends.
pub(super) struct Driver {
    entry: Arc<Entry>,
    check: Arc<dyn Ask>,
    /// A run that was given up on.
    left_behind: Option<Run>,
}

impl Driver {
    pub(super) fn new(entry: Arc<Entry>, check: Arc<dyn Ask>) -> Self {
        Self { entry, check, left_behind: None }
    }

    pub(super) async fn drive(mut self, mut rhythm: Rhythm) {
        let mut unproven = 0;
        loop {
            if unproven == 0 {
                self.entry.turn(rhythm.due()).await;
            }
            self.entry.begins(clock::now());
            let Some((ended, stood)) = self.run().await else { return };
            if stood > LATE && ended.outcome != CheckOutcome::Pass && unproven < UNPROVEN {
                unproven += 1;
                self.entry.proved_nothing(&ended, stood);
            } else {
                unproven = 0;
                rhythm.ran(self.entry.ended(ended));
            }
        }
    }

    /// One run within its time, and the time meanwhile in which we did not run; `None` when the runtime ends. One that
    /// is given up on is waited for before the next begins.
    async fn run(&mut self) -> Option<(Ended, Duration)> {
        let limit = self.entry.every.timeout;
        let began = clock::now();
        let ended = |outcome, message: String| Ended {
            outcome,
            message: Some(message),
            took: clock::now().since(began),
        };
        let timed_out = |message| ended(CheckOutcome::TimedOut, message);
        let mut waited = Duration::ZERO;
        if let Some(earlier) = &mut self.left_behind {
            let earlier = within(limit, &mut earlier.0.task).await;
            let stood = earlier.stood;
            match earlier.ended {
                // The payload of a panic may panic when it is dropped.
                Some(ended) => drop(ended.map_err(Panic::of_task)),
                None => {
                    let message =
                        format!("an earlier run, given up after {limit:?}, still blocks its thread");
                    return Some((timed_out(message), Duration::ZERO));
                }
            }
            self.left_behind = None;
            waited = clock::now().since(began).saturating_sub(stood);
        }
        let left = limit.saturating_sub(waited);
        let begins = (clock::now(), moment::now());
        let mut run = Run::begin(&self.entry, &self.check, left);
        let Waited { ended: result, stood } = within(left, &mut run.0.task).await;
        // A check that keeps the only thread of its runtime keeps us from running: that is its own doing.
        let alone = Handle::current().metrics().num_workers() < 2;
        let on = moment::now().duration_since(begins.1).unwrap_or_default();
        let slept = suspended(on, clock::now().since(begins.0));
        let stood = if alone { stood.saturating_sub(self.entry.polling.kept()) } else { stood };
        let ended = match result {
            Some(Ok((_, took))) if took.saturating_sub(stood) > limit => {
                timed_out(format!("it took {took:.1?}; the timeout is {limit:?}"))
            }
            Some(Ok((found, took))) => {
                let (outcome, message) = match found {
                    Finding::Pass => (CheckOutcome::Pass, None),
                    Finding::Warn(what) => (CheckOutcome::Warn, Some(what)),
                    Finding::Fail(why) => (CheckOutcome::Fail, Some(why)),
                };
                Ended { outcome, message, took }
            }
            // That it was cancelled, though not by us, is no news of what is asked.
            Some(Err(broken)) => {
                let panic = Panic::of_task(broken)?;
                ended(CheckOutcome::Panicked, ask::said(&panic).to_owned())
            }
            None => {
                run.0.give_up();
                self.left_behind = Some(run);
                timed_out(format!("no answer within {limit:?}"))
            }
        };
        Some((ended, stood + slept))
    }
}

impl Drop for Driver {
    /// Those who wait for a run hear of it when there will be none.
    fn drop(&mut self) {
        self.entry.over();
    }
}

/// One run, in a task of its own.
struct Run(Timed<(Finding, Duration)>);

impl Run {
    fn begin(entry: &Arc<Entry>, check: &Arc<dyn Ask>, limit: Duration) -> Self {
        let (entry, check) = (Arc::clone(entry), Arc::clone(check));
        let began = clock::now();
        Self(Timed::spawn(ask::until(began + limit, async move {
            // From here: waiting for a thread is not the fault of what is asked.
            let began = clock::now();
            let found = entry.polling.watch(async { check.ask().await }).await;
            (found, clock::now().since(began))
        })))
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.0.task.abort();
    }
}
