//! Request bodies that are not sent to their end, and response bodies with time limits.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::Bytes;
use campanile::retry::{BodyTimeoutLayer, ReplayBody};
use campanile::{CircuitBreaker, DeadLetterQueue, FailureKind, TimedOut, Timing};
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use tokio::sync::mpsc;
use tokio::time::{Instant, advance, sleep, timeout};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tower::{BoxError, Layer, ServiceBuilder, ServiceExt, service_fn};

use crate::support::{builder, millis, retry, secs};

type Frames = mpsc::UnboundedSender<Result<Frame<Bytes>, Infallible>>;
type Stream = StreamBody<UnboundedReceiverStream<Result<Frame<Bytes>, Infallible>>>;

fn data(text: &'static str) -> Result<Frame<Bytes>, Infallible> {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

/// A body that the test sends.
fn stream() -> (Stream, Frames) {
    let (frames, receiver) = mpsc::unbounded_channel();
    (StreamBody::new(UnboundedReceiverStream::new(receiver)), frames)
}

/// A request whose caller has sent the beginning of its body.
fn begun() -> (Request<Stream>, Frames) {
    let (body, frames) = stream();
    frames.send(data("one ")).unwrap();
    (Request::put("/").body(body).unwrap(), frames)
}

// ===== a response before the request was read =====

#[tokio::test(start_paused = true)]
async fn p10_after_an_early_response_the_next_attempt_continues_the_stream() {
    let earlier = Arc::new(Mutex::new(None::<ReplayBody>));
    let kept = Arc::clone(&earlier);
    let service = service_fn(move |request: Request<ReplayBody>| {
        let kept = Arc::clone(&kept);
        async move {
            let mut body = request.into_body();
            if kept.lock().unwrap().is_none() {
                body.frame().await.unwrap().unwrap();
                // A transport continues to read it in its own task.
                *kept.lock().unwrap() = Some(body);
                return Response::builder().status(StatusCode::SERVICE_UNAVAILABLE).body(Full::default());
            }
            Response::builder().body(Full::new(body.collect().await.unwrap().to_bytes()))
        }
    });
    let retry = builder().body_cap(7).build().unwrap();
    let (request, frames) = begun();
    let call = tokio::spawn(retry.http_layer().layer(service).oneshot(request));
    sleep(millis(500)).await;
    // Between the attempts the caller sends more than the rest of the cap.
    frames.send(data("two")).unwrap();
    let mut old = earlier.lock().unwrap().take().unwrap();
    let error = old.frame().await.unwrap().unwrap_err();
    assert!(error.to_string().contains("later attempt"), "{error}");
    *earlier.lock().unwrap() = Some(old);
    drop(frames);
    let response = call.await.unwrap().unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "one two");
    assert_eq!(retry.snapshot().retries, 1);
}

// ===== a caller or a service that keeps the other waiting =====

/// A service that reads the request and then answers, or hangs without reading it.
async fn serve(request: Request<ReplayBody>, reads: bool) -> Result<Response<Empty<Bytes>>, io::Error> {
    if reads {
        request.into_body().collect().await.map_err(io::Error::other)?;
        return Ok(Response::new(Empty::new()));
    }
    pending().await
}

/// The ignored calls, and the failures by cancellation and by timeout.
fn counted(breaker: &CircuitBreaker) -> (u64, u64, u64) {
    let totals = breaker.snapshot().totals;
    assert_eq!(totals.successes, 0);
    let of = |kind: FailureKind| totals.failures[kind.index()];
    (totals.ignored, of(FailureKind::Cancelled), of(FailureKind::Timeout))
}

#[tokio::test(start_paused = true)]
async fn p07_a_call_whose_caller_stops_sending_is_ignored() {
    for (reads, expected) in [(true, (1, 0, 0)), (false, (0, 1, 0))] {
        let letters = DeadLetterQueue::in_memory(10);
        for outside in ["a retry", "its last attempt", "letters"] {
            let breaker = CircuitBreaker::builder("test").build().unwrap();
            let service = breaker.http_layer().layer(service_fn(move |request| serve(request, reads)));
            let (request, _frames) = begun();
            let ended = match outside {
                "letters" => {
                    timeout(secs(5), letters.http_layer().layer(service).oneshot(request)).await.is_ok()
                }
                _ => {
                    let attempts = if outside == "a retry" { 4 } else { 1 };
                    let retry = builder().max_attempts(attempts).build().unwrap();
                    timeout(secs(5), retry.http_layer().layer(service).oneshot(request)).await.is_ok()
                }
            };
            assert!(!ended);
            assert_eq!(counted(&breaker), expected, "{outside}");
        }
    }
}

/// It is ignored for the service. A timing counts a timeout.
#[tokio::test(start_paused = true)]
async fn p07_an_attempt_whose_caller_stops_sending_is_no_timeout_of_the_service() {
    for (reads, expected) in [(true, (4, 0, 0)), (false, (0, 0, 4))] {
        let (breaker, timing) = (CircuitBreaker::builder("test").build().unwrap(), Timing::new("test"));
        let retry = builder().attempt_timeout(millis(100)).build().unwrap();
        let stack = ServiceBuilder::new()
            .layer(retry.http_layer())
            .layer(breaker.http_layer())
            .layer(timing.http_client_layer())
            .service_fn(move |request| serve(request, reads));
        let (request, _frames) = begun();
        assert_eq!(stack.oneshot(request).await.unwrap().status(), StatusCode::GATEWAY_TIMEOUT);
        assert_eq!(counted(&breaker), expected);
        assert_eq!(timing.snapshot().failures[FailureKind::Timeout.index()], 4);
    }
}

/// The caller has sent its whole body.
#[tokio::test(start_paused = true)]
async fn p07_a_service_that_hangs_with_the_whole_request_is_a_failure() {
    let breaker = CircuitBreaker::builder("test").build().unwrap();
    let stack = ServiceBuilder::new().layer(retry().http_layer()).layer(breaker.http_layer()).service_fn(
        |request: Request<ReplayBody>| async {
            request.into_body().collect().await.unwrap();
            pending::<Result<Response<Empty<Bytes>>, Infallible>>().await
        },
    );
    let (request, frames) = begun();
    drop(frames);
    assert!(timeout(secs(5), stack.oneshot(request)).await.is_err());
    assert_eq!(counted(&breaker), (0, 1, 0));
}

// ===== bodies of responses =====

/// A response body with time limits. The test sends its frames.
async fn bounded(
    limits: BodyTimeoutLayer,
) -> (Pin<Box<impl Body<Data = Bytes, Error = BoxError> + Default>>, Frames) {
    let (body, frames) = stream();
    let body = Mutex::new(Some(body));
    let service = service_fn(|_: Request<Empty<Bytes>>| {
        std::future::ready(Ok::<_, Infallible>(Response::new(body.lock().unwrap().take().unwrap())))
    });
    let response = limits.layer(service).oneshot(Request::new(Empty::new())).await.unwrap();
    (Box::pin(response.into_body()), frames)
}

fn poll(body: &mut Pin<Box<impl Body>>) -> bool {
    body.as_mut().poll_frame(&mut Context::from_waker(Waker::noop())).is_ready()
}

/// The limit that ends a body when it is read. Checks that the body has ended then.
async fn limit_of(mut body: Pin<Box<impl Body<Data = Bytes, Error = BoxError>>>) -> Duration {
    let error = body.frame().await.unwrap().unwrap_err();
    assert!(body.is_end_stream() && body.size_hint().exact() == Some(0));
    assert!(body.frame().await.is_none());
    error.downcast_ref::<TimedOut>().unwrap().limit()
}

fn default_of<B: Default>(_: &Pin<Box<B>>) -> B {
    B::default()
}

#[tokio::test(start_paused = true)]
async fn a_body_has_an_idle_and_a_total_limit() {
    let (mut body, frames) = bounded(BodyTimeoutLayer::new().idle(secs(2))).await;
    let began = Instant::now();
    for _ in 0..10 {
        assert!(!poll(&mut body));
        advance(millis(1_900)).await;
        frames.send(data("x")).unwrap();
        assert!(poll(&mut body), "each frame begins another wait");
        // The time of a slow reader does not count as idle.
        advance(secs(60)).await;
    }
    assert_eq!(limit_of(body).await, secs(2));
    assert_eq!(began.elapsed(), (millis(1_900) + secs(60)) * 10 + secs(2));

    let (mut body, frames) = bounded(BodyTimeoutLayer::new().idle(secs(2)).total(secs(5))).await;
    let began = Instant::now();
    for _ in 0..4 {
        assert!(!poll(&mut body));
        advance(secs(1)).await;
        frames.send(data("x")).unwrap();
        assert!(poll(&mut body));
    }
    assert_eq!(limit_of(body).await, secs(5));
    assert_eq!(began.elapsed(), secs(5));
    assert!(frames.is_closed(), "what is inside is dropped at once");

    // The total limit applies to a reader that never waits too, but not after the end of the body.
    let (mut body, frames) = bounded(BodyTimeoutLayer::new().total(secs(5))).await;
    frames.send(data("x")).unwrap();
    frames.send(data("y")).unwrap();
    assert!(poll(&mut body));
    advance(secs(5)).await;
    assert_eq!(limit_of(body).await, secs(5));
    let (body, frames) = bounded(BodyTimeoutLayer::new().total(secs(5))).await;
    drop(frames);
    advance(secs(5)).await;
    assert!(body.collect().await.unwrap().to_bytes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_body_without_limits_passes_unchanged() {
    for limits in
        [BodyTimeoutLayer::new(), BodyTimeoutLayer::default().idle(Duration::MAX).total(Duration::MAX)]
    {
        let (mut body, frames) = bounded(limits).await;
        assert!(!poll(&mut body));
        advance(secs(86_400)).await;
        frames.send(data("late")).unwrap();
        drop(frames);
        assert_eq!(body.collect().await.unwrap().to_bytes(), "late");
    }
    let (body, _) = bounded(BodyTimeoutLayer::new()).await;
    assert!(default_of(&body).is_end_stream());
}

/// The limits of a retry end with the head; see [`BodyTimeoutLayer`].
#[tokio::test(start_paused = true)]
async fn the_limits_of_a_retry_apply_to_the_head_only() {
    let retry = builder().attempt_timeout(secs(1)).deadline(secs(2)).build().unwrap();
    let (body, frames) = stream();
    let body = Mutex::new(Some(body));
    let service = retry.http_layer().layer(service_fn(|_: Request<ReplayBody>| {
        std::future::ready(Ok::<_, Infallible>(Response::new(body.lock().unwrap().take().unwrap())))
    }));
    let service = BodyTimeoutLayer::new().idle(secs(10)).layer(service);
    let response = service.oneshot(Request::new(Empty::<Bytes>::new())).await.unwrap();
    tokio::spawn(async move {
        sleep(secs(9)).await;
        frames.send(data("late")).unwrap();
        sleep(secs(60)).await;
    });
    let mut body = Box::pin(response.into_body());
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "late");
    let error = body.frame().await.unwrap().unwrap_err();
    assert_eq!(error.downcast_ref::<TimedOut>().unwrap().limit(), secs(10));
}
