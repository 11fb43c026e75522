//! The methods of a queue that send letters again.

use tower::Service;

use super::automatic::{self, RedriveHandle};
use super::request::Redrivable;
use super::settings::Redrive;
use super::state::Job;
use super::{bring_back, dry_run, run};
use crate::dead_letter::queue::DeadLetterQueue;
use crate::dead_letter::running::{RedriveProgress, RedriveReport};
use crate::store::{LetterFilter, StoreError};

impl DeadLetterQueue {
    /// Sends letters again through `service`, and removes each letter that succeeds.
    ///
    /// The service is usually the stack in which the requests failed, without the layer of this queue, so that its breaker
    /// and its retry budget apply. If the layer is in the stack, it does not park these letters again.
    ///
    /// **Requests.** `Req` is any type that serde can deserialize, or `http::Request<B>` for a body made from `Bytes`.
    /// HTTP requests carry an `Idempotency-Key`, the id of the letter unless the request had one. They do not have the
    /// headers that were redacted, and their extensions hold [`Redriven`](super::super::Redriven). Only a status below 400
    /// is a success, because after a 401 or 404 the request has not done its work.
    ///
    /// **Delivery is at least once.** A letter is removed after the service has answered with success. A process that dies
    /// before that sends it again next time. Results are recorded while the next letters are sent, so this concerns up to
    /// 1,024 letters. The redrive ends when the last result is recorded. Dropping the future loses no letter.
    ///
    /// **Failures.** A letter that fails stays, with one more attempt. While a circuit breaker rejects letters, none is
    /// sent for as long as the breaker asks, and then one letter is sent as a probe. A rejection is not an attempt.
    ///
    /// **Several redrives** may run at once, in this process and in others. Each claims the letters that it is about to
    /// send, and no other gets them. The letters of a process that died can be claimed when the
    /// [lease](Redrive::lease) is over.
    ///
    /// **Letters that cannot be sent** as they were are skipped and stay unchanged: [`RedriveReport::skipped_by`] gives the
    /// reasons.
    ///
    /// **A store that fails** is tried again for about two seconds. If it then still removes letters but does not record
    /// failures, the redrive continues and counts these letters in [`RedriveReport::unrecorded`].
    ///
    /// # Errors
    /// When a setting is out of its range, or the store fails so that letters cannot be claimed or delivered letters cannot
    /// be removed.
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
        Req: Redrivable<Via, S::Response, S::Error>,
    {
        redrive.validate_for(&self.core().name)?;
        if redrive.dry_run {
            return dry_run::run::<Req, Via, S::Response, S::Error>(self.core(), &redrive).await;
        }
        let mut service = service;
        let mut job = Job::new(redrive, false);
        run::run(self.core(), &mut service, &mut job).await?;
        Ok(job.progress.report())
    }

    /// Returns the progress of the redrives of this queue that run in this process.
    #[must_use]
    pub fn redrives(&self) -> Vec<RedriveProgress> {
        self.core().redrives.progress()
    }

    /// Asks the redrives that were started by [`DeadLetterQueue::redrive`] to stop, and returns their number. Each sends no
    /// more letters, waits for the calls in progress, and ends with
    /// [`StopReason::Asked`](super::super::StopReason::Asked).
    pub fn stop_redrives(&self) -> usize {
        self.core().redrives.stop()
    }

    /// Sends letters again in the background, each when it is due, until the handle is dropped.
    ///
    /// A letter is due some time after it was parked, and later after each failed redrive: see [`Redrive::backoff`].
    /// While a circuit breaker rejects letters, they are released for as long as the breaker asks. A store that fails
    /// is tried again after a growing delay. A letter that cannot be sent is [set aside](Redrive::set_aside_after).
    /// Several processes may do this on one queue. [`DeadLetterQueue::redrive`] may run at the same time, and also
    /// sends letters that are not due.
    ///
    /// The service is that of [`DeadLetterQueue::redrive`]. If it holds the layer of this queue, and so the queue, only
    /// dropping the handle ends the redrive.
    ///
    /// # Errors
    /// When a setting is out of its range, or there is no Tokio runtime.
    ///
    /// # Example
    /// ```
    /// use campanile::DeadLetterQueue;
    /// use campanile::dead_letter::Redrive;
    /// use std::time::Duration;
    /// use tower::service_fn;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), tower::BoxError> {
    /// let queue = DeadLetterQueue::in_memory(1_000);
    /// let service = service_fn(|order: u32| async move { Ok::<_, tower::BoxError>(order) });
    /// let running = queue.redrive_automatically(service, Redrive::all().rate(20))?;
    /// // At the end of the program:
    /// let report = running.stop(Duration::from_secs(5)).await;
    /// assert_eq!(report.failed, 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn redrive_automatically<S, Req, Via>(
        &self,
        service: S,
        redrive: Redrive,
    ) -> Result<RedriveHandle, StoreError>
    where
        S: Service<Req, Future: Send> + Send + 'static,
        Req: Redrivable<Via, S::Response, S::Error> + Send,
    {
        automatic::start(self.core(), service, redrive)
    }

    /// Releases the letters that were [set aside](Redrive::set_aside_after) and match `filter`, and returns their number.
    /// Redrives send them again, and their count of failed redrives starts again at 0.
    ///
    /// After a deploy that can read more letters, release those that were set aside as
    /// [`OtherType`](super::super::Unsendable::OtherType) or [`Unreadable`](super::super::Unsendable::Unreadable), or send
    /// them by hand with [`LetterFilter::set_aside`].
    ///
    /// # Errors
    /// When the store fails.
    pub async fn bring_back(&self, filter: LetterFilter) -> Result<u64, StoreError> {
        bring_back::run(self.core(), &filter).await
    }
}
