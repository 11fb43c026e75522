//! Both sides of HTTP, with real servers and clients on loopback.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use bytes::Bytes;
use campanile::dead_letter::{BodyState, HttpRequest, Letter, LetterFilter, Payload, Redrive};
use campanile::retry::ReplayBody;
use campanile::{Backoff, DeadLetterQueue, FailureKind, Retry};
use http::{HeaderMap, Request, Response, StatusCode, Version};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tower::{Layer, ServiceBuilder, ServiceExt};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;

const VERSIONS: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];

/// Serves HTTP/1.1 and HTTP/2, with upgrades.
async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(app.clone());
            tokio::spawn(async move {
                let server = auto::Builder::new(TokioExecutor::new());
                let _ = server.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
            });
        }
    });
    address
}

fn client<B>(version: Version) -> Client<HttpConnector, B>
where
    B: http_body::Body<Data = Bytes> + Send + 'static + Unpin,
    B::Error: Into<tower::BoxError>,
{
    Client::builder(TokioExecutor::new()).http2_only(version == Version::HTTP_2).build_http()
}

fn request(address: SocketAddr, path: &str, body: &'static str) -> Request<Full<Bytes>> {
    Request::post(format!("http://{address}{path}"))
        .header("x-tenant", "a")
        .header("x-request-id", "order-17")
        .body(Full::new(body.into()))
        .unwrap()
}

async fn bounded<F: Future>(test: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(30), test).await.expect("it came to an end")
}

/// Waits until the condition holds.
async fn until(mut so: impl FnMut() -> bool) {
    while !so() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn letters(queue: &DeadLetterQueue) -> Vec<Letter> {
    queue.list(LetterFilter::all()).await.unwrap()
}

fn kept(letter: &Letter) -> &HttpRequest {
    match &letter.payload {
        Payload::Http(request) => request,
        other => panic!("{other:?}"),
    }
}

async fn read(body: Body) -> String {
    String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn p20_incoming_requests_are_parked_for_every_kind_of_failure() {
    for version in VERSIONS {
        let queue = DeadLetterQueue::in_memory(10);
        let app = Router::new()
            .route("/fail", post(|body: String| async move { (StatusCode::SERVICE_UNAVAILABLE, body) }))
            .route("/unread", post(|| async { StatusCode::INTERNAL_SERVER_ERROR }))
            .route("/panic", post(|body: String| async move { assert!(body.is_empty(), "on purpose") }))
            .route("/slow", post(std::future::pending::<()>))
            .route("/fine", post(|| async {}))
            .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, Duration::from_millis(50)))
            .layer(queue.http_layer())
            .layer(CatchPanicLayer::new());
        bounded(async {
            let address = serve(app).await;
            let client = client(version);
            for (path, status) in [
                ("/fail", 503),
                ("/unread", 500),
                ("/panic", 500),
                ("/slow", 504),
                ("/fine", 200),
                ("/none", 404),
            ] {
                let response = client.request(request(address, path, "order 7")).await.unwrap();
                assert_eq!((response.status().as_u16(), response.version()), (status, version), "{path}");
            }
        })
        .await;
        let letters = letters(&queue).await;
        let seen: Vec<_> = letters
            .iter()
            .map(|letter| {
                (kept(letter).uri.rsplit('/').next().unwrap(), letter.kind, letter.error_type.as_str())
            })
            .collect();
        assert_eq!(
            seen,
            [
                ("fail", FailureKind::Error, "503"),
                ("unread", FailureKind::Error, "500"),
                ("panic", FailureKind::Panic, "panic"),
                ("slow", FailureKind::Timeout, "504"),
            ]
        );
        for letter in &letters {
            let request = kept(letter);
            assert_eq!((request.body.as_slice(), request.body_state), (&b"order 7"[..], BodyState::Complete));
            assert_eq!(request.version, format!("{version:?}"));
            assert_eq!(letter.correlation_id.as_deref(), Some("order-17"));
            assert_eq!(letter.attempts.len(), 1);
        }
        assert!(letters[3].attempts[0].took.unwrap() >= Duration::from_millis(50));

        // A repaired router of the same kind completes them.
        let seen = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&seen);
        let repaired = Router::new()
            .route("/{*path}", post(async move |body: String| notes.lock().unwrap().push(body)))
            .layer(queue.http_layer());
        assert_eq!(queue.redrive_http(repaired, Redrive::all()).await.unwrap().redriven, 4);
        assert_eq!(*seen.lock().unwrap(), ["order 7"; 4]);
    }
}

#[tokio::test]
async fn p20_a_route_layer_parks_the_failures_of_its_route() {
    let queue = DeadLetterQueue::in_memory(10);
    let app = Router::new()
        .route("/guarded", post(|| async { StatusCode::BAD_GATEWAY }))
        .route_layer(queue.http_layer())
        .route("/other", post(|| async { StatusCode::BAD_GATEWAY }));
    for path in ["/guarded", "/other", "/none"] {
        let request = Request::post(path).body(Body::from("x")).unwrap();
        app.clone().oneshot(request).await.unwrap();
    }
    let letters = letters(&queue).await;
    assert_eq!((letters.len(), kept(&letters[0]).uri.as_str()), (1, "/guarded"));
}

#[tokio::test]
async fn p23_outgoing_requests_are_parked_and_sent_again_through_the_stack() {
    for version in VERSIONS {
        let queue = DeadLetterQueue::in_memory(10);
        let codes = Arc::new(Mutex::new(vec![200, 503, 503, 503]));
        let app = Router::new().route(
            "/orders",
            post(async move |headers: HeaderMap, body: String| {
                let code = codes.lock().unwrap().pop().unwrap();
                let key = headers.get("idempotency-key").map(|key| key.to_str().unwrap().to_owned());
                (StatusCode::from_u16(code).unwrap(), format!("{body} {key:?}"))
            }),
        );
        bounded(async {
            let address = serve(app).await;
            let pause = Backoff::exponential(Duration::from_millis(1), Duration::from_millis(1));
            let retry =
                Retry::builder().max_attempts(3).backoff(pause).retry_non_idempotent(true).build().unwrap();
            let stack = ServiceBuilder::new()
                .layer(queue.http_layer())
                .layer(retry.http_layer())
                .service(client::<ReplayBody>(version));
            let response = stack.clone().oneshot(request(address, "/orders", "order 7")).await.unwrap();
            assert_eq!(response.status(), 503);
            let letter = letters(&queue).await.remove(0);
            assert_eq!((letter.tries, letter.attempts.len(), letter.error_type.as_str()), (3, 3, "503"));
            assert!(letter.attempts.iter().all(|attempt| attempt.error_type == "503"));
            assert!(letter.attempts.iter().all(|attempt| attempt.took.unwrap() > Duration::ZERO));
            assert_eq!(queue.redrive_http(stack, Redrive::all()).await.unwrap().redriven, 1);
        })
        .await;
    }
}

#[tokio::test]
async fn p20_a_refused_connection_is_parked_with_its_error() {
    let queue = DeadLetterQueue::in_memory(10);
    // The listener is closed.
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let stack = queue.http_layer().layer(client::<ReplayBody>(Version::HTTP_11));
    stack.oneshot(request(address, "/orders", "order 7")).await.unwrap_err();
    let letter = letters(&queue).await.remove(0);
    assert_eq!(letter.error_type, "hyper_util::client::legacy::Error");
    assert!(letter.causes.iter().any(|cause| cause.contains("refused")), "{:?}", letter.causes);
    assert_eq!(kept(&letter).body, b"order 7");
}

/// A handler that never answers, and signals when it is called.
fn hanging(queue: &DeadLetterQueue) -> (Router, mpsc::UnboundedReceiver<()>) {
    let (called, calls) = mpsc::unbounded_channel();
    let app = Router::new()
        .route(
            "/hang",
            post(async move |_: Request<Body>| {
                called.send(()).unwrap();
                std::future::pending::<()>().await;
            }),
        )
        .layer(queue.http_layer());
    (app, calls)
}

#[tokio::test]
async fn p20_cancelled_requests_are_parked_if_that_is_set() {
    for version in VERSIONS {
        for parks in [false, true] {
            let queue = DeadLetterQueue::builder("orders").park_cancelled(parks).build().unwrap();
            let (app, mut calls) = hanging(&queue);
            bounded(async {
                let address = serve(app).await;
                let client = client(version);
                let call = tokio::spawn(client.request(request(address, "/hang", "order 7")));
                calls.recv().await.unwrap();
                call.abort();
                assert!(call.await.unwrap_err().is_cancelled());
                drop(client);
                if parks {
                    until(|| queue.snapshot().parked == 1).await;
                }
            })
            .await;
            let letters = letters(&queue).await;
            assert_eq!(letters.len(), usize::from(parks));
            for letter in letters {
                assert_eq!((letter.kind, letter.error_type.as_str()), (FailureKind::Cancelled, "cancelled"));
                assert_eq!(kept(&letter).method, "POST");
            }
        }
    }
}

#[tokio::test]
async fn a_caller_that_leaves_after_the_response_leaves_no_letter() {
    let queue = DeadLetterQueue::builder("orders").park_cancelled(true).build().unwrap();
    let app = Router::new().route("/", post(|| async { "done" })).layer(queue.http_layer());
    let request = Request::post("/").body(Body::from("x")).unwrap();
    drop(app.oneshot(request).await.unwrap());
    assert_eq!(queue.snapshot().failures, 0);
}

#[tokio::test]
async fn an_upload_that_breaks_off_is_parked_in_part() {
    let queue = DeadLetterQueue::in_memory(10);
    let app = Router::new()
        .route("/upload", post(|| async { StatusCode::SERVICE_UNAVAILABLE }))
        .layer(queue.http_layer());
    bounded(async {
        let mut stream = TcpStream::connect(serve(app).await).await.unwrap();
        stream
            .write_all(b"POST /upload HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n0123456789")
            .await
            .unwrap();
        stream.shutdown().await.unwrap();
        until(|| queue.snapshot().parked == 1).await;
    })
    .await;
    let letter = letters(&queue).await.remove(0);
    assert_eq!(
        (kept(&letter).body_state, kept(&letter).body.as_slice()),
        (BodyState::Partial, &b"0123456789"[..])
    );
    assert!(letter.unsendable.is_some());
}

#[tokio::test]
async fn p21_an_upload_that_hangs_delays_the_response_for_at_most_the_park_timeout() {
    let limit = Duration::from_millis(100);
    let queue = DeadLetterQueue::builder("orders").park_timeout(limit).build().unwrap();
    let app = Router::new()
        .route("/upload", post(|| async { StatusCode::SERVICE_UNAVAILABLE }))
        .layer(queue.http_layer());
    bounded(async {
        let mut stream = TcpStream::connect(serve(app).await).await.unwrap();
        stream
            .write_all(b"POST /upload HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n0123456789")
            .await
            .unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, b"HTTP/1.1 503");
    })
    .await;
    assert_eq!(kept(&letters(&queue).await[0]).body_state, BodyState::Partial);
}

#[tokio::test]
async fn a_stream_of_events_passes_unchanged() {
    let queue = DeadLetterQueue::builder("orders").park_cancelled(true).build().unwrap();
    let (events, stream) = mpsc::unbounded_channel::<Result<Frame<Bytes>, std::io::Error>>();
    let stream = Arc::new(Mutex::new(Some(stream)));
    let app = Router::new()
        .route(
            "/events",
            get(async move || {
                let stream = stream.lock().unwrap().take().unwrap();
                let stream = tokio_stream::wrappers::UnboundedReceiverStream::new(stream);
                Response::new(Body::new(StreamBody::new(stream)))
            }),
        )
        .layer(queue.http_layer());
    bounded(async {
        let request =
            Request::get(format!("http://{}/events", serve(app).await)).body(Full::<Bytes>::default());
        let mut body = client(Version::HTTP_11).request(request.unwrap()).await.unwrap().into_body();
        for number in 0..3 {
            events.send(Ok(Frame::data(Bytes::from(format!("data: {number}\n\n"))))).unwrap();
            let frame = body.frame().await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), format!("data: {number}\n\n"));
        }
        events.send(Err(std::io::Error::other("torn"))).unwrap();
        assert!(body.frame().await.unwrap().is_err());
    })
    .await;
    assert_eq!(queue.snapshot().failures, 0, "the caller has its answer");
}

#[tokio::test]
async fn an_upgrade_passes() {
    let queue = DeadLetterQueue::builder("orders").park_cancelled(true).build().unwrap();
    let echo = async |mut request: Request<Body>| {
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut connection = TokioIo::new(upgrade.await.unwrap());
            let mut said = [0; 4];
            connection.read_exact(&mut said).await.unwrap();
            connection.write_all(&said).await.unwrap();
        });
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        response.headers_mut().insert("connection", "upgrade".parse().unwrap());
        response.headers_mut().insert("upgrade", "echo".parse().unwrap());
        response
    };
    let app = Router::new().route("/", get(echo)).layer(queue.http_layer());
    bounded(async {
        let mut stream = TcpStream::connect(serve(app).await).await.unwrap();
        stream
            .write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n")
            .await
            .unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
        stream.write_all(b"ping").await.unwrap();
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"ping");
    })
    .await;
    assert_eq!(queue.snapshot().failures, 0);
}

#[tokio::test]
async fn p23_the_first_call_its_retries_and_redrives_carry_one_key() {
    let queue = DeadLetterQueue::builder("orders").idempotency_keys(true).build().unwrap();
    let keys = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&keys);
    let inner = tower::service_fn(move |request: Request<ReplayBody>| {
        let mut keys = notes.lock().unwrap();
        keys.push(request.headers().get("idempotency-key").map(|key| key.to_str().unwrap().to_owned()));
        let mut response = Response::new(http_body_util::Empty::<Bytes>::new());
        *response.status_mut() = StatusCode::from_u16(if keys.len() < 6 { 503 } else { 200 }).unwrap();
        async move { Ok::<_, Infallible>(response) }
    });
    let pause = Backoff::exponential(Duration::from_millis(1), Duration::from_millis(1));
    let retry = Retry::builder().max_attempts(2).backoff(pause).build().unwrap();
    let stack = ServiceBuilder::new().layer(queue.http_layer()).layer(retry.http_layer()).service(inner);
    let send = |method: &str, key: Option<&str>| {
        let mut request = Request::builder().method(method).uri("http://a/b");
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        stack.clone().oneshot(request.body(Full::<Bytes>::default()).unwrap())
    };
    send("PATCH", None).await.unwrap();
    let id = letters(&queue).await[0].id.to_string();
    for _ in 0..2 {
        queue.redrive_http(stack.clone(), Redrive::all()).await.unwrap();
    }
    assert!(queue.is_empty().await.unwrap());
    assert_eq!(*keys.lock().unwrap(), vec![Some(id); 6]);
    send("POST", Some("mine")).await.unwrap();
    send("GET", None).await.unwrap();
    assert_eq!(keys.lock().unwrap()[6..], [Some("mine".to_owned()), None]);
}

#[tokio::test]
async fn a_letter_of_a_server_names_the_letter_of_its_client() {
    let (outside, inside) = (DeadLetterQueue::in_memory(10), DeadLetterQueue::in_memory(10));
    let app = Router::new()
        .route("/orders", post(|body: Body| async { (StatusCode::SERVICE_UNAVAILABLE, read(body).await) }))
        .layer(inside.http_layer());
    bounded(async {
        let address = serve(app).await;
        let stack = outside.http_layer().layer(client::<ReplayBody>(Version::HTTP_11));
        stack.clone().oneshot(request(address, "/orders", "order 7")).await.unwrap();
        assert_eq!(outside.redrive_http(stack, Redrive::all()).await.unwrap().failed, 1);
    })
    .await;
    let origin = letters(&outside).await.remove(0);
    let seen: Vec<_> = letters(&inside).await.iter().map(|letter| letter.origin).collect();
    assert_eq!(seen, [None, Some(origin.id)]);
}
