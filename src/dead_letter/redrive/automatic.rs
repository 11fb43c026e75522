//! Letters that are sent again by themselves.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tower::Service;

use super::progress::{Listed, Progress};
use super::report::{RedriveProgress, RedriveReport, StopReason};
use super::request::{Judge, Redrivable};
use super::run::{self, Course};
use super::schedule::{Schedule, Scheduled};
use super::settings::{MAX_BYTES, Redrive, validate_common};
use crate::Backoff;
use crate::base::error::ConfigError;
use crate::base::moment;
use crate::dead_letter::core::Core;
use crate::store::{LetterFilter, StoreError};

/// The shortest time between two passes.
const GATHERED: Duration = Duration::from_millis(100);

/// How long to wait after a store failed, or letters in a row, and then again.
const TROUBLE: Backoff = Backoff::exponential(Duration::from_secs(1), Duration::from_secs(60));

/// How long to wait when a breaker does not say, and the longest time it is believed.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));

/// Which letters are sent again by themselves, and how carefully: see
/// [`DeadLetterQueue::redrive_automatically`](crate::DeadLetterQueue::redrive_automatically).
///
/// # Example
/// ```
/// use campanile::Backoff;
/// use campanile::dead_letter::AutoRedrive;
/// use std::time::Duration;
///
/// let patient = Backoff::exponential(Duration::from_secs(60), Duration::from_secs(6 * 3_600));
/// let settings = AutoRedrive::default().backoff(patient).rate(20).set_aside_after(12);
/// # let _ = settings;
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[must_use]
pub struct AutoRedrive {
    filter: LetterFilter,
    rate: Option<f64>,
    concurrency: usize,
    max_bytes: u64,
    rest_after: u32,
    set_aside_after: u32,
    backoff: Backoff,
    #[serde(with = "crate::base::duration")]
    interval: Duration,
    #[serde(with = "crate::base::duration")]
    lease: Duration,
}

impl Default for AutoRedrive {
    fn default() -> Self {
        Self {
            filter: LetterFilter::all(),
            rate: None,
            concurrency: 1,
            max_bytes: MAX_BYTES,
            rest_after: 10,
            set_aside_after: 10,
            backoff: Backoff::exponential(Duration::from_secs(10), Duration::from_secs(3_600)),
            interval: Duration::from_secs(5),
            lease: Duration::from_secs(30),
        }
    }
}

impl AutoRedrive {
    setters! {
        /// Only the letters that `filter` lets through. Default: all that are not set aside.
        pub fn only(filter: LetterFilter) { filter = filter; }
        /// At most this many letters a second: see [`Redrive::rate`]. Default: no limit.
        pub fn rate(per_second: impl Into<f64>) { rate = Some(per_second.into()); }
        /// How many letters may be under way at once: 1 to 1,024. Default 1.
        pub fn concurrency(letters: usize) { concurrency = letters; }
        /// The most bytes of letters that are in memory at once: see [`Redrive::max_bytes`]. Default 64 MiB.
        pub fn max_bytes(bytes: u64) { max_bytes = bytes; }
        /// Rests when this many letters have failed in a row: for a second, and twice as long each time after that, up
        /// to a minute. At least 1. Default 10.
        pub fn rest_after(failures: u32) { rest_after = failures; }
        /// Sets a letter aside when this many redrives have failed it. Default 10; zero sets none aside.
        ///
        /// One that cannot be sent is set aside too: at once where nothing can change that, and where another version of
        /// the program may be able to send it ([`OtherType`](crate::dead_letter::Unsendable::OtherType),
        /// [`Unreadable`](crate::dead_letter::Unsendable::Unreadable)), when this process has looked at it as often.
        /// Between two looks it waits as long as between two redrives that fail.
        pub fn set_aside_after(redrives: u32) { set_aside_after = redrives; }
        /// How long each letter waits: for the first time when it is parked, and longer with each redrive that fails
        /// it. Default: ten seconds, doubling up to an hour, with equal jitter.
        pub fn backoff(backoff: Backoff) { backoff = backoff; }
        /// How often to look for letters that other processes left: 100 ms to an hour. Those of this process are known.
        /// Default 5 s.
        pub fn interval(interval: Duration) { interval = interval; }
        /// For how long no other run gets a letter that is about to be sent: see [`Redrive::lease`]. Default 30 s.
        pub fn lease(lease: Duration) { lease = lease; }
    }

    fn validate(&self) -> Result<(), ConfigError> {
        validate_common(self.rate, self.concurrency, self.max_bytes, self.lease)?;
        ConfigError::check(self.rest_after >= 1, "rest_after", self.rest_after, "at least 1")?;
        ConfigError::check(
            (Duration::from_millis(100)..=Duration::from_secs(3_600)).contains(&self.interval),
            "interval",
            self.interval,
            "at least 100 ms and at most an hour",
        )?;
        self.backoff.validate("backoff")
    }

    /// One pass over what is due. A breaker that refuses ends it, so that what it holds is free for others meanwhile.
    fn pass(&self) -> Redrive {
        Redrive {
            filter: self.filter.clone(),
            rate: self.rate,
            concurrency: self.concurrency,
            max_bytes: self.max_bytes,
            stop_after: self.rest_after,
            // Letters that fail wait for longer and longer: there is no end that a share could bring about sooner.
            failure_rate_minimum: u64::MAX,
            set_aside_after: self.set_aside_after,
            max_pause: Duration::ZERO,
            lease: self.lease,
            ..Redrive::default()
        }
    }
}

/// Letters are sent in the background for as long as this is kept; dropping it stops at once.
#[must_use = "dropping it stops the redrive"]
pub struct AutoRedriveHandle {
    progress: Arc<Progress>,
    task: JoinHandle<()>,
}

impl AutoRedriveHandle {
    /// What it has done so far, and what it is doing.
    #[must_use]
    pub fn progress(&self) -> RedriveProgress {
        self.progress.read()
    }

    /// Whether it has ended: its queue is gone, its service is broken for good, or the runtime was shut down.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.task.is_finished()
    }

    /// Sends no more letters, waits up to `within` for those that are under way, and tells what was done in all. Those
    /// that take longer are dropped; they wait as before.
    pub async fn stop(mut self, within: Duration) -> RedriveReport {
        self.progress.stop();
        let _ = timeout(within, &mut self.task).await;
        self.progress.report()
    }
}

impl Drop for AutoRedriveHandle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for AutoRedriveHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AutoRedriveHandle").field("progress", &self.progress.read()).finish_non_exhaustive()
    }
}

/// Begins to send letters in the background.
pub(super) fn start<S, Req, Via>(
    core: &Arc<Core>,
    service: S,
    settings: AutoRedrive,
) -> Result<AutoRedriveHandle, StoreError>
where
    S: Service<Req, Future: Send> + Send + 'static,
    Req: Redrivable<Via> + Send,
    Via: Judge<S::Response, S::Error>,
{
    settings.validate()?;
    let runtime = Handle::try_current().map_err(StoreError::other)?;
    let course = Course::new(settings.pass(), true);
    let progress = Arc::clone(&course.progress);
    let scheduled = Scheduled::new(&core.redrives.schedule, settings.backoff);
    let listed = Listed::new(core, &progress);
    let background = Background {
        queue: Arc::downgrade(core),
        schedule: Arc::clone(&core.redrives.schedule),
        course,
        interval: settings.interval,
        troubles: 0,
    };
    let task = runtime.spawn(async move {
        let _until_it_ends = (scheduled, listed);
        background.run::<S, Req, Via>(service).await;
    });
    Ok(AutoRedriveHandle { progress, task })
}

struct Background {
    queue: Weak<Core>,
    schedule: Arc<Schedule>,
    course: Course,
    interval: Duration,
    /// Passes in a row that met with trouble.
    troubles: u32,
}

impl Background {
    async fn run<S, Req, Via>(mut self, mut service: S)
    where
        S: Service<Req>,
        Req: Redrivable<Via>,
        Via: Judge<S::Response, S::Error>,
    {
        while let Some(core) = self.queue.upgrade() {
            self.schedule.begin();
            let ended = run::run::<S, Req, Via>(&core, &mut service, &mut self.course).await;
            let Some(rest) = self.rest(&core, ended) else {
                return;
            };
            // Whoever waits must not keep the queue.
            drop(core);
            let now = Instant::now();
            match rest {
                None => {
                    self.schedule.wait(&self.course.progress, now + GATHERED, now + self.interval).await;
                }
                Some(rest) => self.schedule.wait(&self.course.progress, now + rest, now + rest).await,
            }
            self.course.progress.pause(None);
            if self.course.progress.is_stopping() {
                return;
            }
        }
    }

    /// How long to rest before the next pass, if there has to be a rest; none at all when there will be no next pass.
    fn rest(
        &mut self,
        core: &Core,
        ended: Result<Option<StopReason>, StoreError>,
    ) -> Option<Option<Duration>> {
        let queue = &*core.name;
        self.course.probe = false;
        let reason = match ended {
            Ok(reason) => reason,
            Err(error) => {
                // Once: a store that is down must not fill the log as well.
                if self.troubles == 0 {
                    tracing::warn!(queue, "dead letters cannot be sent again by themselves for now: {error}");
                }
                return Some(Some(self.trouble()));
            }
        };
        match reason {
            Some(StopReason::Asked) => None,
            Some(StopReason::NotReady(error)) => {
                tracing::error!(queue, "dead letters are not sent again by themselves any more: {error}");
                None
            }
            Some(StopReason::CircuitOpen(retry_after)) => {
                let pause = retry_after.unwrap_or(PAUSE.0).clamp(GATHERED, PAUSE.1);
                self.course.probe = true;
                self.course.progress.update(|report| report.paused += pause);
                self.course.progress.pause(Some(moment::later(moment::now(), pause)));
                Some(Some(pause))
            }
            Some(StopReason::Failures(_) | StopReason::FailureRate { .. }) => Some(Some(self.trouble())),
            None => {
                self.troubles = 0;
                Some(None)
            }
        }
    }

    fn trouble(&mut self) -> Duration {
        let delay = TROUBLE.delay(self.troubles, Duration::ZERO);
        self.troubles = self.troubles.saturating_add(1);
        delay
    }
}
