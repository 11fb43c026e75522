//! Items that are parked, and sent again.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tower::{BoxError, Service};
use tracing::Instrument;

use super::failure::Failure;
use super::handle::Worker;
use super::run::{ITEM, attempts, item_span};
use crate::base::error::{CallError, Cause};
use crate::dead_letter::{Redrive, RedriveReport, park_item};
use crate::store::StoreError;

impl Worker {
    /// Parks an item that failed for good: as a letter with the error, its sources and its kind, the trace and the
    /// correlation id. The item is counted as failed, and it is logged as in [`run`](Self::run).
    ///
    /// It waits until the queue has the letter, at most for the
    /// [park timeout](crate::dead_letter::DeadLetterSettings::park_timeout). Items that [`run`](Self::run) processes are
    /// parked by it.
    ///
    /// # Example
    /// ```
    /// use campanile::Worker;
    /// use campanile::dead_letter::LetterFilter;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let worker = Worker::builder("import").build()?;
    /// worker.park(&vec!["17", "ada"].join(","), &"the row has no price").await;
    /// let letters = worker.letters().list(LetterFilter::all()).await?;
    /// assert_eq!(letters[0].message, "the row has no price");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn park<T, K>(&self, item: &T, error: &impl Cause<K>)
    where
        T: Serialize + DeserializeOwned,
    {
        let failure = Failure::of(error);
        self.inner.items.add_failed(failure.kind, 1);
        self.inner.note(&failure, ITEM, ITEM);
        // Not held across the wait: the item and the error need not be `Sync`.
        let parked = park_item(&self.inner.letters, item, failure.kind, failure.text);
        parked.await;
    }

    /// Processes parked items again, and removes each letter whose item succeeds:
    /// [`DeadLetterQueue::redrive`](crate::DeadLetterQueue::redrive) with the retry, the circuit breaker and the spans of
    /// this worker. The queue counts these items: they are not ingested a second time.
    ///
    /// # Errors
    /// When a setting is out of its range, or the store fails.
    ///
    /// # Example
    /// ```
    /// use campanile::Worker;
    /// use campanile::dead_letter::Redrive;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let worker = Worker::builder("import").build()?;
    /// worker.park(&17_u32, &"no connection").await;
    /// let report = worker.redrive(|row: u32| async move { Ok::<_, String>(row) }, Redrive::all().rate(50)).await?;
    /// assert_eq!((report.redriven, report.failed), (1, 0));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn redrive<T, F, Fut, R, E, K>(
        &self,
        work: F,
        redrive: Redrive,
    ) -> Result<RedriveReport, StoreError>
    where
        T: Clone + DeserializeOwned,
        F: Fn(T) -> Fut,
        Fut: Future<Output = Result<R, E>>,
        E: Cause<K> + Into<BoxError>,
    {
        let (inner, work) = (&self.inner, &work);
        let again = Again(move |item: T| {
            let span = item_span(inner);
            let (inner, recorder) = (Arc::clone(inner), span.clone());
            let again = async move {
                let result = attempts(inner, item, work).await;
                result.map_err(|error| {
                    recorder.record("error.type", Failure::of_call(&error).label());
                    boxed(error)
                })
            };
            again.instrument(span)
        });
        inner.letters.redrive(again, redrive).await
    }
}

/// The error as the redrive reads it.
fn boxed<E: Into<BoxError>>(error: CallError<E>) -> BoxError {
    match error {
        CallError::Rejected(rejected) => rejected.into(),
        CallError::TimedOut(timed_out) => timed_out.into(),
        CallError::Inner(error) => error.into(),
    }
}

/// The service of a redrive.
struct Again<F>(F);

impl<F, T, Fut, R> Service<T> for Again<F>
where
    F: FnMut(T) -> Fut,
    Fut: Future<Output = Result<R, BoxError>>,
{
    type Response = R;
    type Error = BoxError;
    type Future = Fut;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, item: T) -> Fut {
        (self.0)(item)
    }
}

impl<F> fmt::Debug for Again<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Again").finish_non_exhaustive()
    }
}
