//! Calls that a time limit of this crate ends, and how the inner layers count them.

use std::convert::Infallible;
use std::future::{Ready, pending, ready};

use bytes::Bytes;
#[cfg(feature = "grpc")]
use campanile::retry::ReplayBody;
use campanile::retry::{BodyTimeoutLayer, GiveUp};
use campanile::{
    CircuitBreaker, CircuitState, DeadLetterQueue, FailureKind, HalfOpen, LetterFilter, Retry, TimedOut,
    Timing,
};
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, StreamBody};
use tokio_stream::StreamExt;
use tower::timeout::TimeoutLayer;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt};

use crate::support::{
    Act, Backend, OPEN_FOR, breaker, breaker_builder, call, millis, of_kind, retry_builder, secs,
};

fn hasty() -> Retry {
    retry_builder().attempt_timeout(millis(100)).build().unwrap()
}

/// Asserts that both have counted these timeouts and nothing else.
#[track_caller]
fn assert_timeouts(breaker: &CircuitBreaker, timing: &Timing, number: u64) {
    let (totals, timed) = (breaker.snapshot().totals, timing.snapshot());
    assert_eq!((totals.successes, totals.ignored), (0, 0));
    for failures in [totals.failures, timed.failures] {
        assert_eq!(of_kind(failures, FailureKind::Timeout), number);
        assert_eq!(failures.iter().sum::<u64>(), number);
    }
    assert_eq!((timed.calls, timed.in_flight), (number, 0));
}

#[tokio::test(start_paused = true)]
async fn p07_a_service_that_hangs_opens_the_circuit_with_any_attempt_timeout() {
    let (breaker, timing, backend) = (breaker(), Timing::new("test"), Backend::default());
    let mut stack = ServiceBuilder::new()
        .layer(hasty().layer())
        .layer(breaker.layer())
        .layer(timing.layer())
        .service(backend.clone());
    for _ in 0..400 {
        call(&mut stack, Act::Hang).await.unwrap_err();
    }
    assert_eq!((breaker.state(), backend.calls()), (CircuitState::Open, 4));
    assert_timeouts(&breaker, &timing, 4);
}

#[tokio::test(start_paused = true)]
async fn p07_a_probe_that_a_time_limit_ends_has_failed() {
    let breaker = breaker_builder().half_open(HalfOpen { permits: 2, max_wait: secs(30) }).build().unwrap();
    let mut stack =
        ServiceBuilder::new().layer(hasty().layer()).layer(breaker.layer()).service(Backend::default());
    for _ in 0..2 {
        call(&mut stack, Act::Hang).await.unwrap_err();
    }
    assert_eq!(breaker.state(), CircuitState::Open);
    tokio::time::sleep(OPEN_FOR * 2).await;
    call(&mut stack, Act::Hang).await.unwrap_err();
    assert_eq!((breaker.state(), breaker.snapshot().probes_in_flight), (CircuitState::Open, 0));
    assert_eq!(breaker.snapshot().totals.ignored, 0);
}

async fn hangs<R>(_: R) -> Result<Response<Empty<Bytes>>, Infallible> {
    pending().await
}

#[tokio::test(start_paused = true)]
async fn p07_an_attempt_over_http_or_grpc_that_a_time_limit_ends_is_a_timeout() {
    let (breaker, timing) = (breaker(), Timing::new("test"));
    let stack = ServiceBuilder::new()
        .layer(hasty().http_layer())
        .layer(breaker.http_layer())
        .layer(timing.http_client_layer())
        .service_fn(hangs);
    let response = stack.oneshot(Request::new(Empty::<Bytes>::new())).await.unwrap();
    assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
    assert_timeouts(&breaker, &timing, 3);

    #[cfg(feature = "grpc")]
    {
        let keyed = CircuitBreaker::keyed("test", |_: &Request<ReplayBody>| 7).build().unwrap();
        let retry = retry_builder().attempt_timeout(millis(100)).retry_non_idempotent(true).build().unwrap();
        let stack = ServiceBuilder::new()
            .layer(retry.grpc_layer())
            .layer(keyed.grpc_layer())
            .layer(timing.grpc_client_layer())
            .service_fn(hangs);
        let response = stack.oneshot(Request::new(Empty::<Bytes>::new())).await.unwrap();
        assert_eq!(response.headers()["grpc-status"], "4");
        assert_eq!(of_kind(keyed.snapshot().totals.failures, FailureKind::Timeout), 3);
        assert_eq!(of_kind(timing.snapshot().failures, FailureKind::Timeout), 6);
    }
}

#[tokio::test(start_paused = true)]
async fn p07_a_deadline_is_a_timeout_for_the_attempt_it_ends_and_for_an_inner_retry() {
    let (breaker, timing, inner) = (breaker(), Timing::new("test"), retry_builder().build().unwrap());
    let outer = retry_builder().deadline(millis(100)).build().unwrap();
    let mut stack = ServiceBuilder::new()
        .layer(outer.layer())
        .layer(inner.layer())
        .layer(breaker.layer())
        .layer(timing.layer())
        .service(Backend::default());
    assert!(call(&mut stack, Act::Hang).await.unwrap_err().is::<TimedOut>());
    assert_timeouts(&breaker, &timing, 1);
    for retry in [outer, inner] {
        let counted = retry.snapshot();
        assert_eq!((counted.failures, counted.cancelled), (1, 0));
        assert_eq!(counted.given_up[&GiveUp::Deadline], 1);
    }
}

#[tokio::test(start_paused = true)]
async fn p07_a_function_that_a_time_limit_ends_is_a_timeout() {
    let breaker = breaker();
    let retry = hasty();
    let called = retry.run(|| breaker.call(pending::<Result<(), &str>>())).await;
    assert!(called.unwrap_err().is_timed_out());
    assert_eq!(of_kind(breaker.snapshot().totals.failures, FailureKind::Timeout), 3);
}

/// tower's timeout sets no flag, also after one of this crate on the same thread.
#[tokio::test(start_paused = true)]
async fn p07_a_timeout_of_another_crate_is_a_cancellation() {
    let (breaker, timing) = (breaker(), Timing::new("test"));
    let inside =
        ServiceBuilder::new().layer(breaker.layer()).layer(timing.layer()).service(Backend::default());
    let mut ours = ServiceBuilder::new().layer(hasty().layer()).service(inside.clone());
    call(&mut ours, Act::Hang).await.unwrap_err();
    let mut theirs = ServiceBuilder::new().layer(TimeoutLayer::new(millis(100))).service(inside);
    call(&mut theirs, Act::Hang).await.unwrap_err();
    assert_eq!(breaker.snapshot().totals.ignored, 1);
    assert_eq!(of_kind(timing.snapshot().failures, FailureKind::Cancelled), 1);
    assert_eq!(of_kind(timing.snapshot().failures, FailureKind::Timeout), 3);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_a_time_limit_ends_is_parked_as_a_timeout_if_cancelled_ones_are_parked() {
    for parks in [false, true] {
        let queue = DeadLetterQueue::builder("orders").park_cancelled(parks).build().unwrap();
        let retry = retry_builder().max_attempts(1).attempt_timeout(millis(100)).build().unwrap();
        let stack =
            ServiceBuilder::new().layer(retry.http_layer()).layer(queue.http_layer()).service_fn(hangs);
        stack.oneshot(Request::new(Empty::<Bytes>::new())).await.unwrap();
        tokio::time::sleep(secs(1)).await;
        let letters = queue.list(LetterFilter::all().kind(FailureKind::Timeout)).await.unwrap();
        assert_eq!((letters.len(), queue.len().await.unwrap()), (usize::from(parks), u64::from(parks)));
    }
}

// ===== bodies =====

type AnyBody = UnsyncBoxBody<Bytes, BoxError>;

/// A head of this kind and half a body, then silence.
fn stalls<R>(kind: &'static str) -> impl Fn(R) -> Ready<Result<Response<AnyBody>, Infallible>> + Clone {
    move |_| {
        let half = tokio_stream::iter([Ok::<_, BoxError>(Frame::data(Bytes::from_static(b"half a ")))]);
        let body = StreamBody::new(half.chain(tokio_stream::pending())).boxed_unsync();
        ready(Ok(Response::builder().header(header::CONTENT_TYPE, kind).body(body).unwrap()))
    }
}

/// Reads the response to its end. Returns its trailers.
async fn read<S, B>(stack: S) -> Result<Option<HeaderMap>, B::Error>
where
    S: Service<Request<Empty<Bytes>>, Response = Response<B>, Error = Infallible>,
    B: http_body::Body,
{
    let response = stack.oneshot(Request::new(Empty::new())).await.unwrap();
    Ok(response.into_body().collect().await?.trailers().cloned())
}

#[tokio::test(start_paused = true)]
async fn p07_a_body_that_a_time_limit_ends_is_a_timeout_inside_and_outside() {
    let (outside, before) = (breaker(), Timing::new("before"));
    let (inside, after) = (breaker(), Timing::new("after"));
    let stack = ServiceBuilder::new()
        .layer(before.http_server_layer())
        .layer(outside.http_layer())
        .layer(BodyTimeoutLayer::new().idle(millis(100)))
        .layer(inside.http_layer())
        .layer(after.http_client_layer())
        .service_fn(stalls("text/plain"));
    let error = read(stack).await.unwrap_err();
    assert_eq!(error.downcast_ref::<TimedOut>().unwrap().limit(), millis(100));
    assert_timeouts(&outside, &before, 1);
    assert_timeouts(&inside, &after, 1);
}

#[cfg(feature = "grpc")]
#[tokio::test(start_paused = true)]
async fn p07_a_grpc_stream_that_a_time_limit_ends_has_a_status() {
    let (outside, before) = (breaker(), Timing::new("before"));
    let (inside, after) = (breaker(), Timing::new("after"));
    let stack = ServiceBuilder::new()
        .layer(before.grpc_server_layer())
        .layer(outside.grpc_layer())
        .layer(BodyTimeoutLayer::new().total(millis(100)))
        .layer(inside.grpc_layer())
        .layer(after.grpc_client_layer())
        .service_fn(stalls("application/grpc+proto"));
    let trailers = read(stack).await.unwrap().unwrap();
    let status = tonic::Status::from_header_map(&trailers).unwrap();
    assert_eq!(status.code(), tonic::Code::DeadlineExceeded);
    assert!(status.message().contains("100ms"), "{}", status.message());
    assert_timeouts(&outside, &before, 1);
    assert_timeouts(&inside, &after, 1);
}
