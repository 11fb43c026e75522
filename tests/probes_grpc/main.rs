//! The probes over gRPC, with real tonic servers and the client of `tonic-health`.
//!
//! Breakers are visible in the whole process, so each test uses its own names.

mod checking;
mod draining;
mod watching;

use std::net::SocketAddr;
use std::time::Duration;

use campanile::CircuitBreaker;
use campanile::health::{Component, Health, HealthSettings};
use campanile::serve::{Shutdown, ShutdownReport};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::Streaming;
use tonic::transport::{Channel, Server};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

/// A server with the health service only.
struct HealthServer {
    address: SocketAddr,
    signal: oneshot::Sender<()>,
    ended: JoinHandle<Result<ShutdownReport, tonic::transport::Error>>,
}

impl HealthServer {
    async fn start(health: &Health, grace: Duration) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (signal, received) = oneshot::channel::<()>();
        // A dropped sender is not a signal.
        let signalled = async move {
            if received.await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let server = Server::builder().add_service(health.grpc_service());
        let shutdown = Shutdown::builder().health(health).grace(grace).signal(signalled).build().unwrap();
        let incoming = TcpListenerStream::new(listener);
        let ended = tokio::spawn(shutdown.run(|stop| server.serve_with_incoming_shutdown(incoming, stop)));
        Self { address, signal, ended }
    }

    fn client(&self) -> HealthClient<Channel> {
        let channel = Channel::from_shared(format!("http://{}", self.address)).unwrap().connect_lazy();
        HealthClient::new(channel)
    }
}

fn request(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

/// The next status of the stream; `None` at its end.
async fn next(stream: &mut Streaming<HealthCheckResponse>) -> Option<ServingStatus> {
    let wait = tokio::time::timeout(Duration::from_secs(30), stream.message());
    let message = wait.await.expect("a status, or the end of the stream").unwrap();
    message.map(|message| message.status())
}

/// Health that refreshes its snapshot often, with a critical component and its breaker.
fn critical(name: &str) -> (Health, CircuitBreaker) {
    let health = Health::standalone();
    let settings = HealthSettings { cached_for: Duration::from_millis(50), ..HealthSettings::default() };
    health.configure(settings).unwrap();
    health.register(Component::new(name).critical(true)).unwrap();
    (health, CircuitBreaker::builder(name).build().unwrap())
}
