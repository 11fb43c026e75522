//! Responses whose body is dropped before its end.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use campanile::timing::HttpTimingLayer;
use campanile::{Classify, FailureKind, Timing, TimingSnapshot};
use http::response::Parts;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{Empty, StreamBody};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tower::{Layer, ServiceExt, service_fn};

type Frames = mpsc::UnboundedSender<Result<Frame<Bytes>, Infallible>>;

/// A response with a successful head. The test sends its body.
async fn stream<C>(layer: HttpTimingLayer<C>) -> (impl Body + Unpin, Frames)
where
    C: Classify<Parts> + Clone,
{
    let (frames, receiver) = mpsc::unbounded_channel();
    let mut receiver = Some(receiver);
    let service = service_fn(move |_: Request<Empty<Bytes>>| {
        let receiver = receiver.take().unwrap();
        let body = StreamBody::new(UnboundedReceiverStream::new(receiver));
        std::future::ready(Ok::<_, Infallible>(Response::new(body)))
    });
    let response = layer.layer(service).oneshot(Request::new(Empty::new())).await.unwrap();
    (response.into_body(), frames)
}

/// Whether a poll of the body gives a frame.
fn poll(body: &mut (impl Body + Unpin)) -> bool {
    match Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(frame) => frame.is_some(),
        Poll::Pending => false,
    }
}

/// The counts after a reader has dropped a stream that was silent for `silent`.
async fn left_after<C>(timing: &Timing, layer: HttpTimingLayer<C>, silent: Duration) -> TimingSnapshot
where
    C: Classify<Parts> + Clone,
{
    let (mut body, frames) = stream(layer).await;
    frames.send(Ok(Frame::data(Bytes::from_static(b"half")))).unwrap();
    assert!(poll(&mut body));
    assert!(!poll(&mut body));
    tokio::time::advance(silent).await;
    assert_eq!(timing.snapshot().in_flight, 1);
    drop(body);
    let snapshot = timing.snapshot();
    assert_eq!(snapshot.in_flight, 0);
    snapshot
}

async fn check<C>(layer: impl Fn(&Timing) -> HttpTimingLayer<C>)
where
    C: Classify<Parts> + Clone,
{
    let timing = Timing::new("streams");
    let seen = left_after(&timing, layer(&timing), Duration::from_millis(1_001)).await;
    assert_eq!((seen.failures[FailureKind::Cancelled.index()], seen.ignored), (1, 0));
    let seen = left_after(&timing, layer(&timing), Duration::from_secs(1)).await;
    assert_eq!((seen.calls, seen.failed, seen.ignored), (2, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn p07_a_stream_that_stalls_is_cancelled_and_one_that_its_reader_closes_is_ignored() {
    check(Timing::http_server_layer).await;
    check(Timing::http_client_layer).await;
    #[cfg(feature = "grpc")]
    check(Timing::grpc_server_layer).await;
    #[cfg(feature = "grpc")]
    check(Timing::grpc_client_layer).await;
}

#[tokio::test(start_paused = true)]
async fn snapshots_add_up_ignored_calls_and_read_older_formats() {
    let timing = Timing::new("streams");
    let mut sum = left_after(&timing, timing.http_server_layer(), Duration::ZERO).await;
    sum.merge(&sum.clone());
    assert_eq!((sum.calls, sum.ignored), (2, 2));
    let mut text = serde_json::to_value(&sum).unwrap();
    for since_then in ["ignored", "last_minute"] {
        text.as_object_mut().unwrap().remove(since_then).unwrap();
    }
    let old = serde_json::from_value::<TimingSnapshot>(text).unwrap();
    assert_eq!((old.ignored, old.last_minute.calls), (0, 0));
}
