//! The timing layer through its public API, on a paused clock.

#[cfg(feature = "http")]
mod conventions;
mod minute;
mod names;
mod sketch;
#[cfg(feature = "http")]
mod streams;

use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

use campanile::{FailureKind, Timing};
use tower::{Layer, Service, ServiceExt, service_fn};

async fn sleep(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_has_durations_and_kinds_of_failure() {
    let timing = Timing::new("orders");
    let mut service = timing.layer().layer(service_fn(|millis: u64| async move {
        sleep(millis).await;
        if millis == 13 { Err(std::io::Error::from(std::io::ErrorKind::TimedOut)) } else { Ok(millis) }
    }));
    for millis in 1..=100 {
        let result = service.ready().await.unwrap().call(millis).await;
        assert_eq!(result.is_err(), millis == 13);
    }
    let snapshot = timing.snapshot();
    assert_eq!((snapshot.calls, snapshot.in_flight, snapshot.failed), (100, 0, 1));
    assert_eq!(snapshot.failures[FailureKind::Timeout.index()], 1);
    assert_eq!(snapshot.min, Duration::from_millis(1));
    assert_eq!(snapshot.max, Duration::from_millis(100));
    assert_eq!(snapshot.mean, Duration::from_micros(50_500));
    for (percentile, exact) in [(snapshot.p50, 0.050), (snapshot.p95, 0.095), (snapshot.p99, 0.099)] {
        let error = (percentile.as_secs_f64() - exact).abs() / exact;
        assert!(error <= 1.0 / 32.0, "{percentile:?} for {exact} s");
    }
    // 100 calls over the 5.05 seconds since the handle was made.
    assert!(
        (snapshot.last_minute.per_second - 100.0 / 5.05).abs() < 1e-6,
        "{}",
        snapshot.last_minute.per_second
    );
    // Later the window is the last minute.
    tokio::time::advance(Duration::from_secs(600)).await;
    for _ in 0..30 {
        service.ready().await.unwrap().call(0).await.unwrap();
    }
    assert_eq!(timing.snapshot().last_minute.per_second, 0.5);
}

#[tokio::test(start_paused = true)]
async fn p07_a_call_that_is_dropped_or_panics_counts_once() {
    let timing = Timing::new("orders");
    let service = timing.layer().layer(service_fn(|panics: bool| async move {
        sleep(10).await;
        assert!(!panics, "on purpose");
        pending::<Result<(), Infallible>>().await
    }));
    let hanging = tokio::time::timeout(Duration::from_millis(50), service.clone().oneshot(false));
    assert!(hanging.await.is_err());
    for _ in 0..2 {
        let panicking = tokio::spawn(service.clone().oneshot(true));
        assert!(panicking.await.unwrap_err().is_panic());
    }
    let snapshot = timing.snapshot();
    assert_eq!((snapshot.calls, snapshot.in_flight, snapshot.failed), (3, 0, 3));
    assert_eq!(snapshot.failures[FailureKind::Cancelled.index()], 1);
    assert_eq!(snapshot.failures[FailureKind::Panic.index()], 2);
}

#[tokio::test(start_paused = true)]
async fn p12_readiness_responses_and_errors_pass_unchanged() {
    let timing = Timing::new("orders");
    let (mut service, mut handle) = tower_test::mock::spawn_layer::<u32, u32, _>(timing.layer());
    handle.allow(0);
    tokio_test::assert_pending!(service.poll_ready());
    handle.allow(1);
    tokio_test::assert_ready_ok!(service.poll_ready());
    let response = service.call(7);
    assert_eq!(timing.snapshot().in_flight, 1);
    handle.next_request().await.unwrap().1.send_error("its own words");
    assert_eq!(response.await.unwrap_err().to_string(), "its own words");
}

#[cfg(feature = "http")]
mod http {
    use super::*;
    use ::http::{Request, StatusCode};
    use axum::Router;
    use axum::body::Body;
    use axum::routing::get;
    use http_body_util::BodyExt;

    #[tokio::test(start_paused = true)]
    async fn a_call_is_timed_to_the_end_of_its_body() {
        let timing = Timing::new("server");
        let slow_body = || async {
            let chunks = async_chunks();
            Body::from_stream(chunks)
        };
        let app: Router = Router::new()
            .route("/slow", get(slow_body))
            .route("/broken", get(|| async { StatusCode::INTERNAL_SERVER_ERROR }))
            .layer(timing.http_server_layer());
        let get = |path: &str| app.clone().oneshot(Request::get(path).body(Body::empty()).unwrap());

        let response = get("/slow").await.unwrap();
        assert_eq!(timing.snapshot().in_flight, 1);
        response.into_body().collect().await.unwrap();
        let snapshot = timing.snapshot();
        assert_eq!((snapshot.calls, snapshot.in_flight), (1, 0));
        assert_eq!(snapshot.max, Duration::from_millis(300));

        assert_eq!(get("/broken").await.unwrap().status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(timing.snapshot().failed, 1);
        assert_eq!(get("/missing").await.unwrap().status(), StatusCode::NOT_FOUND);
        assert_eq!(timing.snapshot().failed, 1);
    }

    /// Three chunks, 100 ms apart.
    fn async_chunks() -> impl futures_core::Stream<Item = Result<&'static str, Infallible>> {
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        tokio::spawn(async move {
            for _ in 0..3 {
                sleep(100).await;
                if sender.send(Ok("chunk")).await.is_err() {
                    return;
                }
            }
        });
        tokio_stream::wrappers::ReceiverStream::new(receiver)
    }
}
