//! HTTP clients and servers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::routing::post;
use bytes::Bytes;
use campanile::retry::ReplayBody;
use campanile::{Campanile, CircuitState, LetterFilter, Redrive};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use opentelemetry::trace::SpanKind;
use tower::ServiceExt;

use crate::program::{started, traced};

/// A server behind the layer of the hub, which answers 503 until `well`.
async fn shop(campanile: &Campanile, name: &'static str) -> (String, Arc<AtomicBool>) {
    let well = Arc::new(AtomicBool::new(false));
    let of_server = Arc::clone(&well);
    let answer = move |body: Bytes| {
        let well = of_server.load(Ordering::SeqCst);
        async move { if well { (StatusCode::OK, body) } else { (StatusCode::SERVICE_UNAVAILABLE, Bytes::new()) } }
    };
    let layer = campanile.server(name).build().unwrap().http_layer();
    let app = Router::new().route("/orders/{id}", post(answer)).layer(layer);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    (format!("http://{address}/orders/7"), well)
}

const SETTINGS: [&str; 3] = [
    "retry.max_attempts=1",
    "breaker={consecutive_failures=3, open_for={first=\"1ms\", max=\"1ms\"}}",
    "letters=true",
];

fn of(name: &str) -> Vec<String> {
    SETTINGS.iter().map(|setting| format!("dependency.{name}.{setting}")).collect()
}

async fn program(name: &str) -> Campanile {
    let settings = of(name);
    started(&settings.iter().map(|setting| &**setting).collect::<Vec<_>>()).await
}

#[tokio::test]
async fn a_hyper_client_opens_the_circuit_parks_and_sends_again() {
    let campanile = program("hyper-shop").await;
    let (url, well) = shop(&campanile, "hyper-shop-server").await;
    let orders = campanile.dependency("hyper-shop").build().await.unwrap();
    let client = orders.http_client(Client::builder(TokioExecutor::new()).build_http::<ReplayBody>());
    let order = || Request::post(&url).body(Full::new(Bytes::from("two cups"))).unwrap();
    for _ in 0..3 {
        let answer = client.clone().oneshot(order()).await.unwrap();
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
    assert_ne!(orders.breaker().unwrap().state(), CircuitState::Closed);
    let letters = orders.letters().unwrap();
    assert_eq!(letters.len().await.unwrap(), 3);
    let counts = (
        orders.timing().snapshot(),
        campanile.server("hyper-shop-server").build().unwrap().timing().snapshot(),
    );
    assert_eq!((counts.0.calls, counts.0.failed, counts.1.calls, counts.1.failed), (3, 3, 3, 3));

    well.store(true, Ordering::SeqCst);
    orders.breaker().unwrap().reset();
    let report = letters.redrive_http(client.clone(), Redrive::all().rate(1_000)).await.unwrap();
    assert_eq!((report.redriven, letters.len().await.unwrap()), (3, 0), "{report:?}");
    let answer = client.oneshot(order()).await.unwrap();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "two cups");
}

#[tokio::test]
async fn a_client_of_reqwest_opens_the_circuit_parks_and_sends_again() {
    let campanile = program("reqwest-shop").await;
    let (url, well) = shop(&campanile, "reqwest-shop-server").await;
    let orders = campanile.dependency("reqwest-shop").build().await.unwrap();
    let client = orders.reqwest(reqwest::Client::new());
    let order = || client.client().post(&url).body("two cups");
    for _ in 0..3 {
        assert_eq!(client.send(order()).await.unwrap().status(), 503);
    }
    assert_ne!(orders.breaker().unwrap().state(), CircuitState::Closed);
    let letters = orders.letters().unwrap();
    assert_eq!(letters.count(LetterFilter::all()).await.unwrap(), 3);
    assert_eq!((orders.timing().snapshot().calls, orders.timing().snapshot().failed), (3, 3));

    well.store(true, Ordering::SeqCst);
    orders.breaker().unwrap().reset();
    let report = letters.redrive_http(client.http_service(), Redrive::all().rate(1_000)).await.unwrap();
    assert_eq!((report.redriven, letters.len().await.unwrap()), (3, 0), "{report:?}");
    assert_eq!(client.send(order()).await.unwrap().text().await.unwrap(), "two cups");
}

#[tokio::test]
async fn client_and_server_are_in_one_trace_with_one_correlation_id() {
    let (campanile, exporter, _subscriber) = traced(&["dependency.caller.component=\"outbound\""]).await;
    let (url, well) = shop(&campanile, "callee").await;
    well.store(true, Ordering::SeqCst);
    let client = campanile.dependency("caller").build().await.unwrap();
    let client = client.http_client(Client::builder(TokioExecutor::new()).build_http::<ReplayBody>());
    let order =
        Request::post(&url).header("x-request-id", "order-7").body(Full::new(Bytes::from("a"))).unwrap();
    client.oneshot(order).await.unwrap().into_body().collect().await.unwrap();
    assert!(campanile.telemetry().force_flush(std::time::Duration::from_secs(60)));
    let spans = exporter.get_finished_spans().unwrap();
    let of_kind = |kind: SpanKind| spans.iter().find(|span| span.span_kind == kind).unwrap();
    let (sent, served) = (of_kind(SpanKind::Client), of_kind(SpanKind::Server));
    assert_eq!((spans.len(), &*sent.name, &*served.name), (2, "POST", "POST /orders/{id}"));
    assert_eq!(served.parent_span_id, sent.span_context.span_id());
    let id = served.attributes.iter().find(|field| field.value.as_str() == "order-7");
    assert!(id.is_some(), "{served:?}");
    let components = campanile.health().snapshot().components;
    for name in ["outbound", "callee"] {
        let component = components.iter().find(|component| &*component.name == name).unwrap();
        assert_eq!(component.calls.as_ref().unwrap().total, 1, "{name}");
    }
}

#[tokio::test]
async fn a_client_without_letters_retry_and_circuit_is_still_timed() {
    let campanile = started(&["dependency.thin.retry=false", "dependency.thin.breaker=false"]).await;
    let (url, _) = shop(&campanile, "thin-server").await;
    let thin = campanile.dependency("thin").build().await.unwrap();
    let client = thin.http_client(Client::builder(TokioExecutor::new()).build_http::<ReplayBody>());
    let order = Request::post(&url).body(Full::new(Bytes::from("a"))).unwrap();
    assert_eq!(client.oneshot(order).await.unwrap().status(), 503);
    assert_eq!((thin.timing().snapshot().calls, thin.timing().snapshot().failed), (1, 1));
}
