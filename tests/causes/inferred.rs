//! The marker of `Cause` is inferred in all code of users.

use std::convert::Infallible;
use std::time::Duration;

use axum::{Router, routing::get};
use bytes::Bytes;
use campanile::breaker::HttpBreaker;
use campanile::error::{ByBox, Cause};
use campanile::retry::{HttpRetryLayer, HttpRetrying, ReplayBody};
use campanile::timing::{HttpTimed, HttpTimingLayer, TimingLayer};
use campanile::{CircuitBreaker, DeadLetterQueue, Retry, Timing};
use http::{Request, Response};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tonic::transport::Channel;
use tonic_health::pb::health_client::HealthClient;
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt, service_fn};

type Body = Full<Bytes>;

struct Handles {
    queue: DeadLetterQueue,
    retry: Retry,
    breaker: CircuitBreaker,
    timing: Timing,
}

fn handles() -> Handles {
    Handles {
        queue: DeadLetterQueue::in_memory(10),
        retry: Retry::builder().build().unwrap(),
        breaker: CircuitBreaker::builder("inferred").build().unwrap(),
        timing: Timing::new("inferred"),
    }
}

async fn answer(_: Request<ReplayBody>) -> Result<Response<Body>, Infallible> {
    Ok(Response::new(Body::from("fine")))
}

#[tokio::test]
async fn over_a_router() {
    let Handles { queue, retry, breaker, timing } = handles();
    let app: Router = Router::new()
        .route("/", get(|| async { "fine" }))
        .layer(timing.http_server_layer())
        .layer(breaker.http_layer())
        .layer(retry.http_layer())
        .layer(queue.http_layer());
    // The same with a `ServiceBuilder`.
    let stack = ServiceBuilder::new()
        .layer(queue.http_layer())
        .layer(retry.http_layer())
        .layer(breaker.http_layer())
        .layer(timing.http_server_layer());
    let app = app.layer(stack);
    let response = app.oneshot(Request::new(axum::body::Body::empty())).await.unwrap();
    assert_eq!(response.status(), 200);
    axum::body::to_bytes(response.into_body(), 100).await.unwrap();
    assert_eq!(timing.snapshot().calls, 2);
}

#[tokio::test]
async fn over_errors_in_a_box() {
    let Handles { queue, retry, breaker, timing } = handles();
    let service = ServiceBuilder::new()
        .layer(queue.http_layer())
        .layer(retry.http_layer())
        .layer(breaker.http_layer())
        .layer(timing.http_client_layer())
        .buffer(10)
        .timeout(Duration::from_secs(1))
        .service(service_fn(answer));
    assert_eq!(service.oneshot(Request::new(Body::default())).await.unwrap().status(), 200);
}

#[tokio::test]
async fn over_a_client_of_hyper() {
    let Handles { queue, retry, breaker, timing } = handles();
    let client: Client<HttpConnector, _> = Client::builder(TokioExecutor::new()).build_http();
    let service = ServiceBuilder::new()
        .layer(queue.http_layer())
        .layer(retry.http_layer())
        .layer(breaker.http_layer())
        .layer(timing.http_client_layer())
        .service(client);
    let request = Request::get("http://[::1]:1/").body(Body::default()).unwrap();
    let error = service.oneshot(request).await.map(drop).unwrap_err();
    assert!(error.is_connect(), "it is the error of the client: {error:?}");
}

#[tokio::test]
async fn over_a_channel_of_tonic() {
    let Handles { queue, retry, breaker, timing } = handles();
    let channel = ServiceBuilder::new()
        .layer(queue.grpc_layer())
        .layer(retry.grpc_layer())
        .layer(breaker.grpc_layer())
        .layer(timing.grpc_client_layer())
        .map_request(|request: Request<ReplayBody>| request.map(tonic::body::Body::new))
        .service(Channel::from_static("http://[::1]:1").connect_lazy());
    let status = HealthClient::new(channel).check(tonic_health::pb::HealthCheckRequest::default()).await;
    assert_eq!(status.unwrap_err().code(), tonic::Code::Unavailable);
}

/// Types that are written out have errors that implement `Error` by default.
struct Stored {
    layer: HttpTimingLayer,
    client: HttpRetrying<HttpBreaker<HttpTimed<Client<HttpConnector, ReplayBody>>>>,
    boxed: HttpRetryLayer<campanile::outcome::ByHttpStatus, ByBox>,
    plain: TimingLayer,
}

#[tokio::test]
async fn in_types_that_are_written_out_and_in_variables() {
    let Handles { retry, breaker, timing, .. } = handles();
    let client = Client::builder(TokioExecutor::new()).build_http();
    let stored = Stored {
        layer: timing.http_server_layer(),
        client: ServiceBuilder::new()
            .layer(retry.http_layer())
            .layer(breaker.http_layer())
            .layer(timing.http_client_layer())
            .service(client),
        boxed: retry.http_layer(),
        plain: timing.layer(),
    };
    let Stored { layer, client, boxed, plain } = stored;
    let request = Request::get("http://[::1]:1/").body(Body::default()).unwrap();
    assert!(client.oneshot(request).await.is_err());
    let plain_answer =
        service_fn(|_: Request<Body>| async { Ok::<_, Infallible>(Response::new(Body::default())) });
    layer.layer(plain_answer).oneshot(Request::new(Body::default())).await.unwrap();
    let in_a_box = service_fn(|request| async { answer(request).await.map_err(BoxError::from) });
    boxed.layer(in_a_box).oneshot(Request::new(Body::default())).await.unwrap();
    plain.layer(service_fn(|()| async { Ok::<_, std::io::Error>(()) })).oneshot(()).await.unwrap();

    // One variable has one kind of errors, and so have its clones.
    let layer = timing.layer();
    layer.clone().layer(service_fn(|()| async { Ok::<_, BoxError>(()) })).oneshot(()).await.unwrap();
    layer.layer(service_fn(|()| async { Ok::<_, BoxError>(()) })).oneshot(()).await.unwrap();
}

/// Generic code bounds the errors of its service.
async fn watched<S>(timing: &Timing, service: S) -> bool
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Error: std::error::Error + 'static,
{
    timing.http_client_layer().layer(service).oneshot(Request::new(Body::default())).await.is_ok()
}

/// Or allows any errors.
async fn watched_whatever_the_error<S, K>(timing: &Timing, service: S) -> bool
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Error: Cause<K>,
{
    timing.http_client_layer().layer(service).oneshot(Request::new(Body::default())).await.is_ok()
}

#[tokio::test]
async fn in_generic_code() {
    let timing = Timing::new("generic");
    let fine = service_fn(|_: Request<Body>| async { Ok::<_, Infallible>(Response::new(Body::default())) });
    let boxed = service_fn(|_: Request<Body>| async { Ok::<_, BoxError>(Response::new(Body::default())) });
    assert!(watched(&timing, fine).await);
    assert!(watched_whatever_the_error(&timing, boxed).await);
    assert_eq!(timing.snapshot().calls, 2);
}
