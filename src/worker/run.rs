//! Items that are processed one by one.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::{Span, field};

use super::failure::Failure;
use super::handle::Worker;
use super::inner::Inner;
use super::watch::{Ended, Watch, observe};
use crate::base::error::{CallError, Cause};
#[cfg(feature = "retry")]
use crate::base::outcome::Outcome;
use crate::dead_letter::HeldItem;
#[cfg(feature = "retry")]
use crate::layers::attempts::ErrorText;
use crate::layers::attempts::Record;

/// What fails in a log line.
pub(super) const ITEM: &str = "item";

impl Worker {
    /// Processes one item: `work` runs in a span of the worker's component, through the retry and the circuit breaker that
    /// the builder was given. The item is counted as ingested, and then as ok, failed or cancelled.
    ///
    /// An item that failed for good is parked in [`letters`](Self::letters) before the caller gets the error, and it is
    /// logged: once, and then the number of those that failed in the same way. `work` gets a copy of the item for each
    /// attempt. The copy that is parked is kept until the end, so put large items into an `Arc`.
    ///
    /// A panic is a failure: the item is parked, and then the panic continues. An item whose future is dropped is
    /// cancelled. It is parked only if the queue
    /// [parks what is cancelled](crate::dead_letter::DeadLetterQueueBuilder::park_cancelled).
    ///
    /// # Errors
    /// [`CallError::Inner`] with the error of the last attempt; [`CallError::Rejected`] if the circuit refused it;
    /// [`CallError::TimedOut`] if the retry ended it.
    ///
    /// # Example
    /// ```
    /// use campanile::Worker;
    /// use campanile::dead_letter::Redrive;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let worker = Worker::builder("import").build()?;
    /// let failed = worker.run(17_u32, |row| async move { Err::<(), _>(format!("row {row} has no name")) }).await;
    /// assert!(failed.is_err());
    /// assert_eq!(worker.snapshot().items.failed, 1);
    ///
    /// // Later, once the rows have names:
    /// let report = worker.redrive(|row: u32| async move { Ok::<_, String>(row) }, Redrive::all()).await?;
    /// assert_eq!(report.redriven, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn run<T, F, Fut, R, E, K>(&self, item: T, work: F) -> Result<R, CallError<E>>
    where
        T: Clone + Serialize + DeserializeOwned,
        F: FnMut(T) -> Fut,
        Fut: Future<Output = Result<R, E>>,
        E: Cause<K>,
    {
        let inner = &*self.inner;
        let watch = Watch::start(&inner.items, inner.vital.as_ref(), item_span(inner));
        let mut held = HeldItem::new(&inner.letters, item, watch.began());
        let Ended { result, failure, span } = {
            let (item, record) = held.parts();
            let attempts = attempts(Arc::clone(&self.inner), item.clone(), work);
            observe(watch, recorded(record, attempts), Failure::of_call).await
        };
        let Some(failure) = failure else {
            held.release();
            return finish(result);
        };
        let parked = span.in_scope(|| {
            inner.note(&failure, ITEM, ITEM);
            held.park(failure.kind, failure.text)
        });
        drop(span);
        parked.await;
        finish(result)
    }
}

/// The result, or the panic.
fn finish<R, E>(result: Result<Result<R, E>, crate::base::panics::Panic>) -> Result<R, E> {
    result.unwrap_or_else(|panic| panic.resume())
}

/// The span of an item.
pub(super) fn item_span(inner: &Inner) -> Span {
    tracing::info_span!(
        target: "campanile::worker",
        "process",
        component = &*inner.name,
        "error.type" = field::Empty
    )
}

/// Records the attempts that fail in `work`, for the letter.
async fn recorded<F: Future>(record: &mut Record, work: F) -> F::Output {
    let mut work = pin!(work);
    poll_fn(|cx| record.during(|| work.as_mut().poll(cx))).await
}

/// Runs `work` through the retry and the circuit breaker. It owns its values, so that it can be spawned for every type of
/// item.
pub(super) async fn attempts<T, F, Fut, R, E, K>(
    inner: Arc<Inner>,
    item: T,
    mut work: F,
) -> Result<R, CallError<E>>
where
    T: Clone,
    F: FnMut(T) -> Fut,
    Fut: Future<Output = Result<R, E>>,
    E: Cause<K>,
{
    #[cfg(feature = "retry")]
    if let Some(retry) = &inner.retry {
        let classify = |result: Result<&R, &CallError<E>>| match result {
            Ok(_) => Outcome::Success,
            Err(error) => Outcome::Failure(Failure::of_call(error).kind),
        };
        let text: fn(&CallError<E>) -> ErrorText = |error| Failure::of_call(error).text;
        let own = Arc::clone(&inner);
        // The item is moved, because a reference to it would ask spawned work for items that are `Sync`.
        let again = move || attempt(Arc::clone(&own), work(item.clone()));
        let result = retry.run_described(classify, text, again).await;
        return result.map_err(CallError::flatten);
    }
    let call = work(item);
    attempt(inner, call).await
}

/// Makes one attempt, through the circuit breaker.
async fn attempt<F, R, E, K>(inner: Arc<Inner>, work: F) -> Result<R, CallError<E>>
where
    F: Future<Output = Result<R, E>>,
    E: Cause<K>,
{
    #[cfg(feature = "breaker")]
    if let Some(breaker) = &inner.breaker {
        return breaker.call(work).await;
    }
    work.await.map_err(CallError::Inner)
}
