//! `tower::timeout`, and the time limits of a retry.

use campanile::breaker::Cancelled;
use campanile::{CircuitState, FailureKind, TimedOut, Timing};
use tokio::time::Instant;
use tower::timeout::TimeoutLayer;
use tower::timeout::error::Elapsed;
use tower::{Service, ServiceBuilder, ServiceExt};

use crate::support::{
    Act, Backend, breaker, breaker_builder, call, millis, of_kind, retry, retry_builder, secs,
};

#[tokio::test(start_paused = true)]
async fn an_innermost_timeout_is_a_timeout_for_all_layers() {
    let (retry, breaker, timing, backend) = (retry(), breaker(), Timing::new("test"), Backend::default());
    let mut stack = ServiceBuilder::new()
        .layer(retry.layer())
        .layer(breaker.layer())
        .layer(timing.layer())
        .layer(TimeoutLayer::new(millis(100)))
        .service(backend.clone());
    let error = call(&mut stack, Act::Hang).await.unwrap_err();
    assert!(error.is::<Elapsed>());
    assert_eq!((backend.calls(), retry.snapshot().retries), (3, 2), "worth another attempt");
    assert_eq!(of_kind(breaker.snapshot().totals.failures, FailureKind::Timeout), 3);
    assert_eq!(of_kind(timing.snapshot().failures, FailureKind::Timeout), 3);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_outside_of_the_breaker_is_a_cancellation_for_it() {
    for (limit, cancelled, counted) in [
        // Without a slow-call limit, a cancelled call is a failure after a second.
        (secs(2), Cancelled::FailureWhenSlow, 4),
        (millis(500), Cancelled::FailureWhenSlow, 0),
        (millis(500), Cancelled::FailureAfter(millis(400)), 4),
    ] {
        let (breaker, timing) =
            (breaker_builder().cancelled(cancelled).build().unwrap(), Timing::new("test"));
        let mut stack = ServiceBuilder::new()
            .layer(TimeoutLayer::new(limit))
            .layer(breaker.layer())
            .layer(timing.layer())
            .service(Backend::default());
        for _ in 0..4 {
            assert!(call(&mut stack, Act::Hang).await.unwrap_err().is::<Elapsed>());
        }
        let totals = breaker.snapshot().totals;
        assert_eq!(
            (of_kind(totals.failures, FailureKind::Cancelled), totals.ignored),
            (counted, 4 - counted)
        );
        assert_eq!(breaker.state() == CircuitState::Open, counted == 4);
        assert_eq!(of_kind(timing.snapshot().failures, FailureKind::Cancelled), 4, "timing counts them all");
    }
}

/// The attempt timeout of a retry is outside of the breaker too, but marks the dropped attempt as a timeout.
#[tokio::test(start_paused = true)]
async fn an_attempt_timeout_is_a_timeout_for_the_breaker_however_short() {
    for slow in [None, Some(millis(400))] {
        let breaker = match slow {
            Some(limit) => breaker_builder().slow_call(limit, 1.0),
            None => breaker_builder(),
        };
        let breaker = breaker.build().unwrap();
        let retry = retry_builder().attempt_timeout(millis(500)).build().unwrap();
        let mut by_retry =
            ServiceBuilder::new().layer(retry.layer()).layer(breaker.layer()).service(Backend::default());
        assert!(call(&mut by_retry, Act::Hang).await.unwrap_err().is::<TimedOut>());
        assert_eq!(of_kind(breaker.snapshot().totals.failures, FailureKind::Timeout), 3);
        breaker.reset();

        let mut by_tower = ServiceBuilder::new()
            .layer(self::retry().layer())
            .layer(TimeoutLayer::new(millis(500)))
            .layer(breaker.layer())
            .service(Backend::default());
        let _ = call(&mut by_tower, Act::Hang).await.unwrap_err();
        let expected = if slow.is_some() { 3 } else { 0 };
        assert_eq!(of_kind(breaker.snapshot().totals.failures, FailureKind::Cancelled), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_timeout_outside_of_retry_loses_the_result_that_a_deadline_returns() {
    let retry = retry_builder().max_attempts(10).build().unwrap();
    let mut stack = ServiceBuilder::new()
        .layer(TimeoutLayer::new(millis(2_500)))
        .layer(retry.layer())
        .service(Backend::default());
    let began = Instant::now();
    assert!(call(&mut stack, Act::Fail).await.unwrap_err().is::<Elapsed>());
    assert!(began.elapsed() >= millis(2_500));
    assert_eq!((retry.snapshot().cancelled, retry.snapshot().retries), (1, 2));

    let retry = retry_builder().max_attempts(10).deadline(millis(2_500)).build().unwrap();
    let mut stack = ServiceBuilder::new().layer(retry.layer()).service(Backend::default());
    let began = Instant::now();
    // The next wait would reach the deadline, so the caller gets the error of the service, and earlier.
    assert_eq!(call(&mut stack, Act::Fail).await.unwrap_err().to_string(), "broken");
    assert!(began.elapsed() < millis(2_500));
    assert_eq!((retry.snapshot().cancelled, retry.snapshot().retries), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn a_timeout_does_not_bound_the_wait_for_readiness() {
    let stack = ServiceBuilder::new()
        .layer(TimeoutLayer::new(secs(1)))
        .concurrency_limit(1)
        .service(Backend::default());
    let mut busy = stack.clone();
    let _held = busy.ready().await.unwrap();
    let mut waiting = stack.clone();
    assert!(tokio::time::timeout(secs(60), waiting.ready()).await.is_err());
    drop(busy);
    assert!(waiting.ready().await.unwrap().call(Act::Hang).await.unwrap_err().is::<Elapsed>());
}
