//! A hyper client with dead letters, retries, a circuit breaker and timing. Requests that fail for good are parked, and sent
//! again when the service has recovered.
//!
//! `cargo run --example http_client --features http,sqlite`

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::{Request, StatusCode};
use axum::routing::post;
use bytes::Bytes;
use campanile::retry::ReplayBody;
use campanile::{Backoff, CircuitBreaker, DeadLetterQueue, Redrive, Retry, RetryBudget, Timing};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tower::{BoxError, ServiceBuilder, ServiceExt};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let broken = Arc::new(AtomicBool::new(true));
    let address = start_upstream(Arc::clone(&broken)).await?;

    let folder = tempfile::tempdir()?;
    let queue = DeadLetterQueue::sqlite(folder.path().join("letters.db")).await?;
    let breaker = CircuitBreaker::builder("upstream").build()?;
    let timing = Timing::new("upstream");
    let retry = Retry::builder()
        .max_attempts(3)
        .backoff(Backoff::exponential(Duration::from_millis(10), Duration::from_millis(100)))
        .budget(RetryBudget::ratio(0.2).min_per_second(10))
        .deadline(Duration::from_secs(2))
        .build()?;

    // In a `ServiceBuilder`, the first layer is the outermost. A request is parked after its last attempt.
    let protected = ServiceBuilder::new()
        .layer(retry.http_layer())
        .layer(breaker.http_layer())
        .layer(timing.http_client_layer())
        .service(Client::builder(TokioExecutor::new()).build_http::<ReplayBody>());
    let client = ServiceBuilder::new().layer(queue.http_layer()).service(protected.clone());

    for order in 1..=3 {
        let request = Request::post(format!("http://{address}/orders"))
            .header("idempotency-key", format!("order-{order}"))
            .body(Full::new(Bytes::from(format!("order {order}"))))?;
        let response = client.clone().oneshot(request).await?;
        println!("order {order}: {}, {} attempts so far", response.status(), timing.snapshot().calls);
    }
    println!("{} dead letters in the queue", queue.len().await?);

    broken.store(false, Ordering::Relaxed);
    let report = queue.redrive_http(protected, Redrive::all().rate(50)).await?;
    println!("{} redriven, {} dead letters in the queue", report.redriven, queue.len().await?);
    Ok(())
}

/// A service that answers 503 while `broken` is set.
async fn start_upstream(broken: Arc<AtomicBool>) -> std::io::Result<std::net::SocketAddr> {
    let app = Router::new().route(
        "/orders",
        post(move || {
            let status = if broken.load(Ordering::Relaxed) {
                StatusCode::SERVICE_UNAVAILABLE
            } else {
                StatusCode::CREATED
            };
            async move { status }
        }),
    );
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(address)
}
