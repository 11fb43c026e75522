//! Runs one check on its rhythm, and when somebody wants it.
//!
//! Two tasks for each check. One keeps the rhythm and the time, and runs no code of others. The other is made for each
//! run and is the check: it may hang, panic or block its thread, and what it does stays its own. A check never overlaps
//! itself: as long as a run that was given up on still blocks a thread, there is no other.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::Finding;
use super::ask::{self, Ask};
use super::entry::{Ended, Entry};
use super::rhythm::Rhythm;
use crate::clock;
use crate::health::CheckOutcome;
use crate::outcome::Timed;
use crate::panics::Panic;

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
        loop {
            self.entry.turn(rhythm.due()).await;
            self.entry.begins(clock::now());
            let Some(ended) = self.run().await else { return };
            rhythm.ran(self.entry.ended(ended));
        }
    }

    /// One run within its time; `None` when the runtime ends. One that is given up on is waited for before the next
    /// begins.
    async fn run(&mut self) -> Option<Ended> {
        let limit = self.entry.every.timeout;
        let began = clock::now();
        let ended = |outcome, message: String| {
            Some(Ended { outcome, message: Some(message), took: clock::now().since(began) })
        };
        let timed_out = |message| ended(CheckOutcome::TimedOut, message);
        if let Some(earlier) = &mut self.left_behind {
            match timeout(limit, &mut earlier.0.task).await {
                Ok(ended) => drop(ended.map_err(Panic::of_task)),
                Err(_) => {
                    return timed_out(format!(
                        "an earlier run, given up after {limit:?}, still blocks its thread"
                    ));
                }
            }
            self.left_behind = None;
        }
        let left = limit.saturating_sub(clock::now().since(began));
        let mut run = Run::begin(&self.check, left);
        match timeout(left, &mut run.0.task).await {
            Ok(Ok((_, took))) if took > limit => {
                timed_out(format!("it took {took:.1?}; the timeout is {limit:?}"))
            }
            Ok(Ok((found, took))) => {
                let (outcome, message) = match found {
                    Finding::Pass => (CheckOutcome::Pass, None),
                    Finding::Warn(what) => (CheckOutcome::Warn, Some(what)),
                    Finding::Fail(why) => (CheckOutcome::Fail, Some(why)),
                };
                Some(Ended { outcome, message, took })
            }
            // That it was cancelled, though not by us, is no news of what is asked.
            Ok(Err(broken)) => {
                let panic = Panic::of_task(broken)?;
                ended(CheckOutcome::Panicked, ask::said(&panic).to_owned())
            }
            Err(_) => {
                run.0.give_up();
                self.left_behind = Some(run);
                timed_out(format!("no answer within {limit:?}"))
            }
        }
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
    fn begin(check: &Arc<dyn Ask>, limit: Duration) -> Self {
        let check = Arc::clone(check);
        let began = clock::now();
        Self(Timed::spawn(ask::until(began + limit, async move {
            // From here: waiting for a thread is not the fault of what is asked.
            let began = clock::now();
            let found = check.ask().await;
            (found, clock::now().since(began))
        })))
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.0.task.abort();
    }
}
