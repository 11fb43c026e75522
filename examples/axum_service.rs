//! An axum service with metrics, traces, health and a circuit breaker. The example calls it a few times.
//!
//! `cargo run --example axum_service --features axum`

use std::net::Ipv4Addr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::{Request, StatusCode};
use axum::routing::get;
use campanile::telemetry::Correlation;
use campanile::{Backoff, CircuitBreaker, Telemetry, Timing};
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tracing::instrument;

#[instrument(fields(component = "catalogue"))]
async fn item(Path(id): Path<u32>) -> Result<String, StatusCode> {
    if id >= 100 {
        tracing::error!("item {id} does not exist");
        return Err(StatusCode::INTERNAL_SERVER_ERROR);
    }
    Ok(format!("item {id}\n"))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let telemetry = Telemetry::builder("shop").prometheus().install()?;
    let health = telemetry.health();
    let timing = Timing::new("shop");
    let breaker = CircuitBreaker::builder("catalogue")
        .consecutive_failures(5)
        .open_for(Backoff::constant(Duration::from_secs(2)))
        .build()?;

    // In axum, the first layer is the innermost.
    let app = Router::new()
        .route("/items/{id}", get(item))
        .layer(breaker.http_layer())
        .layer(timing.http_server_layer())
        // A span for each request in the trace of its caller, and an id in its spans and in the response.
        .layer(telemetry.http_server_layer().component("shop").correlation(Correlation::default()))
        .route_service("/metrics", telemetry.prometheus_service())
        .fallback_service(health.http_service());

    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    // A real service waits for SIGTERM here, and uses a longer delay, so that load balancers notice.
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let signal = async { stopped.await.unwrap_or_default() };
    let shutdown = health.drain_after(signal, Duration::from_millis(100));
    let server =
        tokio::spawn(async move { axum::serve(listener, app).with_graceful_shutdown(shutdown).await });

    let client: Client<_, Body> = Client::builder(TokioExecutor::new()).build_http();
    for path in [
        "/items/1",
        "/items/100",
        "/items/101",
        "/items/102",
        "/items/103",
        "/items/104",
        "/items/2",
        "/readyz",
    ] {
        let request = Request::get(format!("http://{address}{path}")).body(Body::empty())?;
        let response = client.request(request).await?;
        println!("GET {path:<11} {}", response.status());
        response.into_body().collect().await?;
    }
    println!("\nThe circuit is {}. Some lines of /metrics:", breaker.state());
    for line in telemetry.prometheus_text().lines() {
        if line.starts_with("http_server_request_duration_seconds_count")
            || line.starts_with("campanile_breaker_calls")
        {
            println!("{line}");
        }
    }
    // The service is not ready any more, serves requests for the delay, then finishes those in progress.
    drop((stop, client));
    server.await??;
    println!("\nThe server has shut down. Ready: {}", health.is_ready());
    telemetry.shutdown(Duration::from_secs(5));
    Ok(())
}
