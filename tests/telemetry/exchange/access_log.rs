//! One event for each request.

use axum::Router;
use axum::body::Body;
use axum::routing::post;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use opentelemetry_sdk::logs::InMemoryLogExporter;
use opentelemetry_sdk::trace::SpanData;
use tower::ServiceExt;
use tracing::instrument::WithSubscriber;
use tracing_subscriber::prelude::*;

use super::{PARENT, get, only, send};
use crate::support::{LONG, Pipeline, plain};

fn app(on: bool) -> Router {
    Router::new()
        .route(
            "/orders/{id}",
            post(|body: String| async move { body }).get(|| async { StatusCode::BAD_GATEWAY }),
        )
        .layer(plain().http_server_layer().access_log(on))
}

fn order() -> Request<Body> {
    Request::post("/orders/7").header("content-length", "5").body(Body::from("hello")).unwrap()
}

/// The events of a span: their names, and the attributes other than those of each event.
fn events(span: &SpanData) -> Vec<(String, Vec<(String, String)>)> {
    let of = |event: &opentelemetry::trace::Event| {
        let pairs = event.attributes.iter().map(|it| (it.key.to_string(), it.value.to_string()));
        let mut pairs: Vec<_> = pairs.filter(|(key, _)| key != "duration").collect();
        pairs.sort();
        (event.name.to_string(), pairs)
    };
    span.events.iter().map(of).collect()
}

#[tokio::test]
async fn each_request_writes_one_line_in_its_span_if_asked_to() {
    let pipeline = Pipeline::new();
    send(&pipeline, app(false), order()).await;
    assert_eq!(events(&only(&pipeline)), []);

    let pipeline = Pipeline::new();
    send(&pipeline, app(true), order()).await;
    let pair = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    let expected = [
        ("http.request.body.size", "5"),
        ("http.request.method", "POST"),
        ("http.response.body.size", "5"),
        ("http.response.status_code", "200"),
        ("http.route", "/orders/{id}"),
        ("level", "INFO"),
        ("target", "campanile::http"),
    ];
    let span = only(&pipeline);
    assert_eq!(events(&span), [("POST /orders/{id} 200".to_owned(), expected.map(pair).to_vec())]);
    let duration =
        span.events.iter().flat_map(|event| &event.attributes).find(|it| it.key.as_str() == "duration");
    assert!(matches!(duration.unwrap().value, opentelemetry::Value::F64(seconds) if seconds >= 0.0));
}

#[tokio::test]
async fn a_failed_request_is_a_warning_and_keeps_the_status_of_its_span() {
    let pipeline = Pipeline::new();
    send(&pipeline, app(true), get("/orders/7")).await;
    let span = only(&pipeline);
    let [(name, pairs)] = &events(&span)[..] else { panic!("{span:?}") };
    assert_eq!(name, "GET /orders/{id} 502");
    for pair in [("level", "WARN"), ("error.type", "502")] {
        assert!(pairs.contains(&(pair.0.to_owned(), pair.1.to_owned())), "{pairs:?}");
    }
    assert_eq!(super::outcome(&span), super::failed("502"));
    let opentelemetry::trace::Status::Error { description } = &span.status else { panic!() };
    assert_eq!(description, "");
}

#[tokio::test]
async fn probes_write_none() {
    let pipeline = Pipeline::new();
    let app = Router::new()
        .route("/livez", axum::routing::get(|| async { "fine" }))
        .layer(plain().http_server_layer().access_log(true));
    let outer = async { send(&pipeline, app, get("/livez")).await };
    tracing::Instrument::instrument(outer, tracing::Span::none()).await;
    assert!(pipeline.spans().is_empty());
}

#[tokio::test]
async fn without_its_span_the_line_has_the_trace_of_the_caller() {
    let exporter = InMemoryLogExporter::default();
    let pipeline = Pipeline::with(|builder| builder.log_exporter(exporter.clone()));
    let filter = tracing_subscriber::filter::filter_fn(|metadata| !metadata.is_span());
    let subscriber = tracing_subscriber::registry().with(filter).with(pipeline.telemetry.span_layer());
    let mut request = order();
    request.headers_mut().insert("traceparent", PARENT.parse().unwrap());
    let call = async { app(true).oneshot(request).await.unwrap().into_body().collect().await.unwrap() };
    call.with_subscriber(subscriber).await;
    assert!(pipeline.telemetry.force_flush(LONG));
    let logs = exporter.get_emitted_logs().unwrap();
    let traces: Vec<_> =
        logs.iter().map(|log| log.record.trace_context().unwrap().trace_id.to_string()).collect();
    assert_eq!(traces, [&PARENT[3..35]]);
}
