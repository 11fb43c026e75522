//! An axum service with metrics, traces, health and a circuit breaker, which shuts down in order. The example calls it a few
//! times.
//!
//! `cargo run --example axum_service --features serve`

use std::net::Ipv4Addr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::{Request, StatusCode};
use axum::routing::get;
use campanile::serve::{MetricsServer, Shutdown};
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
        .layer(telemetry.http_server_layer().component("shop").correlation(Correlation::default()));

    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    // A real service has a fixed port for them: 127.0.0.1:9464 is the default.
    let metrics = MetricsServer::builder(&telemetry).listen((Ipv4Addr::LOCALHOST, 0)).build()?;
    let probes = metrics.address();
    // A real service leaves out the signal, and so waits for SIGTERM. Its grace period is longer, so that load balancers notice.
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let shutdown = Shutdown::builder()
        .telemetry(&telemetry)
        .metrics_server(metrics)
        .signal(async { stopped.await.unwrap_or_default() })
        .grace(Duration::from_millis(100))
        .build()?;
    let server = tokio::spawn(shutdown.serve(listener, app));

    let client: Client<_, Body> = Client::builder(TokioExecutor::new()).build_http();
    for (address, path) in [
        (address, "/items/1"),
        (address, "/items/100"),
        (address, "/items/101"),
        (address, "/items/102"),
        (address, "/items/103"),
        (address, "/items/104"),
        (address, "/items/2"),
        (probes, "/readyz"),
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
    // The service is not ready any more, serves requests for the grace period, then finishes those in progress.
    drop((stop, client));
    println!("\n{}\nReady: {}", server.await?, health.is_ready());
    Ok(())
}
