//! Sending letters again.
//!
//! Several processes may do it at once, and each may die at any moment. So a run claims a page of letters, renews
//! its claim while they wait or are under way, and writes down what became of each: delivered, failed, or not sent.

mod automatic;
mod bring_back;
mod dry;
mod flight;
#[cfg(feature = "http")]
mod http;
mod meant;
mod pace;
mod pages;
mod progress;
mod report;
mod request;
mod run;
mod schedule;
mod settings;
mod settling;
mod stops;
mod unsent;
mod verdicts;

pub use automatic::{AutoRedrive, AutoRedriveHandle};
pub(super) use progress::Redrives;
pub use report::{RedriveProgress, RedriveReport, RedriveState, StopReason};
pub use request::{Judge, PlainRequest, Redrivable, Redriven, Verdict};

#[cfg(feature = "http")]
pub use self::http::HttpRedrive;
pub use settings::Redrive;

use std::sync::Arc;

use tower::Service;

use self::run::Course;
use super::DeadLetterQueue;
use super::core::Core;
use crate::store::{LetterFilter, StoreError};

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
    core.redrives.any() && runs_here(core)
}

#[cold]
fn runs_here(core: &Arc<Core>) -> bool {
    REDRIVING.try_with(|running| *running == address(core)).unwrap_or(false)
}

impl DeadLetterQueue {
    /// Sends letters again through `service`, and removes each one that succeeds.
    ///
    /// The service is typically the stack that failed them, without this queue's layer, so that its breaker and
    /// its retry budget apply. If the layer is in it, it leaves letters of its own queue alone.
    ///
    /// Delivery is at least once: a letter is removed when the service has said that it succeeded, so a process
    /// that ends in between sends it again the next time: up to 1,024 of them, since removals are written while the
    /// next letters are sent. This ends when the last one is written. A letter that fails stays, with one more
    /// attempt. When a circuit breaker refuses, nothing is sent for as long as it says, the refusal is no attempt, and
    /// the first one after that goes alone. A redrive that is dropped midway loses nothing.
    ///
    /// Any number of redrives may run at once, in this process and in others: each holds the letters that it is about
    /// to send, no other one gets them, and those of a process that died are free when their
    /// [lease](Redrive::lease) is over.
    ///
    /// Letters that cannot be sent as they were are skipped and stay as they are: [`RedriveReport::skipped_by`] says why.
    ///
    /// Plain requests come back through serde. HTTP requests come with an `Idempotency-Key`, made from the
    /// letter's id where there was none, without the headers that were redacted, and with [`Redriven`] among
    /// their extensions; only a status below 400 is a success, because a 401 or 404 for a letter means that it
    /// did not do what it was meant to do.
    ///
    /// What the store does not take is tried again for about two seconds. Where it removes letters and does not take that
    /// others failed, the redrive goes on and counts those in [`RedriveReport::unrecorded`].
    ///
    /// # Errors
    /// When the store fails, so that no letters can be had or those that got through cannot be removed, or a setting is
    /// out of its range.
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
        redrive.validate()?;
        if redrive.dry_run {
            return dry::run::<Req, Via>(self.core(), &redrive).await;
        }
        let mut service = service;
        let mut course = Course::new(redrive, false);
        run::run::<S, Req, Via>(self.core(), &mut service, &mut course).await?;
        Ok(course.progress.report())
    }

    /// How the redrives are doing that this process runs on the queue.
    #[must_use]
    pub fn redrives(&self) -> Vec<RedriveProgress> {
        self.core().redrives.progress()
    }

    /// Asks the redrives that were started by [`DeadLetterQueue::redrive`] to stop, and tells how many there are. Each
    /// sends no more letters, waits for those that are under way, and ends with [`StopReason::Asked`].
    pub fn stop_redrives(&self) -> usize {
        self.core().redrives.stop()
    }

    /// Sends letters again by themselves, each when it is due, for as long as the handle is kept.
    ///
    /// A letter is due a while after it was parked, and longer after each redrive that failed it: see
    /// [`AutoRedrive::backoff`]. While a circuit breaker refuses, letters are left to others for as long as it says; a
    /// store that fails is asked again after a growing delay. A letter that cannot be sent is
    /// [set aside](AutoRedrive::set_aside_after). Several processes may do this on one queue, and a
    /// [`DeadLetterQueue::redrive`] beside it takes letters whether or not they are due.
    ///
    /// The service is that of [`DeadLetterQueue::redrive`]. It may hold this queue's layer, and thus the queue: then only
    /// the handle ends it.
    ///
    /// # Errors
    /// When a setting is out of its range, or no Tokio runtime runs.
    ///
    /// # Example
    /// ```
    /// use campanile::DeadLetterQueue;
    /// use campanile::dead_letter::AutoRedrive;
    /// use std::time::Duration;
    /// use tower::service_fn;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), tower::BoxError> {
    /// let queue = DeadLetterQueue::in_memory(1_000);
    /// let service = service_fn(|order: u32| async move { Ok::<_, tower::BoxError>(order) });
    /// let running = queue.redrive_automatically(service, AutoRedrive::default().rate(20))?;
    /// // When the program ends:
    /// let report = running.stop(Duration::from_secs(5)).await;
    /// assert_eq!(report.failed, 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn redrive_automatically<S, Req, Via>(
        &self,
        service: S,
        settings: AutoRedrive,
    ) -> Result<AutoRedriveHandle, StoreError>
    where
        S: Service<Req, Future: Send> + Send + 'static,
        Req: Redrivable<Via> + Send,
        Via: Judge<S::Response, S::Error>,
    {
        automatic::start::<S, Req, Via>(self.core(), service, settings)
    }

    /// Brings letters back that were [set aside](Redrive::set_aside_after) and that `filter` lets through, and tells how
    /// many: redrives send them again, and set them aside only when they fail as often once more.
    ///
    /// So does a deploy that can read what the one before could not: after it, bring back the letters that were set aside
    /// as [`OtherType`](super::Unsendable::OtherType) or [`Unreadable`](super::Unsendable::Unreadable), or send them by
    /// hand with a [`LetterFilter::set_aside`].
    ///
    /// # Errors
    /// When the store fails.
    pub async fn bring_back(&self, filter: LetterFilter) -> Result<u64, StoreError> {
        bring_back::run(self.core(), &filter).await
    }
}
