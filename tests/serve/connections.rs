//! What clients see of a shutdown, with real connections in this process.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::routing::get;
use campanile::Health;
use campanile::serve::{Shutdown, ShutdownReport, ShutdownStep, StepResult};
use http::header::CONNECTION;
use http::{Request, Response, Version};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

type Body = Empty<bytes::Bytes>;

const MINUTE: Duration = Duration::from_secs(60);

/// A server with a page, and a slow page that answers on `answer`.
struct Server {
    address: SocketAddr,
    health: Health,
    signal: oneshot::Sender<()>,
    arrived: Arc<Notify>,
    answer: Arc<Notify>,
    served: JoinHandle<ShutdownReport>,
}

impl Server {
    async fn start(grace: Duration, drain: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
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
        let health = Health::standalone();
        let app = Router::new()
            .route("/", get(|| async { "hello" }))
            .route("/peer", get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.to_string() }))
            .route("/slow", get(slow))
            .fallback_service(health.http_service());
        let (signal, received) = oneshot::channel::<()>();
        let shutdown = Shutdown::builder().health(&health).grace(grace).drain(drain).total(5 * MINUTE);
        let shutdown = shutdown.signal(async { received.await.unwrap() }).build().unwrap();
        let served = tokio::spawn(shutdown.serve(listener, app));
        Self { address, health, signal, arrived, answer, served }
    }
}

async fn http1(address: SocketAddr) -> http1::SendRequest<Body> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (client, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn http2(address: SocketAddr) -> http2::SendRequest<Body> {
    let stream = TcpStream::connect(address).await.unwrap();
    let io = TokioIo::new(stream);
    let (client, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    client
}

fn request(path: &str) -> Request<Body> {
    Request::get(path).header("host", "shop").body(Body::new()).unwrap()
}

fn request2(path: &str) -> Request<Body> {
    Request::get(format!("http://shop{path}")).version(Version::HTTP_2).body(Body::new()).unwrap()
}

async fn text(response: Response<Incoming>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().into()).unwrap()
}

async fn draining(health: &Health) {
    while !health.readiness().draining {
        tokio::task::yield_now().await;
    }
}

/// Waits until the listener is closed.
async fn closed(address: SocketAddr) {
    while TcpStream::connect(address).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn the_grace_period_serves_and_closes_connections_one_by_one() {
    let server = Server::start(Duration::from_secs(1), MINUTE).await;
    let mut slow = http1(server.address).await;
    let slow = tokio::spawn(async move { slow.send_request(request("/slow")).await });
    server.arrived.notified().await;
    let mut kept = http1(server.address).await;
    for _ in 0..2 {
        let response = kept.send_request(request("/")).await.unwrap();
        assert!(!response.headers().contains_key(CONNECTION), "connections are kept before the signal");
        assert_eq!(text(response).await, "hello");
    }

    server.signal.send(()).unwrap();
    draining(&server.health).await;
    let response = kept.send_request(request("/")).await.unwrap();
    assert_eq!(response.headers()[CONNECTION], "close", "an open connection ends with its next answer");
    assert_eq!(text(response).await, "hello");
    assert!(kept.ready().await.is_err());
    let mut new = http1(server.address).await;
    let response = new.send_request(request("/readyz")).await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()[CONNECTION]),
        (503, &"close".parse().unwrap())
    );
    assert!(text(response).await.contains("the process is shutting down"));

    closed(server.address).await;
    assert!(!server.served.is_finished() && !slow.is_finished(), "it waits for the request in progress");
    server.answer.notify_one();
    let response = slow.await.unwrap().unwrap();
    assert_eq!(response.headers()[CONNECTION], "close");
    assert_eq!(text(response).await, "late");
    let report = server.served.await.unwrap();
    assert!(report.is_complete(), "{report}");
}

#[tokio::test]
async fn requests_beyond_the_limit_of_the_drain_are_cut_off_and_counted() {
    let server = Server::start(Duration::ZERO, Duration::from_millis(300)).await;
    let mut first = http2(server.address).await;
    let mut second = first.clone();
    let slow = tokio::spawn(async move {
        let (one, other) =
            tokio::join!(first.send_request(request2("/slow")), second.send_request(request2("/slow")),);
        (one.is_err(), other.is_err())
    });
    for _ in 0..2 {
        server.arrived.notified().await;
    }
    server.signal.send(()).unwrap();
    let report = server.served.await.unwrap();
    let drain = report.step(ShutdownStep::Drain).unwrap();
    assert_eq!(drain.result, StepResult::TimedOut);
    assert_eq!(drain.left.as_deref(), Some("2 requests on 1 connection"));
    assert_eq!(slow.await.unwrap(), (true, true));
}

#[tokio::test]
async fn http2_connections_get_goaway_and_finish_their_streams() {
    let server = Server::start(Duration::ZERO, MINUTE).await;
    let mut client = http2(server.address).await;
    let mut slow = client.clone();
    let slow = tokio::spawn(async move { text(slow.send_request(request2("/slow")).await.unwrap()).await });
    server.arrived.notified().await;
    let response = client.send_request(request2("/")).await.unwrap();
    assert_eq!(response.version(), Version::HTTP_2);
    server.signal.send(()).unwrap();
    closed(server.address).await;
    // Until the client has seen GOAWAY, its requests are answered; from then on, they are refused before they are sent.
    while let Ok(response) = client.send_request(request2("/")).await {
        assert_eq!(text(response).await, "hello");
    }
    assert!(!slow.is_finished());
    server.answer.notify_one();
    assert_eq!(slow.await.unwrap(), "late");
    let report = server.served.await.unwrap();
    assert!(report.is_complete(), "{report}");
}

#[tokio::test]
async fn a_connection_made_before_the_stop_may_send_its_first_request() {
    let server = Server::start(Duration::ZERO, MINUTE).await;
    // One that never sends anything does not hold the drain up.
    let silent = TcpStream::connect(server.address).await.unwrap();
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    server.signal.send(()).unwrap();
    closed(server.address).await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: shop\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("connection: close\r\n"),
        "{answer}"
    );
    assert!(answer.ends_with("hello"));
    let report = server.served.await.unwrap();
    assert!(report.is_complete(), "{report}");
    drop(silent);
}

/// A listener that returns no connection until the server asks a second time, which it does once it stops.
struct Late {
    listener: TcpListener,
    asked: bool,
}

impl axum::serve::Listener for Late {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        if !std::mem::replace(&mut self.asked, true) {
            std::future::pending::<()>().await;
        }
        self.listener.accept().await.unwrap()
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

#[tokio::test]
async fn a_connection_in_the_queue_of_the_listener_is_served() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: shop\r\n\r\n").await.unwrap();
    let shutdown = Shutdown::builder().signal(std::future::ready(())).grace(Duration::from_millis(100));
    let app = Router::new().route("/", get(|| async { "hello" }));
    let served = shutdown.build().unwrap().serve(Late { listener, asked: false }, app);
    let served = tokio::spawn(served);
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("hello"), "{answer}");
    assert!(served.await.unwrap().is_complete());
}

#[tokio::test]
async fn requests_know_their_peer() {
    let server = Server::start(Duration::ZERO, MINUTE).await;
    let stream = TcpStream::connect(server.address).await.unwrap();
    let own = stream.local_addr().unwrap();
    let (mut client, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let response = client.send_request(request("/peer")).await.unwrap();
    assert_eq!(text(response).await, own.to_string());
}

#[cfg(unix)]
#[tokio::test]
async fn unix_sockets_and_services_without_axum_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let (signal, received) = oneshot::channel::<()>();
    let shutdown = Shutdown::builder().grace(Duration::ZERO).signal(async { received.await.unwrap() });
    let app = tower::service_fn(|request: Request<Incoming>| async move {
        Ok::<_, tower::BoxError>(Response::new(request.uri().path().to_owned()))
    });
    let served = tokio::spawn(shutdown.build().unwrap().serve(listener, app));
    let stream = tokio::net::UnixStream::connect(&path).await.unwrap();
    let (mut client, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    assert_eq!(text(client.send_request(request("/bells")).await.unwrap()).await, "/bells");
    signal.send(()).unwrap();
    assert!(served.await.unwrap().is_complete());
}
