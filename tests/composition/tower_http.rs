//! `tower-http`: trace, timeouts, catching panics, compression.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

use bytes::Bytes;
use campanile::retry::{Attempt, ReplayBody};
use campanile::{CircuitBreaker, FailureKind, Timing};
use http::{Request, Response, StatusCode, header};
use http_body::{Body, Frame};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use tower::{BoxError, Service, ServiceBuilder, ServiceExt};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::timeout::{ResponseBodyTimeoutLayer, TimeoutLayer};
use tower_http::trace::TraceLayer;
use tracing::Span;

use crate::support::{breaker, of_kind, retry, secs};

type AnyBody = UnsyncBoxBody<Bytes, BoxError>;

fn get() -> Request<Empty<Bytes>> {
    Request::get("http://payments/").header(header::ACCEPT_ENCODING, "gzip").body(Empty::new()).unwrap()
}

fn answer(status: StatusCode) -> Response<Full<Bytes>> {
    Response::builder().status(status).body(Full::default()).unwrap()
}

/// Sends a request and reads the response to its end. Returns its status, and whether the body was complete.
async fn read<S, B>(service: S) -> (StatusCode, bool)
where
    S: Service<Request<Empty<Bytes>>, Response = Response<B>>,
    S::Error: std::fmt::Debug,
    B: Body,
{
    let response = service.oneshot(get()).await.unwrap();
    (response.status(), response.into_body().collect().await.is_ok())
}

fn failures(breaker: &CircuitBreaker, kind: FailureKind) -> u64 {
    of_kind(breaker.snapshot().totals.failures, kind)
}

#[tokio::test(start_paused = true)]
async fn a_trace_outside_of_retry_is_a_span_for_each_call_and_inside_one_for_each_attempt() {
    let outer = Arc::new(AtomicUsize::new(0));
    let (sender, attempts) = mpsc::channel();
    let counted = Arc::clone(&outer);
    let stack = ServiceBuilder::new()
        .layer(TraceLayer::new_for_http().make_span_with(move |_: &Request<Empty<Bytes>>| {
            counted.fetch_add(1, Ordering::SeqCst);
            Span::none()
        }))
        .layer(retry().http_layer())
        .layer(TraceLayer::new_for_http().make_span_with(move |request: &Request<ReplayBody>| {
            sender.send(request.extensions().get::<Attempt>().unwrap().number).unwrap();
            Span::none()
        }))
        .service_fn(|_| async { Ok::<_, Infallible>(answer(StatusCode::BAD_GATEWAY)) });
    assert_eq!(read(stack).await.0, StatusCode::BAD_GATEWAY);
    assert_eq!(outer.load(Ordering::SeqCst), 1);
    assert_eq!(attempts.try_iter().collect::<Vec<_>>(), [1, 2, 3]);
}

async fn hangs<R>(_: R) -> Result<Response<Full<Bytes>>, Infallible> {
    std::future::pending().await
}

#[tokio::test(start_paused = true)]
async fn a_timeout_that_answers_408_is_a_success_and_one_that_answers_504_a_timeout() {
    for (status, timeouts, retries) in
        [(StatusCode::REQUEST_TIMEOUT, 0, 0), (StatusCode::GATEWAY_TIMEOUT, 3, 2)]
    {
        let (breaker, retry) = (breaker(), retry());
        let stack = ServiceBuilder::new()
            .layer(retry.http_layer())
            .layer(breaker.http_layer())
            .layer(TimeoutLayer::with_status_code(status, secs(1)))
            .service_fn(hangs);
        assert_eq!(read(stack).await.0, status);
        assert_eq!(failures(&breaker, FailureKind::Timeout), timeouts);
        assert_eq!(breaker.snapshot().totals.successes, u64::from(timeouts == 0));
        assert_eq!(retry.snapshot().retries, retries);
    }
}

#[tokio::test(start_paused = true)]
async fn an_outer_timeout_is_a_cancellation() {
    let (breaker, timing) = (breaker(), Timing::new("test"));
    let stack = ServiceBuilder::new()
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, secs(2)))
        .layer(timing.http_server_layer())
        .layer(breaker.http_layer())
        .service_fn(hangs);
    assert_eq!(read(stack).await.0, StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(failures(&breaker, FailureKind::Cancelled), 1);
    assert_eq!(of_kind(timing.snapshot().failures, FailureKind::Cancelled), 1);
}

/// A head and half a body, then silence.
async fn stalls<R>(_: R) -> Result<Response<AnyBody>, Infallible> {
    use tokio_stream::StreamExt;
    let half = tokio_stream::iter([Ok::<_, BoxError>(Frame::data(Bytes::from_static(b"half a ")))]);
    Ok(Response::new(StreamBody::new(half.chain(tokio_stream::pending())).boxed_unsync()))
}

#[tokio::test(start_paused = true)]
async fn a_timeout_of_the_body_belongs_inside() {
    let outside = breaker();
    let limit = ResponseBodyTimeoutLayer::new(secs(1));
    let stack = ServiceBuilder::new().layer(outside.http_layer()).layer(limit).service_fn(stalls);
    assert_eq!(read(stack).await, (StatusCode::OK, false));
    assert_eq!(failures(&outside, FailureKind::Timeout), 1);
    // Outside of the breaker it looks like a reader that drops the body: a failure only after a stall.
    for (limit, failed) in [(secs(1) / 2, 0), (secs(2), 1)] {
        let inside = breaker();
        let stack = ServiceBuilder::new()
            .layer(ResponseBodyTimeoutLayer::new(limit))
            .layer(inside.http_layer())
            .service_fn(stalls);
        assert_eq!(read(stack).await, (StatusCode::OK, false));
        let totals = inside.snapshot().totals;
        assert_eq!(failures(&inside, FailureKind::Cancelled), failed);
        assert_eq!((totals.successes, totals.ignored), (0, 1 - failed));
    }
}

async fn panics<R>(_: R) -> Result<Response<Full<Bytes>>, Infallible> {
    panic!("on purpose")
}

#[tokio::test(start_paused = true)]
async fn catching_panics_outside_keeps_them_apart_from_errors() {
    for (outside, kind) in [(true, FailureKind::Panic), (false, FailureKind::Error)] {
        let (breaker, timing) = (breaker(), Timing::new("test"));
        let (first, last) = (outside.then(CatchPanicLayer::new), (!outside).then(CatchPanicLayer::new));
        let status = match (first, last) {
            (Some(catch), _) => {
                let stack = ServiceBuilder::new()
                    .layer(catch)
                    .layer(timing.http_server_layer())
                    .layer(breaker.http_layer())
                    .service_fn(panics);
                read(stack).await.0
            }
            (None, catch) => {
                let stack = ServiceBuilder::new()
                    .layer(timing.http_server_layer())
                    .layer(breaker.http_layer())
                    .layer(catch.unwrap())
                    .service_fn(panics);
                read(stack).await.0
            }
        };
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(failures(&breaker, kind), 1);
        assert_eq!(of_kind(timing.snapshot().failures, kind), 1);
    }
}

/// A response in two parts that may break off between them.
fn in_two_parts<R>(whole: bool) -> impl Fn(R) -> Ready<Result<Response<AnyBody>, Infallible>> + Clone {
    move |_| {
        let part = || Ok(Frame::data(Bytes::from(vec![b'x'; 1_000])));
        let second = if whole { part() } else { Err(BoxError::from("broke off")) };
        ready(Ok(Response::new(StreamBody::new(tokio_stream::iter([part(), second])).boxed_unsync())))
    }
}

#[tokio::test(start_paused = true)]
async fn compression_on_either_side_leaves_one_outcome_at_the_end() {
    for whole in [true, false] {
        let (outside, inside) = (breaker(), breaker());
        let (before, after) = (Timing::new("before"), Timing::new("after"));
        let stack = ServiceBuilder::new()
            .layer(before.http_server_layer())
            .layer(outside.http_layer())
            .layer(CompressionLayer::new())
            .layer(inside.http_layer())
            .layer(after.http_server_layer())
            .service_fn(in_two_parts(whole));
        let response = stack.oneshot(get()).await.unwrap();
        assert_eq!(response.headers()[header::CONTENT_ENCODING], "gzip");
        for breaker in [&outside, &inside] {
            assert_eq!(breaker.snapshot().calls, 0, "the head is not the end");
        }
        assert_eq!((before.snapshot().in_flight, after.snapshot().in_flight), (1, 1));
        assert_eq!(response.into_body().collect().await.is_ok(), whole);
        for breaker in [&outside, &inside] {
            let snapshot = breaker.snapshot();
            assert_eq!((snapshot.calls, snapshot.failures), (1, u64::from(!whole)));
        }
        for timing in [&before, &after] {
            let snapshot = timing.snapshot();
            assert_eq!((snapshot.calls, snapshot.failed, snapshot.in_flight), (1, u64::from(!whole), 0));
        }
    }
}
