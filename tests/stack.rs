//! All layers together with real clients and servers.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::post;
use bytes::Bytes;
use campanile::outcome::ByGrpcStatus;
use campanile::retry::ReplayBody;
use campanile::{
    Backoff, CircuitBreaker, CircuitState, DeadLetterQueue, Fallback, Jitter, Redrive, Retry, RetryBudget,
    Timing, fallback,
};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower::{ServiceBuilder, ServiceExt};

struct Parts {
    queue: DeadLetterQueue,
    retry: Retry,
    breaker: CircuitBreaker,
    timing: Timing,
}

fn parts() -> Parts {
    Parts {
        queue: DeadLetterQueue::in_memory(1_000),
        retry: Retry::builder()
            .max_attempts(3)
            .backoff(Backoff::exponential(Duration::from_millis(1), Duration::from_millis(2)))
            .budget(RetryBudget::ratio(1.0).min_per_second(100))
            .retry_non_idempotent(true)
            .build()
            .unwrap(),
        breaker: CircuitBreaker::builder("upstream")
            .consecutive_failures(9)
            .minimum_calls(50)
            .open_for(Backoff::constant(Duration::from_millis(20)).jitter(Jitter::None))
            .build()
            .unwrap(),
        timing: Timing::new("upstream"),
    }
}

/// A server that responds with these statuses in turn, then with 200. Returns its address and its count of requests.
async fn upstream(statuses: Vec<StatusCode>) -> (SocketAddr, Arc<AtomicUsize>) {
    let taken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&taken);
    let app = Router::new().route(
        "/",
        post(move |body: Bytes| {
            let place = count.fetch_add(1, Ordering::SeqCst);
            let status = statuses.get(place).copied().unwrap_or(StatusCode::OK);
            async move { (status, body) }
        }),
    );
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    (address, taken)
}

#[tokio::test]
async fn a_hyper_client_goes_through_the_whole_stack() {
    let Parts { queue, retry, breaker, timing } = parts();
    let (address, taken) = upstream(vec![StatusCode::SERVICE_UNAVAILABLE; 10]).await;
    let protected = ServiceBuilder::new()
        .layer(retry.http_layer())
        .layer(breaker.http_layer())
        .layer(timing.http_client_layer())
        .service(Client::builder(TokioExecutor::new()).build_http::<ReplayBody>());
    let client = ServiceBuilder::new().layer(queue.http_layer()).service(protected.clone());
    let order = |number: u32| {
        Request::post(format!("http://{address}/"))
            .body(Full::new(Bytes::from(format!("order {number}"))))
            .unwrap()
    };
    for number in 1..=5 {
        let response = client.clone().oneshot(order(number)).await.unwrap();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(
            queue.len().await.unwrap(),
            u64::from(number),
            "parked before the caller got its response"
        );
    }
    // Three orders with three attempts opened the circuit; the rest never reached the server.
    assert_eq!(breaker.state(), CircuitState::Open);
    assert_eq!((taken.load(Ordering::SeqCst), timing.snapshot().calls), (9, 9));

    tokio::time::sleep(Duration::from_millis(30)).await;
    let report = queue.redrive_http(protected.clone(), Redrive::all().rate(1_000)).await.unwrap();
    assert_eq!(report.redriven, 5, "{report:?}");
    assert_eq!(queue.len().await.unwrap(), 0);
    assert_eq!(breaker.state(), CircuitState::Closed);

    // The body of a success arrives.
    let response = client.oneshot(order(6)).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "order 6");
}

#[tokio::test]
async fn a_fallback_answers_for_the_whole_stack_which_parks_and_counts_the_failure() {
    let Parts { queue, retry, breaker, timing } = parts();
    let (address, taken) = upstream(vec![StatusCode::SERVICE_UNAVAILABLE; 10]).await;
    let fallback = Fallback::new("upstream");
    let client = ServiceBuilder::new()
        .layer(fallback.http_layer(fallback::value(http::Response::new(Bytes::from_static(b"later")))))
        .layer(queue.http_layer())
        .layer(retry.http_layer())
        .layer(breaker.http_layer())
        .layer(timing.http_client_layer())
        .service(Client::builder(TokioExecutor::new()).build_http::<ReplayBody>());
    let order = || Request::post(format!("http://{address}/")).body(Full::new(Bytes::from("order"))).unwrap();
    for parked in 1..=5 {
        let response = client.clone().oneshot(order()).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "later");
        assert_eq!(queue.len().await.unwrap(), parked);
    }
    assert_eq!(breaker.state(), CircuitState::Open);
    assert_eq!((taken.load(Ordering::SeqCst), timing.snapshot().failed), (9, 9));
    assert_eq!(fallback.snapshot().answered[&fallback::FallbackKind::Value], 5);
}

#[tokio::test]
async fn a_tonic_client_goes_through_the_whole_stack_to_a_tonic_server_behind_a_circuit() {
    let Parts { queue, retry, breaker, timing } = parts();
    let server_breaker = CircuitBreaker::builder("server").build().unwrap();
    let server_timing = Timing::new("server");
    let (reporter, service) = tonic_health::server::health_reporter();
    reporter.set_service_status("shop", tonic_health::ServingStatus::Serving).await;
    let failures = Arc::new(AtomicUsize::new(2));
    let flaky = move |request: tonic::Request<()>| {
        let fails =
            failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        if fails { Err(tonic::Status::unavailable("not now")) } else { Ok(request) }
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(
        tonic::transport::Server::builder()
            .layer(server_timing.grpc_server_layer())
            .layer(server_breaker.grpc_layer())
            .layer(tonic::service::InterceptorLayer::new(flaky))
            .add_service(service)
            .serve_with_incoming(TcpListenerStream::new(listener)),
    );

    let channel = tonic::transport::Channel::from_shared(format!("http://{address}")).unwrap().connect_lazy();
    let stack = ServiceBuilder::new()
        .layer(queue.http_layer().classify(ByGrpcStatus))
        .layer(retry.http_layer().classify(ByGrpcStatus))
        .layer(breaker.grpc_layer())
        .layer(timing.grpc_client_layer())
        .map_request(|request: Request<ReplayBody>| request.map(tonic::body::Body::new))
        .service(channel);
    let mut client = HealthClient::new(stack);
    let check = |service: &str| HealthCheckRequest { service: service.to_owned() };

    let answer = client.check(check("shop")).await.unwrap().into_inner();
    assert_eq!(answer.status(), tonic_health::pb::health_check_response::ServingStatus::Serving);
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.calls, snapshot.failures), (3, 2), "two attempts failed, the third succeeded");
    assert_eq!(server_breaker.snapshot().failures, 2);
    assert_eq!(timing.snapshot().failed, 2);

    // The caller's own fault is not a failure of the service: not retried, not parked.
    let status = client.check(check("unknown")).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::NotFound);
    assert_eq!(breaker.snapshot().failures, 2);

    breaker.force_open();
    let status = client.check(check("shop")).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unavailable);
    assert!(status.message().contains("upstream"), "{}", status.message());
    assert_eq!(queue.len().await.unwrap(), 1, "the refused request is parked");
}
