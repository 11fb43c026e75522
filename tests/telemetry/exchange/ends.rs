//! The end of a span: the end of the body, or its drop.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use campanile::Retry;
use campanile::outcome::FailureKind;
use http::{Method, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Empty, Full};
use tokio::sync::mpsc;
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tracing::instrument::WithSubscriber;

use super::{failed, fine, only, outcome, text};
use crate::support::{Pipeline, plain};

/// A body of what is sent; its end is the drop of the sender.
struct Sent {
    frames: mpsc::UnboundedReceiver<io::Result<Frame<Bytes>>>,
    length: Option<u64>,
}

impl Body for Sent {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.frames.poll_recv(cx)
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

fn sent(length: Option<u64>) -> (mpsc::UnboundedSender<io::Result<Frame<Bytes>>>, Sent) {
    let (sender, frames) = mpsc::unbounded_channel();
    (sender, Sent { frames, length })
}

fn data(text: &'static str) -> io::Result<Frame<Bytes>> {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Side {
    Server,
    Client,
}

const SIDES: [Side; 2] = [Side::Server, Side::Client];

/// What a service with a span answers.
async fn ask<B, E>(
    pipeline: &Pipeline,
    side: Side,
    request: Request<()>,
    answer: Result<Response<B>, E>,
) -> Result<Response<http_body_util::combinators::UnsyncBoxBody<Bytes, String>>, E>
where
    B: Body<Data = Bytes, Error: std::fmt::Display> + Send + 'static,
    E: std::error::Error + 'static,
{
    let mut answer = Some(answer);
    let service = service_fn(move |_: Request<()>| std::future::ready(answer.take().unwrap()));
    let telemetry = plain();
    let boxed = |response: Response<_>| response.map(boxed);
    match side {
        Side::Server => telemetry
            .http_server_layer()
            .layer(service)
            .oneshot(request)
            .with_subscriber(pipeline.dispatch())
            .await
            .map(boxed),
        Side::Client => {
            let call = telemetry.http_client_layer().layer(service).oneshot(request);
            call.with_subscriber(pipeline.dispatch()).await.map(|response| response.map(self::boxed))
        }
    }
}

fn boxed<B>(body: B) -> http_body_util::combinators::UnsyncBoxBody<Bytes, String>
where
    B: Body<Data = Bytes, Error: std::fmt::Display> + Send + 'static,
{
    body.map_err(|error| error.to_string()).boxed_unsync()
}

#[tokio::test]
async fn a_span_ends_with_the_last_byte() {
    for side in SIDES {
        let pipeline = Pipeline::new();
        let (sender, body) = sent(None);
        let response = ask(&pipeline, side, Request::new(()), Ok::<_, Infallible>(Response::new(body))).await;
        let mut body = response.unwrap().into_body();
        assert!(pipeline.spans().is_empty(), "{side:?}: it ended with the head");
        sender.send(data("hello ")).unwrap();
        body.frame().await.unwrap().unwrap();
        assert!(pipeline.spans().is_empty(), "{side:?}: it ended with the first frame");
        sender.send(data("world")).unwrap();
        drop(sender);
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "world");
        assert!(body.frame().await.is_none());
        let span = only(&pipeline);
        assert_eq!(
            (outcome(&span), text(&span, "http.response.body.size")),
            (fine(), "11".to_owned()),
            "{side:?}"
        );
    }
}

#[tokio::test]
async fn a_response_without_a_body_ends_with_its_head() {
    let with = |status: StatusCode| {
        let mut response = Response::new(boxed(Full::from("text")));
        *response.status_mut() = status;
        response
    };
    let head = Request::builder().method(Method::HEAD).body(()).unwrap();
    let empty = Response::new(boxed(Empty::<Bytes>::new()));
    for (case, request, response) in [
        ("HEAD", head, with(StatusCode::OK)),
        ("204", Request::new(()), with(StatusCode::NO_CONTENT)),
        ("304", Request::new(()), with(StatusCode::NOT_MODIFIED)),
        ("101", Request::new(()), with(StatusCode::SWITCHING_PROTOCOLS)),
        ("empty", Request::new(()), empty),
    ] {
        let pipeline = Pipeline::new();
        let response = ask(&pipeline, Side::Server, request, Ok::<_, Infallible>(response)).await.unwrap();
        let span = only(&pipeline);
        assert_eq!(
            (outcome(&span), text(&span, "http.response.body.size")),
            (fine(), "0".to_owned()),
            "{case}"
        );
        drop(response);
    }
}

#[tokio::test]
async fn a_response_with_all_its_bytes_is_whole_even_if_it_is_not_polled_again() {
    let pipeline = Pipeline::new();
    let (sender, body) = sent(Some(5));
    let response = ask(&pipeline, Side::Server, Request::new(()), Ok::<_, Infallible>(Response::new(body)));
    let mut body = response.await.unwrap().into_body();
    sender.send(data("hello")).unwrap();
    body.frame().await.unwrap().unwrap();
    drop(body);
    let span = only(&pipeline);
    assert_eq!((outcome(&span), text(&span, "http.response.body.size")), (fine(), "5".to_owned()));
}

#[tokio::test]
async fn a_span_ends_with_a_frame_after_which_the_body_says_that_it_has_ended() {
    for side in SIDES {
        let pipeline = Pipeline::new();
        let response = Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("text")));
        let mut body = ask(&pipeline, side, Request::new(()), response).await.unwrap().into_body();
        assert!(pipeline.spans().is_empty(), "{side:?}");
        body.frame().await.unwrap().unwrap();
        // The body lives on, and is not polled again.
        assert_eq!(text(&only(&pipeline), "http.response.body.size"), "4", "{side:?}");
    }
}

#[tokio::test]
async fn what_is_dropped_with_a_request_is_dropped_in_its_span() {
    struct Inside;
    impl Drop for Inside {
        fn drop(&mut self) {
            drop(tracing::info_span!("inside"));
        }
    }
    let pipeline = Pipeline::new();
    let hangs = service_fn(|_: Request<()>| async {
        let _inside = Inside;
        std::future::pending::<Result<Response<String>, Infallible>>().await
    });
    let call = plain().http_server_layer().layer(hangs).oneshot(Request::new(()));
    async {
        let mut call = std::pin::pin!(call);
        let pending = std::future::poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx).is_pending())).await;
        assert!(pending);
    }
    .with_subscriber(pipeline.dispatch())
    .await;
    crate::support::assert_child(&pipeline.span("inside"), &pipeline.span("GET"));
}

#[tokio::test]
async fn a_response_that_breaks_is_an_error() {
    for side in SIDES {
        let pipeline = Pipeline::new();
        let (sender, body) = sent(None);
        let response = ask(&pipeline, side, Request::new(()), Ok::<_, Infallible>(Response::new(body))).await;
        sender.send(data("hello")).unwrap();
        sender.send(Err(io::Error::other("gone"))).unwrap();
        assert_eq!(response.unwrap().into_body().collect().await.unwrap_err(), "gone");
        let span = only(&pipeline);
        assert_eq!(outcome(&span), failed("std::io::error::Error"), "{side:?}");
        assert_eq!(text(&span, "http.response.status_code"), "200");
        assert_eq!(text(&span, "http.response.body.size"), "", "it is not known");
    }
}

/// A response that its reader drops: on a server the caller has left, and a client may want the head only.
///
/// The clock is not paused, here and below: tokio would then look for a paused clock in the whole process, and panic in
/// `scenarios::a_thread_may_end_inside_a_span`, where its thread-locals are gone.
#[tokio::test]
async fn a_response_that_is_dropped_midway_is_seen() {
    for (side, stall, events, expected) in [
        (Side::Server, false, false, failed("cancelled")),
        (Side::Server, false, true, fine()),
        (Side::Client, false, false, fine()),
        (Side::Client, true, false, failed("cancelled")),
    ] {
        let pipeline = Pipeline::new();
        let (sender, body) = sent(None);
        let mut response = Response::new(body);
        if events {
            response.headers_mut().insert("content-type", "text/event-stream".parse().unwrap());
        }
        let response = ask(&pipeline, side, Request::new(()), Ok::<_, Infallible>(response)).await;
        let mut body = response.unwrap().into_body();
        sender.send(data("hello")).unwrap();
        body.frame().await.unwrap().unwrap();
        if stall {
            assert!(tokio::time::timeout(Duration::from_millis(1_200), body.frame()).await.is_err());
        }
        assert!(pipeline.spans().is_empty());
        drop(body);
        let span = only(&pipeline);
        assert_eq!(outcome(&span), expected, "{side:?}, stall {stall}, events {events}");
        assert_eq!(text(&span, "http.response.status_code"), "200");
    }
}

#[tokio::test]
async fn a_request_that_is_dropped_before_its_response_was_cancelled() {
    let pipeline = Pipeline::new();
    let hangs =
        || service_fn(|_: Request<()>| std::future::pending::<Result<Response<String>, Infallible>>());
    let server = plain().http_server_layer().layer(hangs()).oneshot(Request::new(()));
    let client = plain().http_client_layer().layer(hangs()).oneshot(Request::new(()));
    async {
        let mut server = std::pin::pin!(server);
        let mut client = std::pin::pin!(client);
        std::future::poll_fn(|cx| {
            assert!(server.as_mut().poll(cx).is_pending() && client.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
    }
    .with_subscriber(pipeline.dispatch())
    .await;
    let spans = pipeline.spans();
    assert_eq!(spans.len(), 2);
    assert!(spans.iter().all(|span| outcome(span) == failed("cancelled")), "{spans:?}");
    assert!(spans.iter().all(|span| text(span, "http.response.status_code").is_empty()));
}

#[tokio::test]
async fn a_request_that_a_time_limit_ends_has_timed_out() {
    let pipeline = Pipeline::new();
    let retry = Retry::builder().max_attempts(1).attempt_timeout(Duration::from_millis(10)).build().unwrap();
    let hangs =
        service_fn(|_: Request<_>| std::future::pending::<Result<Response<Full<Bytes>>, Infallible>>());
    let client =
        ServiceBuilder::new().layer(retry.http_layer()).layer(plain().http_client_layer()).service(hangs);
    let request = Request::get("http://shop/").body(Full::<Bytes>::default()).unwrap();
    client.oneshot(request).with_subscriber(pipeline.dispatch()).await.unwrap();
    assert_eq!(outcome(&only(&pipeline)), failed(FailureKind::Timeout.as_str()));
}

#[tokio::test]
async fn a_panic_is_seen() {
    let pipeline = Pipeline::new();
    let panics = service_fn(|_: Request<()>| async {
        if true {
            panic!("on purpose");
        }
        Ok::<_, Infallible>(Response::new(String::new()))
    });
    let server = plain().http_server_layer().layer(panics);
    let call = tokio::spawn(server.oneshot(Request::new(())).with_subscriber(pipeline.dispatch()));
    assert!(call.await.unwrap_err().is_panic());
    assert_eq!(outcome(&only(&pipeline)), failed("panic"));
}

#[tokio::test]
async fn an_error_of_the_service_has_its_type() {
    for side in SIDES {
        let pipeline = Pipeline::new();
        let refused = io::Error::new(io::ErrorKind::ConnectionRefused, "jane@example.com refused it");
        let answer = Err::<Response<Full<Bytes>>, _>(refused);
        assert!(ask(&pipeline, side, Request::new(()), answer).await.is_err());
        let span = only(&pipeline);
        assert_eq!(outcome(&span), failed("std::io::error::Error"), "{side:?}");
        let opentelemetry::trace::Status::Error { description } = &span.status else { panic!() };
        assert!(description.contains("refused it") && !description.contains("jane"), "{description}");
    }
}
