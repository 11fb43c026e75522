//! axum's `Router::layer`.

use std::io;
use std::sync::mpsc;

use axum::Router;
use axum::body::Body;
use axum::extract::MatchedPath;
use axum::routing::get;
use bytes::Bytes;
use campanile::{CircuitState, FailureKind, Rejected, Timing};
use http::{Request, Response, StatusCode, header};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower::{ServiceBuilder, ServiceExt};

use crate::support::{breaker, of_kind};

async fn send(app: &Router, path: &str) -> Response<Body> {
    app.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap()
}

async fn broken() -> StatusCode {
    StatusCode::INTERNAL_SERVER_ERROR
}

#[tokio::test(start_paused = true)]
async fn the_routes_of_a_router_share_the_circuit_and_a_refusal_is_a_503() {
    let breaker = breaker();
    let app = Router::new()
        .route("/broken", get(broken))
        .route("/fine", get(|| async { "fine" }))
        .layer(breaker.http_layer());
    for _ in 0..4 {
        send(&app, "/broken").await;
    }
    let response = send(&app, "/fine").await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()[header::RETRY_AFTER], "5");
    assert!(response.extensions().get::<Rejected>().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_route_can_have_its_own_circuit() {
    let breaker = breaker();
    let app = Router::new()
        .route("/broken", get(broken).layer(breaker.http_layer()))
        .route("/fine", get(|| async { "fine" }));
    for _ in 0..4 {
        send(&app, "/broken").await;
    }
    assert_eq!(send(&app, "/broken").await.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(send(&app, "/fine").await.status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn the_last_layer_of_a_router_is_the_outermost_and_the_first_of_a_builder() {
    for by_builder in [false, true] {
        let (breaker, timing) = (breaker(), Timing::new("test"));
        let app = Router::new().route("/", get(|| async { "fine" }));
        let app = if by_builder {
            app.layer(ServiceBuilder::new().layer(timing.http_server_layer()).layer(breaker.http_layer()))
        } else {
            app.layer(breaker.http_layer()).layer(timing.http_server_layer())
        };
        breaker.force_open();
        assert_eq!(send(&app, "/").await.status(), StatusCode::SERVICE_UNAVAILABLE);
        // Timing is outside: it sees the response that the caller gets.
        let snapshot = timing.snapshot();
        assert_eq!((snapshot.calls, of_kind(snapshot.failures, FailureKind::Error)), (1, 1));
        assert_eq!(breaker.snapshot().totals.rejected, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn layer_covers_the_fallback_and_route_layer_does_not() {
    let (all, matched) = (breaker(), breaker());
    let app = Router::new()
        .route("/", get(|| async { "fine" }))
        .route_layer(matched.http_layer())
        .layer(all.http_layer());
    assert_eq!(send(&app, "/nowhere").await.status(), StatusCode::NOT_FOUND);
    assert_eq!((all.snapshot().totals.successes, matched.snapshot().totals.successes), (1, 0));
    all.force_open();
    assert_eq!(send(&app, "/nowhere").await.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!((all.state(), matched.state()), (CircuitState::ForcedOpen, CircuitState::Closed));
}

#[tokio::test(start_paused = true)]
async fn the_matched_route_is_known_in_every_layer_of_a_router() {
    let (timing, (sender, routes)) = (Timing::new("test"), mpsc::channel());
    let app = Router::new().route("/items/{id}", get(|| async { "fine" })).layer(
        timing.http_server_layer().route(move |request| {
            let route = request.extensions.get::<MatchedPath>().map(|path| path.as_str().to_owned());
            sender.send(route.clone()).unwrap();
            route
        }),
    );
    send(&app, "/items/7").await;
    assert_eq!(routes.try_recv().unwrap().as_deref(), Some("/items/{id}"));
}

/// A body without `is_end_stream`, such as one that is read from a file.
fn file() -> Body {
    let part = || Ok::<_, io::Error>(Bytes::from_static(b"part"));
    Body::from_stream(tokio_stream::iter([part(), part()]))
}

#[tokio::test]
async fn p07_a_body_that_a_server_sends_completely_is_a_success_without_a_poll_of_its_end() {
    let sized = || async { ([(header::CONTENT_LENGTH, "8")], file()) };
    for (method, path, ends) in [
        ("GET", "/open", "0\r\n\r\n"),
        ("HEAD", "/open", "\r\n\r\n"),
        ("GET", "/sized", "\r\n\r\npartpart"),
        ("HEAD", "/sized", "\r\n\r\n"),
        ("GET", "/none", "\r\n\r\n"),
        ("GET", "/same", "\r\n\r\n"),
    ] {
        let (breaker, timing) = (breaker(), Timing::new("test"));
        let app = Router::new()
            .route("/open", get(|| async { file() }))
            .route("/sized", get(sized))
            .route("/none", get(|| async { (StatusCode::NO_CONTENT, file()) }))
            .route("/same", get(|| async { (StatusCode::NOT_MODIFIED, file()) }))
            .layer(breaker.http_layer())
            .layer(timing.http_server_layer());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let server = tokio::spawn(axum::serve(listener, app).into_future());
        let request = format!("{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        server.abort();
        assert!(answer.ends_with(ends), "{answer}");
        let (totals, timed) = (breaker.snapshot().totals, timing.snapshot());
        assert_eq!((totals.successes, totals.ignored), (1, 0), "{method} {path}");
        assert_eq!((timed.calls, timed.ignored, timed.failed), (1, 0, 0), "{method} {path}");
    }
}
