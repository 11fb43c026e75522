//! The probes over gRPC: real tonic servers, and the client of `tonic-health` that asks and watches.
//!
//! Breakers are known to the whole process, so each test has names of its own.

mod checking;
mod draining;
mod watching;

use std::net::SocketAddr;
use std::time::Duration;

use campanile::CircuitBreaker;
use campanile::health::{Component, Health, HealthSettings};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::Streaming;
use tonic::transport::{Channel, Server};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

/// A server of nothing but health.
struct Served {
    address: SocketAddr,
    signal: oneshot::Sender<()>,
    ended: JoinHandle<Result<(), tonic::transport::Error>>,
}

impl Served {
    async fn start(health: &Health, grace: Duration) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (signal, heard) = oneshot::channel::<()>();
        // Dropped, it says nothing.
        let told = async move {
            if heard.await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let server = Server::builder()
            .add_service(health.grpc_service())
            .serve_with_incoming_shutdown(TcpListenerStream::new(listener), health.drain_after(told, grace));
        Self { address, signal, ended: tokio::spawn(server) }
    }

    fn client(&self) -> HealthClient<Channel> {
        let channel = Channel::from_shared(format!("http://{}", self.address)).unwrap().connect_lazy();
        HealthClient::new(channel)
    }
}

fn about(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

/// What the stream says next; `None` at its end.
async fn next(stream: &mut Streaming<HealthCheckResponse>) -> Option<ServingStatus> {
    let wait = tokio::time::timeout(Duration::from_secs(30), stream.message());
    let message = wait.await.expect("the stream says something, or ends").unwrap();
    message.map(|message| message.status())
}

/// Health that looks again soon, with a critical component and its breaker.
fn critical(name: &str) -> (Health, CircuitBreaker) {
    let health = Health::standalone();
    let settings = HealthSettings { cached_for: Duration::from_millis(50), ..HealthSettings::default() };
    health.configure(settings).unwrap();
    health.register(Component::new(name).critical(true)).unwrap();
    (health, CircuitBreaker::builder(name).build().unwrap())
}
