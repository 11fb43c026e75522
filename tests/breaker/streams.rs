//! Responses whose body is dropped before its end: by their reader, by a timeout, by a stall.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use campanile::breaker::{Cancelled, Cause};
use campanile::outcome::{ByGrpcStatus, ByHttpStatus, Classify};
use campanile::{CircuitBreaker, CircuitState, FailureKind};
use http::response::Parts;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty, StreamBody};
use proptest::prelude::*;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::{OPEN_FOR, advance, breaker, builder, fail_times};

type Frames = mpsc::UnboundedSender<Result<Frame<Bytes>, io::Error>>;

const SECOND: Duration = Duration::from_secs(1);

fn data(text: &'static str) -> Result<Frame<Bytes>, io::Error> {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

/// A response with a successful head. The test sends its body.
fn begun(headers: HeaderMap) -> (Response<impl Body<Data = Bytes, Error = io::Error> + Unpin>, Frames) {
    let (frames, receiver) = mpsc::unbounded_channel();
    let mut response = Response::new(StreamBody::new(UnboundedReceiverStream::new(receiver)));
    *response.headers_mut() = headers;
    (response, frames)
}

/// The body of a response that passed the layer, and the sender of its frames.
async fn stream<L, S, B>(layer: L, headers: HeaderMap) -> (B, Frames)
where
    L: Layer<BoxedService, Service = S>,
    S: Service<Request<Empty<Bytes>>, Response = Response<B>, Error = Infallible>,
{
    let (sender, receiver) = std::sync::mpsc::channel();
    let service = service_fn(move |_: Request<Empty<Bytes>>| {
        let (response, frames) = begun(headers.clone());
        sender.send(frames).unwrap();
        std::future::ready(Ok(response.map(BodyExt::boxed_unsync)))
    });
    let response = layer.layer(service.boxed_clone()).oneshot(Request::new(Empty::new())).await.unwrap();
    (response.into_body(), receiver.recv().unwrap())
}

type AnyBody = http_body_util::combinators::UnsyncBoxBody<Bytes, io::Error>;
type BoxedService = tower::util::BoxCloneService<Request<Empty<Bytes>>, Response<AnyBody>, Infallible>;

/// Polls the body once. Returns whether it had a frame.
fn poll(body: &mut (impl Body + Unpin)) -> bool {
    match Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Some(frame)) => frame.is_ok(),
        Poll::Ready(None) => panic!("it has ended"),
        Poll::Pending => false,
    }
}

/// A reader that waits for a frame for `time`, and drops the body without one.
async fn stall(mut body: impl Body + Unpin, time: Duration) {
    assert!(!poll(&mut body));
    advance(time).await;
    drop(body);
}

/// Successes, ignored calls, and failures by cancellation.
fn counted(breaker: &CircuitBreaker) -> (u64, u64, u64) {
    let totals = breaker.snapshot().totals;
    assert_eq!(totals.failures.iter().sum::<u64>(), totals.failures[FailureKind::Cancelled.index()]);
    (totals.successes, totals.ignored, totals.failures[FailureKind::Cancelled.index()])
}

fn plain() -> HeaderMap {
    HeaderMap::new()
}

#[tokio::test(start_paused = true)]
async fn p07_silence_after_a_successful_head_opens_the_circuit() {
    async fn check<C>(classifier: C)
    where
        C: Classify<Parts> + Clone,
    {
        let breaker = breaker();
        for calls in 1..=4 {
            assert_eq!(breaker.state(), CircuitState::Closed);
            let layer = breaker.http_layer().classify(classifier.clone());
            let (body, _frames) = stream(layer, plain()).await;
            stall(body, SECOND * 2).await;
            assert_eq!(counted(&breaker), (0, 0, calls));
        }
        assert_eq!(breaker.state(), CircuitState::Open);
    }
    check(ByHttpStatus).await;
    check(ByGrpcStatus).await;
}

#[tokio::test(start_paused = true)]
async fn p07_probes_that_stall_open_the_circuit_again_and_closed_ones_are_ignored() {
    let breaker = breaker();
    fail_times(&breaker, 4).await;
    advance(OPEN_FOR).await;
    for _ in 0..10 {
        let (body, _frames) = stream(breaker.http_layer(), plain()).await;
        assert_eq!(breaker.snapshot().probes_in_flight, 1);
        stall(body, SECOND / 2).await;
        let snapshot = breaker.snapshot();
        assert_eq!((snapshot.state, snapshot.probes_in_flight), (CircuitState::HalfOpen, 0));
    }
    let (body, _frames) = stream(breaker.http_layer(), plain()).await;
    stall(body, SECOND * 2).await;
    assert_eq!(breaker.state(), CircuitState::Open);
    assert_eq!(breaker.snapshot().totals.successes, 0);
}

#[tokio::test(start_paused = true)]
async fn p07_a_long_stream_that_its_reader_closes_is_no_failure() {
    let breaker = builder().slow_call(SECOND * 2, 0.5).build().unwrap();
    for call in 1..=10 {
        let (mut body, frames) = stream(breaker.http_layer(), plain()).await;
        for _ in 0..3 * 3_600 {
            assert!(!poll(&mut body));
            advance(SECOND).await;
            frames.send(data("tick")).unwrap();
            assert!(poll(&mut body));
        }
        stall(body, SECOND).await;
        assert_eq!(counted(&breaker), (0, call, 0));
    }
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.state, snapshot.slow_calls, snapshot.totals.slow), (CircuitState::Closed, 0, 0));
}

/// Heartbeats every 15 s, a `Watch` without changes, server-sent events.
#[tokio::test(start_paused = true)]
async fn p07_a_stream_that_is_usually_silent_is_no_failure_when_its_reader_closes_it() {
    let breaker = breaker();
    let (mut beating, frames) = stream(breaker.http_layer(), plain()).await;
    assert!(!poll(&mut beating));
    advance(SECOND * 15).await;
    frames.send(data("beat")).unwrap();
    assert!(poll(&mut beating));
    stall(beating, SECOND * 14).await;
    assert_eq!(counted(&breaker), (0, 1, 0));

    let (mut watch, frames) = stream(breaker.grpc_layer(), plain()).await;
    frames.send(data("serving")).unwrap();
    assert!(poll(&mut watch));
    stall(watch, Duration::from_secs(3 * 3_600)).await;
    assert_eq!(counted(&breaker), (0, 2, 0));

    let kind = HeaderValue::from_static("Text/Event-Stream; charset=utf-8");
    let events = HeaderMap::from_iter([(header::CONTENT_TYPE, kind)]);
    let (body, _frames) = stream(breaker.http_layer(), events).await;
    stall(body, SECOND * 7).await;
    assert_eq!(counted(&breaker), (0, 3, 0));
}

#[tokio::test(start_paused = true)]
async fn p07_a_reader_that_stopped_polling_was_not_kept_waiting() {
    let breaker = breaker();
    let (body, _frames) = stream(breaker.http_layer(), plain()).await;
    advance(SECOND * 10).await;
    drop(body);
    let (mut body, frames) = stream(breaker.http_layer(), plain()).await;
    assert!(!poll(&mut body));
    frames.send(data("a")).unwrap();
    assert!(poll(&mut body));
    advance(SECOND * 10).await;
    drop(body);
    assert_eq!(counted(&breaker), (0, 2, 0));
}

#[tokio::test(start_paused = true)]
async fn p07_a_stream_that_stalls_midway_without_trailers_is_slow_too() {
    let breaker = builder().failure_rate(1.0).slow_call(SECOND * 2, 0.5).build().unwrap();
    let mut transitions = breaker.subscribe();
    for _ in 0..2 {
        breaker.call(async { Ok::<_, &str>(()) }).await.unwrap();
    }
    for _ in 0..2 {
        let (mut body, frames) = stream(breaker.grpc_layer(), plain()).await;
        frames.send(data("one message")).unwrap();
        assert!(poll(&mut body));
        stall(body, SECOND * 3).await;
    }
    assert_eq!(breaker.state(), CircuitState::Open);
    assert!(matches!(transitions.try_recv().unwrap().cause, Cause::SlowCallRate(_)));
    assert_eq!(breaker.snapshot().totals.slow, 2);
}

#[tokio::test(start_paused = true)]
async fn p07_the_limit_of_cancelled_calls_applies_to_bodies() {
    for (cancelled, slow, stalls) in [
        (Cancelled::FailureWhenSlow, None, 1_001),
        (Cancelled::FailureWhenSlow, Some(200), 201),
        (Cancelled::FailureAfter(Duration::from_millis(50)), Some(200), 51),
        (Cancelled::FailureAfter(Duration::from_secs(3_600)), None, 3_600_001),
        (Cancelled::Ignored, Some(200), u64::MAX),
    ] {
        let mut settings = builder().cancelled(cancelled);
        if let Some(limit) = slow {
            settings = settings.slow_call(Duration::from_millis(limit), 1.0);
        }
        let breaker = settings.build().unwrap();
        let never = stalls == u64::MAX;
        let (body, _frames) = stream(breaker.http_layer(), plain()).await;
        stall(body, Duration::from_millis(if never { 60_000 } else { stalls - 1 })).await;
        assert_eq!(counted(&breaker), (0, 1, 0), "{cancelled:?}");
        if !never {
            let (body, _frames) = stream(breaker.http_layer(), plain()).await;
            stall(body, Duration::from_millis(stalls)).await;
            assert_eq!(counted(&breaker), (0, 1, 1), "{cancelled:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn p07_a_body_that_stalls_counts_for_its_key() {
    let breaker = CircuitBreaker::keyed("upstreams", |_: &Request<Empty<Bytes>>| "db").build().unwrap();
    let (body, _frames) = stream(breaker.http_layer(), plain()).await;
    stall(body, SECOND * 2).await;
    let (body, _frames) = stream(breaker.grpc_layer(), plain()).await;
    drop(body);
    let totals = breaker.snapshot().totals;
    assert_eq!((totals.successes, totals.ignored), (0, 1));
    assert_eq!(totals.failures[FailureKind::Cancelled.index()], 1);
}

/// Headers that promise a body of four bytes.
fn four_bytes() -> HeaderMap {
    HeaderMap::from_iter([(header::CONTENT_LENGTH, HeaderValue::from_static("4"))])
}

#[tokio::test(start_paused = true)]
async fn p07_a_body_with_all_its_bytes_is_complete_unless_its_reader_waits_for_more() {
    let breaker = builder().cancelled(Cancelled::FailureAfter(SECOND)).build().unwrap();
    let (mut body, frames) = stream(breaker.http_layer(), four_bytes()).await;
    frames.send(data("par")).unwrap();
    assert!(poll(&mut body));
    drop(body);
    assert_eq!(counted(&breaker), (0, 1, 0), "a byte is missing");

    let (mut body, frames) = stream(breaker.http_layer(), four_bytes()).await;
    frames.send(data("par")).unwrap();
    frames.send(data("t")).unwrap();
    assert!(poll(&mut body) && poll(&mut body));
    advance(SECOND * 10).await;
    drop(body);
    assert_eq!(counted(&breaker), (1, 1, 0));

    let (mut body, frames) = stream(breaker.http_layer(), four_bytes()).await;
    frames.send(data("part")).unwrap();
    assert!(poll(&mut body));
    stall(body, SECOND * 2).await;
    assert_eq!(counted(&breaker), (1, 1, 1), "its end does not come");

    let (mut body, frames) = stream(breaker.grpc_layer(), four_bytes()).await;
    frames.send(data("part")).unwrap();
    assert!(poll(&mut body));
    drop(body);
    assert_eq!(counted(&breaker), (1, 2, 1), "the status is missing");
}

#[tokio::test(start_paused = true)]
async fn p07_a_panic_of_the_reader_is_ignored() {
    let breaker = builder().cancelled(Cancelled::FailureAfter(SECOND)).build().unwrap();
    let (mut body, frames) = stream(breaker.http_layer(), plain()).await;
    frames.send(data("part")).unwrap();
    advance(SECOND * 10).await;
    let reader = tokio::spawn(async move {
        assert!(!poll(&mut body), "on purpose");
    });
    assert!(reader.await.unwrap_err().is_panic());
    assert_eq!(counted(&breaker), (0, 1, 0));
}

proptest! {
    /// Each stream counts once and never as a success. It is a failure if its reader's last wait was longer than
    /// the limit and longer than all waits before.
    #[test]
    fn p07_the_last_silence_of_a_stream_decides(
        steps in prop::collection::vec((0_u64..2_500, any::<bool>(), any::<bool>()), 0..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let breaker = breaker();
            let (mut body, frames) = stream(breaker.http_layer(), plain()).await;
            let (mut now, mut since, mut longest, mut unread) = (0, None, 0, 0);
            for (millis, sends, polls) in steps {
                advance(Duration::from_millis(millis)).await;
                now += millis;
                if sends {
                    frames.send(data("x")).unwrap();
                    unread += 1;
                }
                if polls {
                    assert_eq!(poll(&mut body), unread > 0);
                    if unread > 0 {
                        unread -= 1;
                        longest = longest.max(since.take().map_or(0, |since| now - since));
                    } else {
                        since.get_or_insert(now);
                    }
                }
            }
            drop(body);
            let silent = since.map_or(0, |since| now - since);
            let failed = u64::from(silent > 1_000 && silent > longest);
            assert_eq!(counted(&breaker), (0, 1 - failed, failed));
        });
    }
}
