//! A tonic server and a tonic client, each with a circuit breaker and timing.
//!
//! The server offers gRPC health checking: the readiness of the process, and the health of each component.
//!
//! `cargo run --example tonic_service --features grpc,serve`

use std::net::Ipv4Addr;
use std::time::Duration;

use campanile::health::{Component, Health};
use campanile::serve::Shutdown;
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

    let health = Health::standalone(); // with telemetry: `telemetry.health()`
    health.register(Component::new("shop").critical(true))?;
    let server_breaker = CircuitBreaker::builder("health-server").build()?;
    let server_timing = Timing::new("health-server");
    // A real service leaves out the signal, and so waits for SIGTERM. Its grace period is longer, so that load balancers notice.
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let shutdown = Shutdown::builder()
        .health(&health)
        .signal(async { stopped.await.unwrap_or_default() })
        .grace(Duration::from_millis(100))
        .build()?;
    let server = Server::builder()
        .layer(server_timing.grpc_server_layer())
        .layer(server_breaker.grpc_layer())
        .add_service(health.grpc_service());
    let incoming = TcpListenerStream::new(listener);
    let server = tokio::spawn(shutdown.run(|stop| server.serve_with_incoming_shutdown(incoming, stop)));

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
    // `NOT_FOUND` is an error of the caller, so the circuit stays closed.
    for _ in 0..5 {
        let status = client.check(check("unknown")).await.unwrap_err();
        println!("unknown: {:?}", status.code());
    }
    let mut watched = client.watch(check("shop")).await?.into_inner();
    breaker.force_open();
    let status = client.check(check("shop")).await.unwrap_err();
    println!("forced open: {:?}: {}", status.code(), status.message());
    println!(
        "{} calls reached the server, the circuit rejected {}",
        server_timing.snapshot().calls,
        breaker.snapshot().totals.rejected
    );

    // Clients that watch are told of the shutdown. The server ends after the grace period.
    drop(stop);
    while let Some(answer) = watched.message().await? {
        println!("watched: {:?}", answer.status());
    }
    println!("{}", server.await??);
    Ok(())
}
