//! A service, and layers that open and retry soon.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use campanile::{Backoff, CircuitBreaker, FailureKind, HalfOpen, Retry, Window};
use serde::{Deserialize, Serialize};
use tower::{BoxError, Service, ServiceExt};

pub(crate) const OPEN_FOR: Duration = Duration::from_secs(5);

pub(crate) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// What the service does with a request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Act {
    Succeed,
    Fail,
    /// Fails this number of calls of all, then succeeds.
    FailFirst(usize),
    Hang,
    Take(Duration),
}

/// A service that does what its request says, and counts its calls.
#[derive(Clone, Debug, Default)]
pub(crate) struct Backend {
    calls: Arc<AtomicUsize>,
}

impl Backend {
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

impl Service<Act> for Backend {
    type Response = ();
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, act: Act) -> Self::Future {
        let before = self.calls.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            match act {
                Act::Succeed => Ok(()),
                Act::Fail => Err("broken".into()),
                Act::FailFirst(times) if before < times => Err("broken".into()),
                Act::FailFirst(_) => Ok(()),
                Act::Hang => std::future::pending().await,
                Act::Take(time) => {
                    tokio::time::sleep(time).await;
                    Ok(())
                }
            }
        })
    }
}

/// Opens when half of the last ten calls failed, of at least four, for five seconds. One probe decides.
pub(crate) fn breaker_builder() -> campanile::breaker::CircuitBreakerBuilder {
    CircuitBreaker::builder("test")
        .window(Window::count(10))
        .minimum_calls(4)
        .open_for(Backoff::constant(OPEN_FOR))
        .half_open(HalfOpen { permits: 1, max_wait: secs(30) })
}

pub(crate) fn breaker() -> CircuitBreaker {
    breaker_builder().build().unwrap()
}

/// Three attempts, one second apart.
pub(crate) fn retry_builder() -> campanile::retry::RetryBuilder {
    Retry::builder().max_attempts(3).backoff(Backoff::constant(secs(1))).budget(None)
}

pub(crate) fn retry() -> Retry {
    retry_builder().build().unwrap()
}

pub(crate) async fn call<S, R>(service: &mut S, request: R) -> Result<S::Response, S::Error>
where
    S: Service<R>,
{
    service.ready().await?.call(request).await
}

/// The failures of this kind, of a breaker or of a timing.
pub(crate) fn of_kind(failures: [u64; 6], kind: FailureKind) -> u64 {
    failures[kind.index()]
}
