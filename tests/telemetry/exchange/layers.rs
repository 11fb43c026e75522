//! The layers among others: in any order nothing is counted twice.

use std::convert::Infallible;

use axum::Router;
use axum::routing::get as route;
use bytes::Bytes;
use campanile::{CircuitBreaker, Timing};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tower::{BoxError, Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::{DefaultMakeSpan, TraceLayer};
use tracing::instrument::WithSubscriber;
use tracing_subscriber::prelude::*;
use tracing_subscriber::reload;

use super::{get, only, send};
use crate::support::{Pipeline, assert_child, plain};

#[tokio::test]
async fn timing_and_spans_count_each_request_once_in_any_order() {
    for spans_outside in [true, false] {
        let pipeline = Pipeline::new();
        let timing = Timing::new("shop");
        let breaker = CircuitBreaker::builder("shop").build().unwrap();
        let app = Router::new().route("/a", route(|| async { "fine" }));
        let (spans, breaker_layer) = (pipeline.telemetry.http_server_layer(), breaker.http_layer());
        let app = if spans_outside {
            app.layer(breaker_layer).layer(timing.http_server_layer()).layer(spans)
        } else {
            app.layer(spans).layer(timing.http_server_layer()).layer(breaker_layer)
        };
        for _ in 0..3 {
            send(&pipeline, app.clone(), get("/a")).await;
        }
        assert_eq!(pipeline.spans().len(), 3);
        assert_eq!(timing.snapshot().calls, 3);
        assert_eq!(breaker.snapshot().totals.successes, 3);
    }
}

#[tokio::test]
async fn the_trace_layer_of_tower_http_still_works() {
    for ours_outside in [true, false] {
        let pipeline = Pipeline::new();
        let theirs =
            || TraceLayer::new_for_http().make_span_with(DefaultMakeSpan::new().level(tracing::Level::INFO));
        let app = Router::new().route("/a", route(|| async { "fine" }));
        let app = if ours_outside {
            app.layer(theirs()).layer(plain().http_server_layer())
        } else {
            app.layer(plain().http_server_layer()).layer(theirs())
        };
        send(&pipeline, app, get("/a")).await;
        let (ours, theirs) = (pipeline.span("GET /a"), pipeline.span("request"));
        if ours_outside {
            assert_child(&theirs, &ours);
        } else {
            assert_child(&ours, &theirs);
        }
    }
}

#[tokio::test]
async fn layers_that_make_their_own_responses_may_be_outside() {
    let pipeline = Pipeline::new();
    let service = ServiceBuilder::new()
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, std::time::Duration::ZERO))
        .layer(plain().http_server_layer())
        .service(service_fn(|_: Request<()>| {
            std::future::pending::<Result<Response<Full<Bytes>>, Infallible>>()
        }));
    let response = service.oneshot(Request::new(())).with_subscriber(pipeline.dispatch()).await.unwrap();
    assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(super::outcome(&only(&pipeline)), super::failed("cancelled"));
}

#[tokio::test]
async fn errors_of_every_kind_fit() {
    let service = service_fn(|_: Request<()>| async { Err::<Response<String>, BoxError>("gone".into()) });
    let stack = ServiceBuilder::new()
        .layer(plain().http_server_layer())
        .layer(plain().http_client_layer())
        .service(service);
    assert_eq!(stack.oneshot(Request::new(())).await.unwrap_err().to_string(), "gone");
    let service = service_fn(|_: Request<()>| async { Err::<Response<String>, String>("gone".into()) });
    assert_eq!(
        plain().http_client_layer().layer(service).oneshot(Request::new(())).await.unwrap_err(),
        "gone"
    );
}

/// A layer inside `reload` cannot be found by its type.
#[tokio::test]
async fn a_layer_inside_reload_sees_the_same() {
    let pipeline = Pipeline::new();
    let (layer, _handle) = reload::Layer::new(pipeline.telemetry.span_layer());
    let subscriber = tracing_subscriber::registry().with(layer);
    let app = Router::new()
        .route("/a/{b}", route(|| async { StatusCode::BAD_GATEWAY }))
        .layer(pipeline.telemetry.http_server_layer());
    let call = async { drop(app.oneshot(get("/a/b")).await.unwrap()) };
    call.with_subscriber(subscriber).await;
    let span = only(&pipeline);
    assert_eq!(&*span.name, "GET /a/{b}");
    assert_eq!(super::outcome(&span), super::failed("502"));
}
