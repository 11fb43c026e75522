//! The layer for gRPC.

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use campanile::retry::{Attempt, GiveUp, ReplayBody};
use campanile::{Backoff, CircuitBreaker, FailureKind, Jitter, Outcome, Rejected, Retry, TimedOut};
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::Code;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tower::{BoxError, Layer, ServiceBuilder, ServiceExt};

use crate::support::{Act, Scripted, builder, millis, retry, secs};

type Text = UnsyncBoxBody<Bytes, BoxError>;
type Inner = Scripted<Request<ReplayBody>, Response<Text>>;

fn text(text: &'static str) -> Text {
    Full::from(text).map_err(Into::into).boxed_unsync()
}

/// A response without messages, with these headers.
fn headers<const N: usize>(headers: [(&'static str, &str); N]) -> Act<Response<Text>> {
    let builder = headers.iter().fold(Response::builder(), |all, (name, value)| all.header(*name, *value));
    Act::Answer(builder.body(text("")).unwrap())
}

fn code(code: Code) -> Act<Response<Text>> {
    headers([("grpc-status", &(code as i32).to_string())])
}

fn pushback(millis: &str) -> Act<Response<Text>> {
    headers([("grpc-status", "14"), ("grpc-retry-pushback-ms", millis)])
}

/// The response of a proxy without gRPC.
fn status(status: u16) -> Act<Response<Text>> {
    Act::Answer(Response::builder().status(status).header(RETRY_AFTER, "7").body(text("sorry")).unwrap())
}

fn request() -> Request<Text> {
    Request::post("http://shop/pkg.Orders/Add").body(text("order 7")).unwrap()
}

async fn send(retry: &Retry, inner: &Inner, request: Request<Text>) -> Result<Response<Bytes>, BoxError> {
    let (head, body) = retry.grpc_layer().layer(inner.clone()).oneshot(request).await?.into_parts();
    Ok(Response::from_parts(head, body.collect().await?.to_bytes()))
}

/// The calls that the service gets if its first response is `act`, and the reason if there was no second call.
async fn calls(retry: &Retry, act: Act<Response<Text>>, request: Request<Text>) -> (usize, Option<GiveUp>) {
    let before = retry.snapshot();
    let inner = Inner::new([act, code(Code::Ok)]);
    let _ = send(retry, &inner, request).await;
    let after = retry.snapshot();
    let given_up = after.given_up.keys().copied().find(|why| after.given_up[why] > before.given_up[why]);
    (inner.calls(), given_up)
}

#[tokio::test(start_paused = true)]
async fn p11_only_calls_that_were_not_processed_are_retried() {
    use GiveUp::{NotIdempotent, Permanent};
    let table = [
        (Code::Ok, 1, None),
        (Code::Cancelled, 1, None),
        (Code::Unknown, 1, Some(NotIdempotent)),
        (Code::InvalidArgument, 1, None),
        (Code::DeadlineExceeded, 1, Some(NotIdempotent)),
        (Code::NotFound, 1, None),
        (Code::AlreadyExists, 1, None),
        (Code::PermissionDenied, 1, None),
        (Code::ResourceExhausted, 2, None),
        (Code::FailedPrecondition, 1, None),
        (Code::Aborted, 1, None),
        (Code::OutOfRange, 1, None),
        (Code::Unimplemented, 1, Some(Permanent)),
        (Code::Internal, 1, Some(NotIdempotent)),
        (Code::Unavailable, 2, None),
        (Code::DataLoss, 1, Some(NotIdempotent)),
        (Code::Unauthenticated, 1, None),
    ];
    for (answer, made, given_up) in table {
        assert_eq!(calls(&retry(), code(answer), request()).await, (made, given_up), "{answer:?}");
    }
    let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    assert_eq!(calls(&retry(), Act::Fail(reset.into()), request()).await, (1, Some(NotIdempotent)));
    let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
    assert_eq!(calls(&retry(), Act::Fail(refused.into()), request()).await, (2, None));
}

#[tokio::test(start_paused = true)]
async fn p11_an_idempotent_call_is_retried_after_any_failure() {
    let keyed = || {
        let mut request = request();
        request.headers_mut().insert("idempotency-key", HeaderValue::from_static("7"));
        request
    };
    let failures = [Code::Unknown, Code::DeadlineExceeded, Code::Internal, Code::DataLoss, Code::Unavailable];
    let bold = builder().retry_non_idempotent(true).build().unwrap();
    for answer in failures {
        assert_eq!(calls(&retry(), code(answer), keyed()).await, (2, None), "{answer:?}");
        assert_eq!(calls(&bold, code(answer), request()).await, (2, None), "{answer:?}");
    }
    assert_eq!(calls(&bold, code(Code::NotFound), request()).await, (1, None));
    assert_eq!(calls(&bold, code(Code::Unimplemented), request()).await, (1, Some(GiveUp::Permanent)));
}

#[tokio::test(start_paused = true)]
async fn p11_the_codes_can_be_configured() {
    let retry = builder().grpc_codes([Code::Aborted, Code::Unimplemented].map(|code| code as i32)).build();
    let retry = retry.unwrap();
    assert_eq!(calls(&retry, code(Code::Aborted), request()).await, (2, None));
    assert_eq!(calls(&retry, code(Code::Unimplemented), request()).await, (2, None));
    let given_up = Some(GiveUp::NotIdempotent);
    assert_eq!(calls(&retry, code(Code::Unavailable), request()).await, (1, given_up));
    let none = builder().grpc_codes([]).build().unwrap();
    assert_eq!(calls(&none, code(Code::Unavailable), request()).await, (1, given_up));
}

#[tokio::test(start_paused = true)]
async fn a_response_without_grpc_has_the_code_of_its_status() {
    for (answer, made) in [(429, 2), (502, 2), (503, 2), (504, 2), (500, 1), (404, 1), (400, 1)] {
        assert_eq!(calls(&retry(), status(answer), request()).await.0, made, "{answer}");
    }
    let began = Instant::now();
    calls(&retry(), status(503), request()).await;
    assert!((secs(7)..millis(7_010)).contains(&began.elapsed()), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn p10_a_stream_that_has_begun_is_not_retried() {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("14"));
    let frames = [Ok::<_, BoxError>(Frame::data(Bytes::from("one"))), Ok(Frame::trailers(trailers))];
    let body = StreamBody::new(tokio_stream::iter(frames)).boxed_unsync();
    let retry = retry();
    let inner = Inner::new([Act::Answer(Response::new(body))]);
    let response = retry.grpc_layer().layer(inner.clone()).oneshot(request()).await.unwrap();
    let all = response.into_body().collect().await.unwrap();
    assert_eq!(all.trailers().unwrap()["grpc-status"], "14");
    assert_eq!((inner.calls(), retry.snapshot().successes), (1, 1));
}

/// The time until the response after these comes, with a backoff of 1, 2, 4 s.
async fn waited<const N: usize>(retry: &Retry, acts: [Act<Response<Text>>; N]) -> Duration {
    let inner = Inner::new(acts.into_iter().chain([code(Code::Ok)]));
    let began = Instant::now();
    send(retry, &inner, request()).await.unwrap();
    assert_eq!(inner.calls(), N + 1);
    // The timer ticks in milliseconds.
    let elapsed = began.elapsed();
    Duration::from_millis(10 * u64::try_from(elapsed.as_millis() / 10).unwrap())
}

#[tokio::test(start_paused = true)]
async fn p10_a_pushback_is_the_exact_delay() {
    let backoff = Backoff::exponential(secs(1), secs(60)).jitter(Jitter::None);
    let retry = builder().backoff(backoff).retry_after_cap(secs(30)).build().unwrap();
    assert_eq!(waited(&retry, [code(Code::Unavailable)]).await, secs(1));
    assert_eq!(waited(&retry, [pushback("0")]).await, secs(0), "shorter than the backoff");
    assert_eq!(waited(&retry, [pushback("300")]).await, millis(300));
    assert_eq!(waited(&retry, [pushback("30000")]).await, secs(30));
    assert_eq!(waited(&retry, [pushback("31000")]).await, secs(30));
    // The backoff starts again.
    let plain = [code(Code::Unavailable), code(Code::Unavailable), code(Code::Unavailable)];
    assert_eq!(waited(&retry, plain).await, secs(7));
    let pushed = [code(Code::Unavailable), pushback("500"), code(Code::Unavailable)];
    assert_eq!(waited(&retry, pushed).await, millis(2_500));
    let deaf = builder().backoff(backoff).retry_after_cap(secs(0)).build().unwrap();
    assert_eq!(waited(&deaf, [pushback("300")]).await, secs(1));
}

#[tokio::test(start_paused = true)]
async fn p10_a_server_can_forbid_another_attempt() {
    for millis in ["-1", "soon", ""] {
        let given_up = Some(GiveUp::Forbidden);
        assert_eq!(calls(&retry(), pushback(millis), request()).await, (1, given_up), "{millis:?}");
    }
    // On a success it forbids nothing.
    let success = headers([("grpc-status", "0"), ("grpc-retry-pushback-ms", "-1")]);
    let retry = retry();
    assert_eq!(calls(&retry, success, request()).await, (1, None));
    assert_eq!(retry.snapshot().successes, 1);
}

#[tokio::test(start_paused = true)]
async fn the_server_gets_the_number_of_earlier_attempts() {
    let inner = Inner::new([code(Code::Unavailable), code(Code::Unavailable), code(Code::Ok)]);
    send(&retry(), &inner, request()).await.unwrap();
    let seen: Vec<_> = inner
        .requests()
        .iter()
        .map(|request| {
            let header = request.headers().get("grpc-previous-rpc-attempts").cloned();
            (header, request.extensions().get::<Attempt>().unwrap().resend_count())
        })
        .collect();
    assert_eq!(seen, [(None, 0), (Some(HeaderValue::from(1)), 1), (Some(HeaderValue::from(2)), 2)]);
}

#[tokio::test(start_paused = true)]
async fn p10_a_call_that_hangs_is_deadline_exceeded() {
    let retry = builder().deadline(secs(5)).build().unwrap();
    let response = send(&retry, &Inner::new([code(Code::Unavailable), Act::Hang]), request()).await.unwrap();
    assert_eq!(response.extensions().get::<TimedOut>().unwrap().limit(), secs(5));
    let status = tonic::Status::from_header_map(response.headers()).unwrap();
    assert_eq!((response.status().as_u16(), status.code()), (200, Code::DeadlineExceeded));
    assert_eq!(
        status.message(),
        "a call with all its attempts of retry `test` timed out after 5s (`deadline`)"
    );
    assert_eq!(response.headers()["content-type"], "application/grpc");
}

#[tokio::test(start_paused = true)]
async fn p10_a_refusal_by_a_local_breaker_is_not_retried_and_that_of_a_remote_one_is() {
    let breaker = CircuitBreaker::builder("payments").build().unwrap();
    breaker.force_open();
    let retry = retry();
    let inner = Inner::new([]);
    let service =
        ServiceBuilder::new().layer(retry.grpc_layer()).layer(breaker.grpc_layer()).service(inner.clone());
    let response = service.oneshot(request()).await.unwrap();
    assert_eq!(response.headers()["grpc-status"], "14");
    assert!(response.extensions().get::<Rejected>().is_some());
    let service =
        ServiceBuilder::new().layer(retry.grpc_layer()).layer(breaker.layer()).service(inner.clone());
    assert!(Rejected::find(service.oneshot(request()).await.unwrap_err().as_ref()).is_some());
    assert_eq!((inner.calls(), retry.snapshot().given_up[&GiveUp::Rejected]), (0, 2));
    // The extension does not cross the network.
    assert_eq!(calls(&retry, pushback("100"), request()).await, (2, None));
}

#[tokio::test(start_paused = true)]
async fn a_custom_classifier_decides() {
    let not_found = |result: Result<&http::response::Parts, &(dyn Error + 'static)>| match result {
        Ok(head) if head.headers["grpc-status"] == "5" => Outcome::Failure(FailureKind::Error),
        _ => Outcome::Success,
    };
    let retry = builder().retry_non_idempotent(true).build().unwrap();
    for (answer, made) in [(Code::NotFound, 2), (Code::Internal, 1), (Code::Unavailable, 2)] {
        let inner = Inner::new([code(answer), code(Code::Ok)]);
        let service = retry.grpc_layer().classify(not_found).layer(inner.clone());
        service.oneshot(request()).await.unwrap();
        assert_eq!(inner.calls(), made, "{answer:?}");
    }
}

/// Calls a tonic server with a tonic client.
async fn check(retry: &Retry, address: SocketAddr) -> Result<i32, tonic::Status> {
    let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect_lazy();
    let stack = ServiceBuilder::new()
        .layer(retry.grpc_layer())
        .map_request(|request: Request<ReplayBody>| request.map(tonic::body::Body::new))
        .service(channel);
    let request = HealthCheckRequest { service: "shop".to_owned() };
    Ok(HealthClient::new(stack).check(request).await?.into_inner().status)
}

#[tokio::test(start_paused = true)]
async fn a_tonic_client_gets_its_response_from_a_server_that_pushes_back() {
    let (reporter, service) = tonic_health::server::health_reporter();
    reporter.set_service_status("shop", tonic_health::ServingStatus::Serving).await;
    let answers = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&answers);
    let flaky = move |request: tonic::Request<()>| match counted.fetch_add(1, Ordering::SeqCst) {
        0 => {
            let mut status = tonic::Status::unavailable("not now");
            status.metadata_mut().insert("grpc-retry-pushback-ms", 60_000.into());
            Err(status)
        }
        1 => Err(tonic::Status::resource_exhausted("nor now")),
        _ => Ok(request),
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(
        tonic::transport::Server::builder()
            .layer(tonic::service::InterceptorLayer::new(flaky))
            .add_service(service)
            .serve_with_incoming(TcpListenerStream::new(listener)),
    );
    let retry = builder().retry_after_cap(secs(3_600)).build().unwrap();
    let began = Instant::now();
    assert_eq!(check(&retry, address).await.unwrap(), ServingStatus::Serving as i32);
    assert_eq!((answers.load(Ordering::SeqCst), retry.snapshot().retries), (3, 2));
    assert!(began.elapsed() >= secs(61), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn p11_a_tonic_client_retries_a_refused_connection() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let retry = retry();
    let status = check(&retry, address).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    let counted = retry.snapshot();
    assert_eq!((counted.retries, counted.given_up[&GiveUp::Attempts]), (3, 1));
}
