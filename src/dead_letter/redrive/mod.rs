//! Sending letters again.

mod flight;
#[cfg(feature = "http")]
mod http;
mod request;
mod run;

pub use request::{Judge, PlainRequest, Redrivable, Redriven, Verdict};

#[cfg(feature = "http")]
pub use self::http::HttpRedrive;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tower::Service;

use super::DeadLetterQueue;
use super::core::Core;
use crate::error::ConfigError;
use crate::store::{Filter, StoreError};

tokio::task_local! {
    /// The queue whose letter is being sent by the code that runs: its address.
    static REDRIVING: usize;
}

fn address(core: &Arc<Core>) -> usize {
    Arc::as_ptr(core).addr()
}

/// Whether the request at hand is a letter of this queue: it lies there already.
#[inline]
pub(super) fn runs_for(core: &Arc<Core>) -> bool {
    // Only a redrive that is under way can be the one at hand, and without one a call asks no more than this.
    core.redriving.load(Ordering::Relaxed) && runs_here(core)
}

#[cold]
fn runs_here(core: &Arc<Core>) -> bool {
    REDRIVING.try_with(|running| *running == address(core)).unwrap_or(false)
}

/// Which letters are sent again, and how carefully.
///
/// # Example
/// ```
/// use campanile::FailureKind;
/// use campanile::dead_letter::{Filter, Redrive};
///
/// let timeouts = Redrive::only(Filter::all().kind(FailureKind::Timeout)).rate(50).concurrency(4).stop_after(5);
/// # let _ = timeouts;
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[must_use]
pub struct Redrive {
    filter: Filter,
    rate: Option<f64>,
    concurrency: usize,
    dry_run: bool,
    stop_after: u32,
    #[serde(with = "crate::duration")]
    max_pause: Duration,
}

impl Default for Redrive {
    fn default() -> Self {
        Self {
            filter: Filter::all(),
            rate: None,
            concurrency: 1,
            dry_run: false,
            stop_after: 10,
            max_pause: Duration::from_secs(60),
        }
    }
}

impl Redrive {
    /// Every letter, the oldest first, one after the other, until ten have failed in a row.
    pub fn all() -> Self {
        Self::default()
    }

    /// The letters that `filter` lets through.
    pub fn only(filter: Filter) -> Self {
        Self { filter, ..Self::default() }
    }

    /// At most this many letters a second, evenly spaced; more than zero. Default: no limit.
    pub fn rate(mut self, per_second: impl Into<f64>) -> Self {
        self.rate = Some(per_second.into());
        self
    }

    /// How many letters may be under way at once: 1 to 1,024. Default 1, which keeps their order.
    pub fn concurrency(mut self, letters: usize) -> Self {
        self.concurrency = letters;
        self
    }

    /// Whether to only count what would be sent.
    pub fn dry_run(mut self, yes: bool) -> Self {
        self.dry_run = yes;
        self
    }

    /// Stops when this many letters have failed in a row: at least 1. Default 10.
    pub fn stop_after(mut self, failures: u32) -> Self {
        self.stop_after = failures;
        self
    }

    /// How long to wait in all, between two successes, for a circuit breaker that refuses. Default 60 s; zero
    /// stops at the first refusal.
    pub fn max_pause(mut self, pause: Duration) -> Self {
        self.max_pause = pause;
        self
    }

    fn validate(&self) -> Result<(), ConfigError> {
        if let Some(rate) = self.rate {
            ConfigError::check(
                rate.is_finite() && rate >= 0.001,
                "rate",
                rate,
                "letters a second, at least 0.001",
            )?;
        }
        ConfigError::check(
            (1..=1_024).contains(&self.concurrency),
            "concurrency",
            self.concurrency,
            "at least 1 and at most 1024",
        )?;
        ConfigError::check(self.stop_after >= 1, "stop_after", self.stop_after, "at least 1")
    }
}

/// What a redrive did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RedriveReport {
    /// Letters that were looked at.
    pub matched: u64,
    /// Letters that were sent, succeeded and were removed.
    pub redriven: u64,
    /// Letters that were sent and failed; they wait with one more attempt.
    pub failed: u64,
    /// Letters that cannot be sent as they were: the body is missing or was redacted, or the request is of
    /// another type than the service takes. They wait unchanged.
    pub skipped: u64,
    /// Time spent waiting for a circuit breaker.
    pub paused: Duration,
    /// Why it ended before every letter was tried.
    pub stopped: Option<StopReason>,
}

/// Why a redrive ended early.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StopReason {
    /// This many letters failed in a row.
    Failures(u32),
    /// A circuit breaker refused for too long; it says to wait this long from the last refusal.
    CircuitOpen(Option<Duration>),
    /// The service is not ready and never will be.
    NotReady(String),
}

impl DeadLetterQueue {
    /// Sends letters again through `service`, and removes each one that succeeds.
    ///
    /// The service is typically the stack that failed them, without this queue's layer, so that its breaker and
    /// its retry budget apply. If the layer is in it, it leaves letters of its own queue alone.
    ///
    /// Delivery is at least once: a letter is removed when the service has said that it succeeded, so a process
    /// that ends in between sends it again the next time. A letter that fails stays, with one more attempt. When
    /// a circuit breaker refuses, nothing is sent for as long as it says, and the refusal is no attempt. A
    /// redrive that is dropped midway loses nothing.
    ///
    /// Plain requests come back through serde. HTTP requests come with an `Idempotency-Key`, made from the
    /// letter's id where there was none, without the headers that were redacted, and with [`Redriven`] among
    /// their extensions; only a status below 400 is a success, because a 401 or 404 for a letter means that it
    /// did not do what it was meant to do.
    ///
    /// # Errors
    /// When the store fails, a setting is out of its range, or another redrive of this queue is running.
    ///
    /// # Example
    /// ```
    /// use campanile::DeadLetterQueue;
    /// use campanile::dead_letter::Redrive;
    /// use tower::service_fn;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), tower::BoxError> {
    /// let queue = DeadLetterQueue::in_memory(1_000);
    /// let service = service_fn(|order: u32| async move { Ok::<_, tower::BoxError>(order) });
    /// let report = queue.redrive(service, Redrive::all().rate(50).dry_run(false)).await?;
    /// assert_eq!(report.stopped, None);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn redrive<S, Req, Via>(
        &self,
        service: S,
        redrive: Redrive,
    ) -> Result<RedriveReport, StoreError>
    where
        S: Service<Req>,
        Req: Redrivable<Via>,
        Via: Judge<S::Response, S::Error>,
    {
        run::run::<S, Req, Via>(self.core(), service, redrive).await
    }
}
