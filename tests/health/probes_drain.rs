//! The way out, with real axum servers.

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

/// A server with the probes, a page, and one that answers when it is told to.
struct Server {
    address: SocketAddr,
    signal: oneshot::Sender<()>,
    asked: Arc<Notify>,
    answer: Arc<Notify>,
    served: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Server {
    async fn start(health: &Health, grace: Duration) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, answer) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let told = (Arc::clone(&asked), Arc::clone(&answer));
        let slow = move || {
            let (asked, answer) = told.clone();
            async move {
                asked.notify_one();
                answer.notified().await;
                "late"
            }
        };
        let app = Router::new()
            .route("/", get(|| async { "hello" }))
            .route("/slow", get(slow))
            .fallback_service(health.http_service());
        let (signal, heard) = oneshot::channel::<()>();
        let shutdown = health.drain_after(async { heard.await.unwrap() }, grace);
        let served =
            tokio::spawn(async move { axum::serve(listener, app).with_graceful_shutdown(shutdown).await });
        Self { address, signal, asked, answer, served }
    }

    /// The answer of one request on a connection of its own; an error when nobody listens.
    async fn ask(&self, path: &str) -> Result<(u16, Bytes), String> {
        ask(self.address, path).await
    }
}

async fn ask(address: SocketAddr, path: &str) -> Result<(u16, Bytes), String> {
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
    assert_eq!(server.ask("/readyz").await.unwrap().0, 200);
    let under_way = tokio::spawn(ask(server.address, "/slow"));
    server.asked.notified().await;

    let told = Instant::now();
    let Server { address, signal, answer, mut served, .. } = server;
    signal.send(()).unwrap();
    while !health.readiness().draining {
        tokio::task::yield_now().await;
    }
    assert!(!health.is_ready() && !health.readiness().ready);
    let (code, body) = ask(address, "/readyz").await.unwrap();
    assert_eq!(code, 503);
    assert!(String::from_utf8_lossy(&body).contains("the process is shutting down"));
    assert_eq!(ask(address, "/").await.unwrap().0, 200, "during the grace period new ones are served");
    assert_eq!(ask(address, "/livez").await.unwrap().0, 200);

    // After it nobody listens, and what is under way goes on.
    while ask(address, "/").await.is_ok() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(told.elapsed() >= grace);
    assert!(!served.is_finished() && !under_way.is_finished());
    answer.notify_one();
    assert_eq!(under_way.await.unwrap().unwrap(), (200, Bytes::from_static(b"late")));
    (&mut served).await.unwrap().unwrap();
}

#[tokio::test]
async fn without_a_grace_period_the_server_ends_with_the_signal() {
    let health = Health::standalone();
    let server = Server::start(&health, Duration::ZERO).await;
    assert_eq!(server.ask("/").await.unwrap().0, 200);
    server.signal.send(()).unwrap();
    server.served.await.unwrap().unwrap();
    assert!(health.readiness().draining);
    assert!(ask(server.address, "/").await.is_err());
}

#[tokio::test(start_paused = true)]
async fn the_grace_is_waited_for_from_the_signal_on() {
    let health = Health::standalone();
    let (signal, heard) = oneshot::channel::<()>();
    let shutdown = tokio::spawn(health.drain_after(async { heard.await.unwrap() }, Duration::from_secs(20)));
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert!(!shutdown.is_finished() && !health.readiness().draining);
    let told = Instant::now();
    signal.send(()).unwrap();
    shutdown.await.unwrap();
    assert_eq!((told.elapsed(), health.readiness().draining), (Duration::from_secs(20), true));
}
