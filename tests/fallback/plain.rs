//! The layer for any service, with a value and with another service.

use std::future::pending;
use std::task::{Context, Poll};

use campanile::fallback::{self, FallbackKind};
use campanile::{CircuitBreaker, FailureKind, Fallback, Outcome, Rejected, Retry, Timing};
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt, service_fn};

use crate::support::{Count, secs};

/// A service that answers even numbers, and fails for odd ones.
async fn even(n: u32) -> Result<u32, BoxError> {
    if n.is_multiple_of(2) { Ok(n) } else { Err(format!("{n} is odd").into()) }
}

#[tokio::test]
async fn a_value_answers_failed_calls() {
    let fallback = Fallback::new("numbers");
    let service = fallback.layer(fallback::value(0)).layer(service_fn(even));
    assert_eq!(service.clone().oneshot(4).await.unwrap(), 4);
    assert_eq!(service.oneshot(5).await.unwrap(), 0);
    let snapshot = fallback.snapshot();
    assert_eq!((snapshot.successes, snapshot.answered[&FallbackKind::Value]), (1, 1));
}

#[tokio::test]
async fn another_service_answers_failed_calls_and_waits_until_it_is_ready() {
    /// Ready at the second poll.
    #[derive(Clone, Default)]
    struct Slow {
        polls: u32,
    }
    impl Service<u32> for Slow {
        type Response = u32;
        type Error = BoxError;
        type Future = std::future::Ready<Result<u32, BoxError>>;

        fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
            self.polls += 1;
            if self.polls < 2 {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, n: u32) -> Self::Future {
            assert!(self.polls >= 2, "called before it was ready");
            std::future::ready(Ok(n * 100))
        }
    }
    let fallback = Fallback::new("numbers");
    let service = fallback.layer(fallback::service(Slow::default())).layer(service_fn(even));
    assert_eq!(service.clone().oneshot(4).await.unwrap(), 4);
    assert_eq!(tokio::spawn(service.oneshot(5)).await.unwrap().unwrap(), 500);
    assert_eq!(fallback.snapshot().answered[&FallbackKind::Service], 1);
}

#[tokio::test]
async fn the_first_error_is_the_source_when_the_fallback_fails_too() {
    #[derive(Debug)]
    struct First;
    impl std::fmt::Display for First {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("the first")
        }
    }
    impl std::error::Error for First {}

    let fallback = Fallback::new("numbers");
    let failing = service_fn(|_: u32| async { Err::<u32, BoxError>("the second".into()) });
    let first = service_fn(|_: u32| async { Err::<u32, First>(First) });
    let error = fallback.layer(fallback::service(failing)).layer(first).oneshot(1).await.unwrap_err();
    assert_eq!(error.to_string(), "the first; fallback `numbers` failed too: the second");
    assert!(error.source().unwrap().is::<First>());

    let panicking = service_fn(|_: u32| async { panic!("on purpose") });
    let panicking = panicking.map_result(|result: Result<u32, BoxError>| result);
    let error = fallback.layer(fallback::service(panicking)).layer(first).oneshot(1).await.unwrap_err();
    assert_eq!(error.to_string(), "the first; fallback `numbers` failed too: it panicked: on purpose");
    assert_eq!(fallback.snapshot().failures, 2);
}

#[tokio::test(start_paused = true)]
async fn a_fallback_that_panics_while_it_starts_is_contained() {
    #[derive(Debug)]
    struct Fragile;
    impl Clone for Fragile {
        fn clone(&self) -> Self {
            panic!("on purpose")
        }
    }
    let fallback = Fallback::new("numbers");
    let service = fallback
        .layer(fallback::value(Fragile))
        .layer(service_fn(|(): ()| async { Err::<Fragile, BoxError>("broken".into()) }));
    let error = service.oneshot(()).await.unwrap_err();
    assert_eq!(error.to_string(), "broken; fallback `numbers` failed too: it panicked: on purpose");
}

#[tokio::test]
async fn when_decides_which_outcomes_lead_to_the_fallback() {
    let fallback = Fallback::new("numbers");
    let rule = |result: Result<&u32, &BoxError>| match result {
        Ok(4) => Outcome::Failure(FailureKind::Error),
        _ => Outcome::Success,
    };
    let service = fallback.layer(fallback::value(0)).when(rule).layer(service_fn(even));
    assert_eq!(service.clone().oneshot(4).await.unwrap(), 0);
    assert_eq!(service.clone().oneshot(6).await.unwrap(), 6);
    assert_eq!(service.oneshot(5).await.unwrap_err().to_string(), "5 is odd");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_is_cancelled() {
    let fallback = Fallback::new("numbers");
    let hanging = service_fn(|_: u32| pending::<Result<u32, BoxError>>());
    let service = fallback.layer(fallback::service(hanging)).layer(service_fn(even));
    assert!(tokio::time::timeout(secs(1), service.oneshot(5)).await.is_err());
    assert_eq!((fallback.snapshot().calls, fallback.snapshot().cancelled), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn what_the_fallback_answers_is_a_failure_for_the_layers_inside() {
    let (fallback, timing, calls) = (Fallback::new("numbers"), Timing::new("numbers"), Count::default());
    let breaker = CircuitBreaker::builder("numbers").minimum_calls(2).build().unwrap();
    let retry = Retry::builder().max_attempts(2).build().unwrap();
    let service = ServiceBuilder::new()
        .layer(fallback.layer(fallback::value(0)))
        .layer(retry.layer())
        .layer(breaker.layer())
        .layer(timing.layer())
        .service_fn(|n| {
            calls.add();
            even(n)
        });
    for _ in 0..3 {
        assert_eq!(service.clone().oneshot(5).await.unwrap(), 0);
    }
    // The circuit opened after one call with two attempts; the fallback goes on to answer.
    assert_eq!((calls.get(), timing.snapshot().failed, retry.snapshot().failures), (2, 2, 3));
    assert!(breaker.snapshot().totals.rejected >= 2);
    assert_eq!(fallback.snapshot().answered[&FallbackKind::Value], 3);
    let bare = breaker.layer().layer(service_fn(even));
    assert!(Rejected::find(bare.oneshot(4).await.unwrap_err().as_ref()).is_some());
}
