//! gRPC: the status in the head or the trailers decides, and calls are sent again unchanged.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use campanile::dead_letter::{HttpRequest, Letter, LetterFilter, Payload, Redrive};
use campanile::retry::ReplayBody;
use campanile::{Backoff, DeadLetterQueue, FailureKind, Retry};
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::body::Body;
use tonic::service::InterceptorLayer;
use tonic::transport::{Channel, Server};
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower::{BoxError, Layer, ServiceBuilder, ServiceExt, service_fn};

use crate::support::{Mood, MoodyStore};

/// A queue that stores messages, although they cannot be searched for secrets.
fn storing() -> DeadLetterQueue {
    DeadLetterQueue::builder("calls").capacity(10).opaque_bodies(true).build().unwrap()
}

/// The codes of the next calls; `OK` when none is left.
type Codes = Arc<Mutex<VecDeque<Code>>>;

fn codes(codes: impl IntoIterator<Item = Code>) -> Codes {
    Arc::new(Mutex::new(codes.into_iter().collect()))
}

/// A health service that fails with `codes`, behind the layers of `queue`.
async fn serve(queue: &DeadLetterQueue, codes: Codes) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let fails = move |request: tonic::Request<()>| match codes.lock().unwrap().pop_front() {
        Some(code) => Err(Status::new(code, "token=planted1 is 100% refused")),
        None => Ok(request),
    };
    let layers = ServiceBuilder::new()
        .layer(queue.grpc_layer())
        .map_request(|request: Request<ReplayBody>| request.map(Body::new))
        .layer(InterceptorLayer::new(fails))
        .into_inner();
    let server = Server::builder().layer(layers).add_service(tonic_health::server::health_reporter().1);
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    address
}

fn channel(address: SocketAddr) -> Channel {
    Channel::from_shared(format!("http://{address}")).unwrap().connect_lazy()
}

fn check() -> HealthCheckRequest {
    HealthCheckRequest { service: String::new() }
}

async fn letters(queue: &DeadLetterQueue) -> Vec<Letter> {
    queue.list(LetterFilter::all()).await.unwrap()
}

fn kept(letter: &Letter) -> &HttpRequest {
    match &letter.payload {
        Payload::Http(request) => request,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn p20_calls_are_parked_by_their_status_on_both_sides_and_sent_again() {
    let (client_side, server_side) = (storing(), storing());
    let codes = codes([Code::Unavailable, Code::Unavailable, Code::NotFound, Code::Internal]);
    let address = serve(&server_side, Arc::clone(&codes)).await;
    let pause =
        Backoff::exponential(std::time::Duration::from_millis(1), std::time::Duration::from_millis(1));
    let retry = Retry::builder().max_attempts(2).backoff(pause).build().unwrap();
    let stack = ServiceBuilder::new()
        .layer(client_side.grpc_layer())
        .layer(retry.grpc_layer())
        .map_request(|request: Request<ReplayBody>| request.map(Body::new))
        .service(channel(address));
    let mut client = HealthClient::new(stack.clone());
    for code in [Code::Unavailable, Code::NotFound, Code::Internal] {
        let status = client.check(check()).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (code, "token=planted1 is 100% refused"));
    }
    client.check(check()).await.unwrap();

    let summary = |letters: &[Letter]| -> Vec<_> {
        letters.iter().map(|letter| (letter.error_type.clone(), letter.kind, letter.tries)).collect()
    };
    let error = |name: &str, tries| (name.to_owned(), FailureKind::Error, tries);
    // `NOT_FOUND` is the caller's fault.
    assert_eq!(summary(&letters(&client_side).await), [error("UNAVAILABLE", 2), error("INTERNAL", 1)]);
    assert_eq!(
        summary(&letters(&server_side).await),
        [error("UNAVAILABLE", 1), error("UNAVAILABLE", 1), error("INTERNAL", 1)]
    );
    for letter in [letters(&client_side).await, letters(&server_side).await].concat() {
        assert_eq!(letter.message, "token=[redacted] is 100% refused");
        assert!(letter.attempts.iter().all(|attempt| attempt.message == letter.message));
        let request = kept(&letter);
        assert!(request.uri.ends_with("/grpc.health.v1.Health/Check"), "{}", request.uri);
        assert_eq!(request.body, [0, 0, 0, 0, 0], "the message as it went over the wire");
    }

    // In a redrive, any code but OK is a failure.
    codes.lock().unwrap().push_back(Code::NotFound);
    let again = Redrive::all();
    let report = client_side.redrive_http(stack.clone(), again.clone()).await.unwrap();
    assert_eq!((report.failed, report.redriven), (1, 1));
    assert_eq!(letters(&client_side).await[0].error_type, "NOT_FOUND");
    assert_eq!(client_side.redrive_http(stack, again.clone()).await.unwrap().redriven, 1);

    // The call goes to the service again.
    let service = ServiceBuilder::new()
        .map_request(|request: Request<ReplayBody>| request.map(Body::new))
        .service(tonic_health::server::health_reporter().1);
    assert_eq!(server_side.redrive_http(service, again).await.unwrap().redriven, 3);
}

fn call() -> Request<Full<Bytes>> {
    Request::post("/a.B/C")
        .header("content-type", "application/grpc")
        .body(Full::new(Bytes::from("m")))
        .unwrap()
}

/// A response with these frames.
fn answer(frames: Vec<Result<Frame<Bytes>, BoxError>>) -> Response<StreamBody<Frames>> {
    Response::builder()
        .header("content-type", "application/grpc")
        .body(StreamBody::new(tokio_stream::iter(frames)))
        .unwrap()
}

type Frames = tokio_stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, BoxError>>>;

fn trailers(code: &'static str) -> Result<Frame<Bytes>, BoxError> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", code.parse().unwrap());
    trailers.insert("grpc-message", "so%20it%20is".parse().unwrap());
    Ok(Frame::trailers(trailers))
}

fn message() -> Result<Frame<Bytes>, BoxError> {
    Ok(Frame::data(Bytes::from_static(b"data")))
}

type MakeFrames = fn() -> Vec<Result<Frame<Bytes>, BoxError>>;

#[tokio::test(start_paused = true)]
async fn p20_a_failure_in_the_trailers_is_parked_first_unless_a_message_preceded_it() {
    let cases: [(MakeFrames, Option<(&str, &str)>); 7] = [
        (|| vec![trailers("14")], Some(("UNAVAILABLE", "so it is"))),
        (|| vec![trailers("0")], None),
        (|| vec![trailers("5")], None),
        (|| vec![message(), trailers("14")], None),
        (Vec::new, Some(("UNKNOWN", "the response ended without a status"))),
        (|| vec![Err("torn".into())], Some(("body", "torn"))),
        (|| vec![message(), Err("torn".into())], None),
    ];
    for (number, (frames, failure)) in cases.into_iter().enumerate() {
        let queue = storing();
        let service = queue.grpc_layer().layer(service_fn(move |_: Request<ReplayBody>| async move {
            Ok::<_, BoxError>(answer(frames()))
        }));
        let mut body = service.oneshot(call()).await.unwrap().into_body();
        assert_eq!(queue.snapshot().failures, 0, "the head shows no failure");
        let mut last = None;
        while let Some(frame) = body.frame().await {
            last = Some(frame);
            if queue.snapshot().failures > 0 {
                assert_eq!(queue.snapshot().parked, 1, "parked before the caller sees it");
            }
        }
        assert_eq!(last.map(|frame| frame.is_err()), frames().last().map(Result::is_err));
        let letters = letters(&queue).await;
        let seen = letters.first().map(|letter| (letter.error_type.as_str(), letter.message.as_str()));
        assert_eq!(seen, failure, "case {number}");
        if let Some(letter) = letters.first() {
            assert_eq!(kept(letter).body, b"m");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn p21_a_store_that_hangs_delays_trailers_no_longer_than_the_limit() {
    let limit = std::time::Duration::from_millis(250);
    let queue =
        DeadLetterQueue::builder("orders").park_timeout(limit).on(MoodyStore::new(Mood::Hangs)).unwrap();
    let service = queue.grpc_layer().layer(service_fn(|_: Request<ReplayBody>| async {
        Ok::<_, BoxError>(answer(vec![trailers("14")]))
    }));
    let body = service.oneshot(call()).await.unwrap().into_body();
    let began = tokio::time::Instant::now();
    assert_eq!(body.collect().await.unwrap().trailers().unwrap()["grpc-status"], "14");
    assert!(began.elapsed() < limit + std::time::Duration::from_millis(5), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn cancelled_calls_are_parked_if_that_is_set() {
    for parks in [false, true] {
        let queue = DeadLetterQueue::builder("orders").park_cancelled(parks).build().unwrap();
        let service = queue.grpc_layer().layer(service_fn(|_: Request<ReplayBody>| async {
            Ok::<_, BoxError>(answer(vec![trailers("0")]))
        }));
        drop(service.clone().oneshot(call()).await.unwrap());
        while queue.snapshot().parking > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(queue.len().await.unwrap(), u64::from(parks));
        service.oneshot(call()).await.unwrap().into_body().collect().await.unwrap();
        assert_eq!(queue.len().await.unwrap(), u64::from(parks));
    }
}

#[tokio::test(start_paused = true)]
async fn a_response_without_a_grpc_status_is_a_failure() {
    let queue = DeadLetterQueue::in_memory(10);
    let service = queue.grpc_layer().layer(service_fn(|_: Request<ReplayBody>| async {
        Ok::<_, BoxError>(Response::builder().status(502).body(Empty::<Bytes>::new()).unwrap())
    }));
    service.oneshot(call()).await.unwrap();
    assert_eq!(letters(&queue).await[0].error_type, "502");
}
