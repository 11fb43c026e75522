//! A tonic server and a tonic client, each behind a circuit and timed.
//!
//! The service is health itself: it says whether the process is ready, and whether each component serves.
//!
//! `cargo run --example tonic_service --features grpc`

use std::net::Ipv4Addr;
use std::time::Duration;

use campanile::health::{Component, Health};
use campanile::{Backoff, CircuitBreaker, Timing};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Channel, Server};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower::ServiceBuilder;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;

    let health = Health::standalone(); // or that of the pipeline: `telemetry.health()`
    health.register(Component::new("shop").critical(true))?;
    let server_breaker = CircuitBreaker::builder("health-server").build()?;
    let server_timing = Timing::new("health-server");
    // A service waits for SIGTERM here, and gives its balancers more time to notice.
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let signal = async { stopped.await.unwrap_or_default() };
    let server = Server::builder()
        .layer(server_timing.grpc_server_layer())
        .layer(server_breaker.grpc_layer())
        .add_service(health.grpc_service())
        .serve_with_incoming_shutdown(
            TcpListenerStream::new(listener),
            health.drain_after(signal, Duration::from_millis(100)),
        );
    let server = tokio::spawn(server);

    let breaker = CircuitBreaker::builder("health-client")
        .consecutive_failures(3)
        .open_for(Backoff::constant(Duration::from_secs(30)))
        .build()?;
    let timing = Timing::new("health-client");
    let channel = Channel::from_shared(format!("http://{address}"))?.connect_lazy();
    let stack =
        ServiceBuilder::new().layer(breaker.grpc_layer()).layer(timing.grpc_client_layer()).service(channel);
    let mut client = HealthClient::new(stack);

    let check = |service: &str| HealthCheckRequest { service: service.to_owned() };
    let answer = client.check(check("shop")).await?;
    println!("shop: {:?}", answer.into_inner().status());
    // The caller's own fault: the circuit does not mind.
    for _ in 0..5 {
        let status = client.check(check("unknown")).await.unwrap_err();
        println!("unknown: {:?}", status.code());
    }
    let mut watched = client.watch(check("shop")).await?.into_inner();
    breaker.force_open();
    let status = client.check(check("shop")).await.unwrap_err();
    println!("forced open: {:?}: {}", status.code(), status.message());
    println!(
        "{} calls reached the server, the circuit refused {}",
        server_timing.snapshot().calls,
        breaker.snapshot().totals.rejected
    );

    // Who watches hears of the shutdown; the server ends with the grace period.
    drop(stop);
    while let Some(answer) = watched.message().await? {
        println!("watched: {:?}", answer.status());
    }
    server.await??;
    Ok(())
}
