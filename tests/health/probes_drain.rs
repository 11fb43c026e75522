//! Draining, with real axum servers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use campanile::health::Health;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

/// A server with the probes, a page, and a slow page that answers on `answer`.
struct Server {
    address: SocketAddr,
    signal: oneshot::Sender<()>,
    arrived: Arc<Notify>,
    answer: Arc<Notify>,
    served: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Server {
    async fn start(health: &Health, grace: Duration) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (arrived, answer) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let notifies = (Arc::clone(&arrived), Arc::clone(&answer));
        let slow = move || {
            let (arrived, answer) = notifies.clone();
            async move {
                arrived.notify_one();
                answer.notified().await;
                "late"
            }
        };
        let app = Router::new()
            .route("/", get(|| async { "hello" }))
            .route("/slow", get(slow))
            .fallback_service(health.http_service());
        let (signal, received) = oneshot::channel::<()>();
        let shutdown = health.drain_after(async { received.await.unwrap() }, grace);
        let served =
            tokio::spawn(async move { axum::serve(listener, app).with_graceful_shutdown(shutdown).await });
        Self { address, signal, arrived, answer, served }
    }

    /// The answer to one request on a new connection; an error if the server does not listen.
    async fn get(&self, path: &str) -> Result<(u16, Bytes), String> {
        get_from(self.address, path).await
    }
}

async fn get_from(address: SocketAddr, path: &str) -> Result<(u16, Bytes), String> {
    let client: Client<HttpConnector, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let uri = format!("http://{address}{path}").parse().unwrap();
    let response = client.get(uri).await.map_err(|error| error.to_string())?;
    let code = response.status().as_u16();
    Ok((code, response.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes()))
}

#[tokio::test]
async fn a_drain_serves_for_the_grace_period_and_ends_with_the_last_request() {
    let health = Health::standalone();
    let grace = Duration::from_secs(1);
    let server = Server::start(&health, grace).await;
    assert_eq!(server.get("/readyz").await.unwrap().0, 200);
    let slow = tokio::spawn(get_from(server.address, "/slow"));
    server.arrived.notified().await;

    let signalled = Instant::now();
    let Server { address, signal, answer, mut served, .. } = server;
    signal.send(()).unwrap();
    while !health.readiness().draining {
        tokio::task::yield_now().await;
    }
    assert!(!health.is_ready() && !health.readiness().ready);
    let (code, body) = get_from(address, "/readyz").await.unwrap();
    assert_eq!(code, 503);
    assert!(String::from_utf8_lossy(&body).contains("the process is shutting down"));
    assert_eq!(
        get_from(address, "/").await.unwrap().0,
        200,
        "new requests are served during the grace period"
    );
    assert_eq!(get_from(address, "/livez").await.unwrap().0, 200);

    // After the grace period the server does not listen, but finishes the slow request.
    while get_from(address, "/").await.is_ok() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(signalled.elapsed() >= grace);
    assert!(!served.is_finished() && !slow.is_finished());
    answer.notify_one();
    assert_eq!(slow.await.unwrap().unwrap(), (200, Bytes::from_static(b"late")));
    (&mut served).await.unwrap().unwrap();
}

#[tokio::test]
async fn without_a_grace_period_the_server_ends_with_the_signal() {
    let health = Health::standalone();
    let server = Server::start(&health, Duration::ZERO).await;
    assert_eq!(server.get("/").await.unwrap().0, 200);
    server.signal.send(()).unwrap();
    server.served.await.unwrap().unwrap();
    assert!(health.readiness().draining);
    assert!(get_from(server.address, "/").await.is_err());
}

#[tokio::test(start_paused = true)]
async fn the_grace_period_begins_with_the_signal() {
    let health = Health::standalone();
    let (signal, received) = oneshot::channel::<()>();
    let shutdown =
        tokio::spawn(health.drain_after(async { received.await.unwrap() }, Duration::from_secs(20)));
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert!(!shutdown.is_finished() && !health.readiness().draining);
    let signalled = Instant::now();
    signal.send(()).unwrap();
    shutdown.await.unwrap();
    assert_eq!((signalled.elapsed(), health.readiness().draining), (Duration::from_secs(20), true));
}
