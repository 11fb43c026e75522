//! A real server that goes away, behind a real client.

use std::net::Ipv4Addr;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use campanile::fallback::{self, FallbackKind};
use campanile::{CircuitBreaker, Fallback};
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use tower::{ServiceBuilder, ServiceExt};

#[tokio::test]
async fn the_last_good_response_survives_the_server() {
    let app = Router::new().route("/price", get(|| async { "42".repeat(10_000) }));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move { axum::serve(listener, app).await });

    let prices = Fallback::new("prices");
    let breaker = CircuitBreaker::builder("prices").build().unwrap();
    let client = ServiceBuilder::new()
        .layer(prices.http_layer(fallback::last_good(|request: &Request<_>| request.uri().clone())))
        .layer(breaker.http_layer())
        .service(
            Client::builder(TokioExecutor::new())
                .pool_idle_timeout(Duration::ZERO)
                .build_http::<Full<Bytes>>(),
        );
    let request = || Request::get(format!("http://{address}/price")).body(Full::default()).unwrap();
    let good = client.clone().oneshot(request()).await.unwrap();
    let body = good.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body.len(), 20_000);

    server.abort();
    let _ = server.await;
    breaker.force_open();
    let stale = client.oneshot(request()).await.unwrap();
    assert_eq!(stale.extensions().get(), Some(&FallbackKind::LastGood));
    assert_eq!(stale.headers()["content-length"], "20000");
    assert_eq!(stale.into_body().collect().await.unwrap().to_bytes(), body);
    assert_eq!(breaker.snapshot().totals.rejected, 1, "it is a failure for the breaker");
}

#[tokio::test]
async fn a_router_answers_with_the_fallback() {
    let handler = || async { (http::StatusCode::BAD_GATEWAY, "broken") };
    let prices = Fallback::new("prices");
    let stored = http::Response::new(Bytes::from_static(b"[]"));
    let app = Router::new().route("/", get(handler)).layer(prices.http_layer(fallback::value(stored)));
    let response = app.oneshot(Request::get("/").body(axum::body::Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "[]");
}
