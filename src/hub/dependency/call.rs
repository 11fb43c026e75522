//! Calls of functions.

use std::future::Future;
use std::sync::Arc;

use tracing::Instrument;
use tracing::field::Empty;

use super::handle::{Dependency, DependencyInner};
use crate::base::error::{CallError, Cause};
use crate::layers::fallback::{Answer, FallbackError};
use crate::telemetry::kind_name;

impl Dependency {
    /// Runs `work` behind the layers of this dependency, for code that is no service: each attempt is timed, has a span, and
    /// counts for the circuit; a failed one is retried. Nothing is parked, because a function cannot be stored.
    ///
    /// # Errors
    /// [`CallError::Rejected`] if the circuit is open, [`CallError::TimedOut`] after a time limit of the retry, otherwise
    /// [`CallError::Inner`] with the error of the last attempt.
    ///
    /// # Example
    /// ```
    /// use campanile::Campanile;
    ///
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let campanile = Campanile::builder("checkout").start().await?;
    /// async fn count() -> Result<u32, std::io::Error> {
    ///     Ok(3)
    /// }
    ///
    /// let db = campanile.dependency("db").build().await?;
    /// let rows = tokio::spawn(async move { db.call(|| count()).await }).await??;
    /// assert_eq!(rows, 3);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn call<T, E, F, Fut, K>(&self, mut work: F) -> Result<T, CallError<E>>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
        E: Cause<K>,
        CallError<E>: Cause<K>,
    {
        let inner = Arc::clone(&self.inner);
        let Some(retry) = &self.inner.retry else { return attempt(inner, work()).await };
        let result = retry.run(move || attempt(Arc::clone(&inner), work())).await;
        result.map_err(CallError::flatten)
    }

    /// [`call`](Self::call), and `fallback` if that fails or the circuit is open.
    ///
    /// # Errors
    /// The error of `work`, if `fallback` fails as well. What `fallback` failed with is logged and counted.
    pub async fn call_or<T, E, F, Fut, G, Alt, A, K>(
        &self,
        work: F,
        fallback: G,
    ) -> Result<T, FallbackError<CallError<E>>>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
        G: FnOnce(&CallError<E>) -> Alt,
        Alt: Future,
        Alt::Output: Answer<T, A>,
        E: Cause<K>,
        CallError<E>: Cause<K>,
    {
        self.inner.fallback.call_or(self.call(work), fallback).await
    }
}

/// One attempt: circuit, then span, then timing. It owns the dependency, because the compiler refuses to spawn a call whose
/// attempts borrow it.
async fn attempt<T, E, K>(
    inner: Arc<DependencyInner>,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, CallError<E>>
where
    E: Cause<K>,
{
    match &inner.breaker {
        Some(breaker) => breaker.call(traced(&inner, work)).await,
        None => traced(&inner, work).await.map_err(CallError::Inner),
    }
}

async fn traced<T, E, K>(inner: &DependencyInner, work: impl Future<Output = Result<T, E>>) -> Result<T, E>
where
    E: Cause<K>,
{
    let span = tracing::info_span!(
        "call",
        otel.name = &*inner.name,
        otel.kind = "client",
        component = &*inner.component,
        otel.status_description = Empty,
        error.type = Empty,
    );
    let result = inner.timing.call(work).instrument(span.clone()).await;
    if let Err(error) = &result {
        error.ask(|error| {
            let kind = kind_name(error);
            span.record("error.type", kind.as_deref().unwrap_or("_OTHER"));
            span.record("otel.status_description", tracing::field::display(error));
        });
    }
    result
}
