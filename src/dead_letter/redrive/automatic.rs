//! Redrives in the background: one pass after another over the letters that are due.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tower::Service;

use super::request::Redrivable;
use super::run;
use super::settings::Redrive;
use super::state::Job;
use crate::Backoff;
use crate::base::moment;
use crate::dead_letter::core::Core;
use crate::dead_letter::running::{
    BackoffGuard, ListGuard, Progress, RedriveProgress, RedriveReport, Schedule, StopReason,
};
use crate::store::StoreError;

/// The shortest time between two passes.
const SHORTEST_REST: Duration = Duration::from_millis(100);

/// How long to rest after the store failed, or after letters failed in a row, each time that it happens.
const FAILURE_REST: Backoff = Backoff::exponential(Duration::from_secs(1), Duration::from_secs(60));

/// The rest after a rejection if the breaker does not say how long to wait.
const DEFAULT_REJECTION_REST: Duration = Duration::from_secs(1);

/// The longest rest that a breaker can ask for.
const LONGEST_REJECTION_REST: Duration = Duration::from_secs(300);

/// An automatic redrive, which runs in the background; started by
/// [`DeadLetterQueue::redrive_automatically`](crate::DeadLetterQueue::redrive_automatically). Dropping the handle stops it at
/// once.
#[must_use = "dropping it stops the redrive"]
pub struct RedriveHandle {
    progress: Arc<Progress>,
    task: JoinHandle<()>,
}

impl RedriveHandle {
    /// The progress of the redrive.
    #[must_use]
    pub fn progress(&self) -> RedriveProgress {
        self.progress.read()
    }

    /// Whether it has ended: its queue was dropped, its service failed in `poll_ready`, or the runtime was shut down.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.task.is_finished()
    }

    /// Sends no more letters, waits for the calls in progress for up to `within`, and returns the result of the whole
    /// redrive. Calls that take longer are cancelled, and their letters wait unchanged.
    pub async fn stop(mut self, within: Duration) -> RedriveReport {
        self.progress.stop();
        let _ = timeout(within, &mut self.task).await;
        self.progress.report()
    }
}

impl Drop for RedriveHandle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for RedriveHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedriveHandle").field("progress", &self.progress.read()).finish_non_exhaustive()
    }
}

/// Starts a redrive in the background.
pub(super) fn start<S, Req, Via>(
    core: &Arc<Core>,
    service: S,
    redrive: Redrive,
) -> Result<RedriveHandle, StoreError>
where
    S: Service<Req, Future: Send> + Send + 'static,
    Req: Redrivable<Via, S::Response, S::Error> + Send,
{
    redrive.validate_for_background()?;
    let runtime = Handle::try_current().map_err(StoreError::other)?;
    let (backoff, interval) = (redrive.backoff, redrive.interval);
    let job = Job::new(redrive.into_pass(), true);
    let progress = Arc::clone(&job.progress);
    let guards =
        (BackoffGuard::new(&core.redrives.schedule, backoff), ListGuard::new(&core.redrives, &progress));
    let background = Background {
        queue: Arc::downgrade(core),
        schedule: Arc::clone(&core.redrives.schedule),
        job,
        interval,
        failed_passes: 0,
    };
    let task = runtime.spawn(async move {
        let _until_it_ends = guards;
        background.run::<S, Req, Via>(service).await;
    });
    Ok(RedriveHandle { progress, task })
}

struct Background {
    /// Weak, so that the redrive ends with its queue.
    queue: Weak<Core>,
    schedule: Arc<Schedule>,
    job: Job,
    interval: Duration,
    /// How many passes in a row have failed.
    failed_passes: u32,
}

/// What follows a pass.
enum Next {
    /// The next pass starts when a letter is due.
    WhenDue,
    /// The next pass starts after this time.
    After(Duration),
    /// There is no next pass.
    End,
}

impl Background {
    async fn run<S, Req, Via>(mut self, mut service: S)
    where
        S: Service<Req>,
        Req: Redrivable<Via, S::Response, S::Error>,
    {
        while let Some(core) = self.queue.upgrade() {
            self.schedule.start_pass();
            let ended = run::run::<S, Req, Via>(&core, &mut service, &mut self.job).await;
            let next = self.after_pass(&core, ended);
            // The queue must not be kept alive during the rest.
            drop(core);
            let now = Instant::now();
            let (from, to) = match next {
                Next::WhenDue => (now + SHORTEST_REST, now + self.interval),
                Next::After(rest) => (now + rest, now + rest),
                Next::End => return,
            };
            self.schedule.wait(&self.job.progress, from, to).await;
            self.job.progress.pause(None);
            if self.job.progress.is_stopping() {
                return;
            }
        }
    }

    fn after_pass(&mut self, core: &Core, ended: Result<Option<StopReason>, StoreError>) -> Next {
        let queue = &*core.name;
        self.job.probe = false;
        let reason = match ended {
            Ok(reason) => reason,
            Err(error) => {
                // Logged once per outage, so that a store that is down does not fill the log.
                if self.failed_passes == 0 {
                    tracing::warn!(
                        queue,
                        "the redrive of dead letters in the background failed, trying again later: {error}"
                    );
                }
                return self.rest_after_failure();
            }
        };
        match reason {
            Some(StopReason::Asked) => Next::End,
            Some(StopReason::NotReady(error)) => {
                tracing::error!(
                    queue,
                    "the redrive of dead letters in the background has ended, because its service failed: {error}"
                );
                Next::End
            }
            Some(StopReason::CircuitOpen(retry_after)) => {
                let rest = retry_after
                    .unwrap_or(DEFAULT_REJECTION_REST)
                    .clamp(SHORTEST_REST, LONGEST_REJECTION_REST);
                self.job.probe = true;
                self.job.progress.update(|report| report.paused += rest);
                self.job.progress.pause(Some(moment::later(moment::now(), rest)));
                Next::After(rest)
            }
            Some(StopReason::Failures(_) | StopReason::FailureRate { .. }) => self.rest_after_failure(),
            None => {
                self.failed_passes = 0;
                Next::WhenDue
            }
        }
    }

    fn rest_after_failure(&mut self) -> Next {
        let rest = FAILURE_REST.delay(self.failed_passes, Duration::ZERO);
        self.failed_passes = self.failed_passes.saturating_add(1);
        Next::After(rest)
    }
}
