//! The HTTP and gRPC layers.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use campanile::{CircuitState, RejectReason, Rejected};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::{OPEN_FOR, advance, breaker, fail_times};

fn request() -> Request<Body> {
    Request::new(Body::empty())
}

#[tokio::test(start_paused = true)]
async fn axum_takes_the_layer_as_it_is_and_a_refusal_is_a_503() {
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

/// A service that streams these frames after a good head.
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
    assert_eq!(counted(), (2, 1), "its reader had enough");
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
