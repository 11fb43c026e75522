//! The HTTP and gRPC layers.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use campanile::{CircuitState, FailureKind, HalfOpen, RejectReason, Rejected};
use http::{Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::{BodyExt, StreamBody};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::{OPEN_FOR, advance, breaker, builder, fail_times};

fn request() -> Request<Body> {
    Request::new(Body::empty())
}

#[tokio::test(start_paused = true)]
async fn axum_accepts_the_layer_and_a_refusal_is_a_503() {
    let breaker = breaker();
    let app: Router = Router::new()
        .route("/", get(|| async { StatusCode::INTERNAL_SERVER_ERROR }))
        .layer(breaker.http_layer());
    for _ in 0..4 {
        let response = app.clone().oneshot(request()).await.unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
    let response = app.clone().oneshot(request()).await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()["retry-after"], "5");
    assert_eq!(response.extensions().get::<Rejected>().unwrap().reason(), RejectReason::Open);
    assert!(response.into_body().collect().await.unwrap().to_bytes().is_empty());
    advance(OPEN_FOR - Duration::from_millis(100)).await;
    let response = app.clone().oneshot(request()).await.unwrap();
    assert_eq!(response.headers()["retry-after"], "1", "rounded up");
}

type Frames = Vec<Result<http_body::Frame<bytes::Bytes>, std::io::Error>>;

/// A service that streams these frames after a successful head.
fn streaming(
    frames: impl Fn() -> Frames + Clone + Send + 'static,
) -> impl Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send> + Clone {
    service_fn(move |_: Request<Body>| {
        let frames = frames();
        async move { Ok(Response::new(Body::new(StreamBody::new(tokio_stream::iter(frames))))) }
    })
}

fn data(text: &'static str) -> Result<http_body::Frame<bytes::Bytes>, std::io::Error> {
    Ok(http_body::Frame::data(bytes::Bytes::from_static(text.as_bytes())))
}

#[tokio::test(start_paused = true)]
async fn p07_a_streaming_response_is_classified_once_at_its_end_its_error_or_its_drop() {
    let breaker = breaker();
    let counted = || {
        let totals = breaker.snapshot().totals;
        (totals.successes, totals.failures.iter().sum::<u64>())
    };

    let mut good = breaker.http_layer().layer(streaming(|| vec![data("a"), data("b")]));
    let response = good.ready().await.unwrap().call(request()).await.unwrap();
    assert_eq!(counted(), (0, 0), "not at the head");
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "ab");
    assert_eq!(counted(), (1, 0));

    let mut broken = breaker
        .http_layer()
        .layer(streaming(|| vec![data("a"), Err(std::io::Error::other("connection reset"))]));
    let response = broken.ready().await.unwrap().call(request()).await.unwrap();
    assert!(response.into_body().collect().await.is_err());
    assert_eq!(counted(), (1, 1));

    let response = good.ready().await.unwrap().call(request()).await.unwrap();
    let mut body = response.into_body();
    body.frame().await.unwrap().unwrap();
    drop(body);
    assert_eq!(counted(), (1, 1), "its reader had enough, and saw no end");
    assert_eq!(breaker.snapshot().totals.ignored, 1);
}

#[tokio::test(start_paused = true)]
async fn p07_a_body_that_panics_is_a_failure_even_if_the_panic_is_caught() {
    let breaker = breaker();
    let frames = || {
        let mut sent = false;
        tokio_stream::iter(std::iter::from_fn(move || {
            assert!(!std::mem::replace(&mut sent, true), "on purpose");
            Some(data("a"))
        }))
    };
    let mut service = breaker.http_layer().layer(service_fn(move |_: Request<Body>| {
        std::future::ready(Ok::<_, Infallible>(Response::new(StreamBody::new(frames()))))
    }));
    let response = service.ready().await.unwrap().call(request()).await.unwrap();
    let mut body = response.into_body();
    body.frame().await.unwrap().unwrap();
    let poll = || Pin::new(&mut body).poll_frame(&mut Context::from_waker(Waker::noop())).is_ready();
    assert!(catch_unwind(AssertUnwindSafe(poll)).is_err());
    drop(body);
    let totals = breaker.snapshot().totals;
    assert_eq!((totals.successes, totals.failures[FailureKind::Panic.index()]), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn p07_a_response_without_a_body_is_classified_at_its_head() {
    let breaker = breaker();
    let mut service = breaker.http_layer().layer(service_fn(|_: Request<Body>| {
        std::future::ready(Ok::<_, Infallible>(
            Response::builder().status(StatusCode::NO_CONTENT).body(Body::empty()).unwrap(),
        ))
    }));
    let response = service.ready().await.unwrap().call(request()).await.unwrap();
    assert_eq!(breaker.snapshot().totals.successes, 1);
    drop(response);
    assert_eq!(breaker.snapshot().totals.successes, 1);
}

#[tokio::test(start_paused = true)]
async fn p07_a_reader_that_stops_at_the_last_byte_has_read_the_whole_body() {
    let breaker = breaker();
    let mut service = breaker.http_layer().layer(service_fn(|_: Request<Body>| {
        std::future::ready(Ok::<_, Infallible>(Response::new(Body::from("all of it"))))
    }));
    let response = service.ready().await.unwrap().call(request()).await.unwrap();
    let mut body = response.into_body();
    body.frame().await.unwrap().unwrap();
    assert_eq!(breaker.snapshot().totals.successes, 1, "a body at its end is not polled again");
    drop(body);
    assert_eq!(breaker.snapshot().totals.successes, 1);
}

#[tokio::test(start_paused = true)]
async fn an_endless_wait_is_a_valid_header() {
    let breaker = builder().half_open(HalfOpen { permits: 1, max_wait: Duration::MAX }).build().unwrap();
    fail_times(&breaker, 4).await;
    advance(OPEN_FOR).await;
    let service = breaker.http_layer().layer(streaming(Vec::new));
    let mut probe = service.clone();
    probe.ready().await.unwrap();
    let response = service.clone().oneshot(request()).await.unwrap();
    assert_eq!(response.headers()["retry-after"], u64::MAX.to_string());
}

#[cfg(feature = "grpc")]
mod grpc {
    use super::*;
    use campanile::CircuitBreaker;

    fn trailers(status: &'static str) -> Result<http_body::Frame<bytes::Bytes>, std::io::Error> {
        let mut map = http::HeaderMap::new();
        map.insert("grpc-status", status.parse().unwrap());
        Ok(http_body::Frame::trailers(map))
    }

    async fn read(breaker: &CircuitBreaker, status: &'static str) {
        let mut service = breaker.grpc_layer().layer(streaming(move || vec![data("x"), trailers(status)]));
        let response = service.ready().await.unwrap().call(request()).await.unwrap();
        response.into_body().collect().await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn the_status_in_the_trailers_decides() {
        let breaker = breaker();
        for caller_fault in ["0", "3", "5", "16", "1"] {
            read(&breaker, caller_fault).await;
        }
        assert_eq!(breaker.snapshot().failures, 0);
        for server_fault in ["13", "14", "4", "12"] {
            read(&breaker, server_fault).await;
        }
        assert_eq!(breaker.snapshot().totals.failures.iter().sum::<u64>(), 4);
        read(&breaker, "2").await;
        assert_eq!(breaker.state(), CircuitState::Open);
    }

    #[tokio::test(start_paused = true)]
    async fn p07_a_status_in_the_head_of_a_response_without_body_decides() {
        let breaker = breaker();
        for (status, failures) in [("0", 0), ("5", 0), ("14", 1)] {
            let mut service = breaker.grpc_layer().layer(service_fn(move |_: Request<Body>| {
                let response = Response::builder().header("grpc-status", status).body(Body::empty());
                std::future::ready(Ok::<_, Infallible>(response.unwrap()))
            }));
            drop(service.ready().await.unwrap().call(request()).await.unwrap());
            assert_eq!(breaker.snapshot().failures, failures, "status {status}");
        }
        assert_eq!(breaker.snapshot().calls, 3);
        let mut service = breaker.grpc_layer().layer(service_fn(|_: Request<Body>| {
            std::future::ready(Ok::<_, Infallible>(Response::new(Body::empty())))
        }));
        drop(service.ready().await.unwrap().call(request()).await.unwrap());
        assert_eq!(breaker.snapshot().totals.failures.iter().sum::<u64>(), 2, "no status at all");
    }

    #[tokio::test(start_paused = true)]
    async fn p07_a_stream_without_a_status_is_a_failure_and_a_dropped_one_is_ignored() {
        let breaker = breaker();
        let mut service = breaker.grpc_layer().layer(streaming(|| vec![data("x"), data("y")]));
        let response = service.ready().await.unwrap().call(request()).await.unwrap();
        response.into_body().collect().await.unwrap();
        assert_eq!(breaker.snapshot().failures, 1);
        let response = service.ready().await.unwrap().call(request()).await.unwrap();
        let mut body = response.into_body();
        body.frame().await.unwrap().unwrap();
        drop(body);
        let snapshot = breaker.snapshot();
        assert_eq!((snapshot.calls, snapshot.totals.ignored), (1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_unavailable_with_a_pushback() {
        let breaker = breaker();
        fail_times(&breaker, 4).await;
        let mut service = breaker.grpc_layer().layer(streaming(Vec::new));
        let response = service.ready().await.unwrap().call(request()).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let status = tonic::Status::from_header_map(response.headers()).unwrap();
        assert_eq!(status.code(), tonic::Code::Unavailable);
        assert!(status.message().contains("circuit `test` is open"), "{}", status.message());
        assert_eq!(response.headers()["grpc-retry-pushback-ms"], "5000");
    }
}
