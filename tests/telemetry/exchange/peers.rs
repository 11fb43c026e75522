//! The attributes of the spans, compared with those of three peers: what they set and we do not, and the other way round.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use axum::Router;
use axum::routing::get as route;
use http::Request;
use http_body_util::BodyExt;
use opentelemetry_sdk::trace::SpanData;
use tower::{Layer, ServiceExt};
use tracing::instrument::WithSubscriber;

use crate::support::Pipeline;

type Keys = BTreeSet<String>;

/// The keys of the attributes that the semantic conventions know; `code.*` is the place of a span in the source.
fn keys(span: &SpanData) -> Keys {
    let keys = span.attributes.iter().map(|attribute| attribute.key.to_string());
    keys.filter(|key| !key.starts_with("code.")).collect()
}

fn set(keys: &[&str]) -> Keys {
    keys.iter().map(|&key| key.to_owned()).collect()
}

/// The span of a request to a real server with `app`, which fails.
async fn served(pipeline: &Pipeline, app: Router) -> SpanData {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = app.layer(crate::support::scoped(pipeline.dispatch()));
    let make = app.into_make_service_with_connect_info::<SocketAddr>();
    let server = tokio::spawn(async move { axum::serve(listener, make).await });
    let client: hyper_util::client::legacy::Client<_, axum::body::Body> =
        hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build_http();
    let request = Request::post(format!("http://{address}/orders/7?page=2"))
        .header("user-agent", "curl/8")
        .body(axum::body::Body::from("hello"))
        .unwrap();
    client.request(request).await.unwrap().into_body().collect().await.unwrap();
    while pipeline.spans().is_empty() {
        tokio::task::yield_now().await;
    }
    server.abort();
    pipeline.spans().remove(0)
}

fn orders() -> Router {
    Router::new().route("/orders/{id}", route(|| async {}).post(|| async { http::StatusCode::BAD_GATEWAY }))
}

#[tokio::test]
async fn servers_say_what_their_peers_say() {
    let pipeline = Pipeline::new();
    let ours = served(&pipeline, orders().layer(pipeline.telemetry.http_server_layer())).await;
    let ours = keys(&ours);

    let pipeline = Pipeline::new();
    let theirs = axum_tracing_opentelemetry::middleware::OtelAxumLayer::default().try_extract_client_ip(true);
    let theirs = keys(&served(&pipeline, orders().layer(theirs)).await);
    // `span.type` is for one vendor only.
    assert_eq!(&theirs - &ours, set(&["span.type"]), "only axum-tracing-opentelemetry");
    let more = set(&[
        // It records it, but declares another name, so that it is lost.
        "client.address",
        // What health and metrics count the span for.
        "component",
        "error.type",
        "http.request.body.size",
        "http.response.body.size",
        "network.peer.address",
        "network.peer.port",
    ]);
    // It puts host and port into one attribute.
    assert_eq!(&(&ours - &theirs) - &set(&["server.port"]), more, "not axum-tracing-opentelemetry");

    let pipeline = Pipeline::new();
    opentelemetry::global::set_tracer_provider(pipeline.telemetry.tracer_provider());
    let layer = opentelemetry_instrumentation_tower::http::server::LayerBuilder::builder()
        .with_route_extractor_fn(|request: &Request<axum::body::Body>| {
            request.extensions().get::<axum::extract::MatchedPath>().map(|path| path.as_str().to_owned())
        })
        .build()
        .unwrap();
    let theirs = keys(&served(&pipeline, orders().layer(layer)).await);
    assert_eq!(&theirs - &ours, set(&[]), "only opentelemetry-instrumentation-tower");
    let more = set(&[
        "client.address",
        "component",
        "error.type",
        "http.request.body.size",
        "http.response.body.size",
        "network.peer.address",
        "network.peer.port",
        "network.protocol.version",
        "server.address",
        "server.port",
    ]);
    assert_eq!(&ours - &theirs, more, "not opentelemetry-instrumentation-tower");
}

#[tokio::test]
async fn clients_say_what_their_peer_says() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, orders()).await });
    let url = format!("http://{address}/orders/7?page=2");

    let pipeline = Pipeline::new();
    let client: hyper_util::client::legacy::Client<_, axum::body::Body> =
        hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build_http();
    let client = pipeline.telemetry.http_client_layer().layer(client);
    let request = Request::post(&url).header("user-agent", "shop/1").body("hello".to_owned().into()).unwrap();
    let call = async { client.oneshot(request).await.unwrap().into_body().collect().await.unwrap() };
    call.with_subscriber(pipeline.dispatch()).await;
    let ours = keys(&super::only(&pipeline));

    let pipeline = Pipeline::new();
    let client = reqwest_middleware::ClientBuilder::new(reqwest::Client::new())
        .with(reqwest_tracing::TracingMiddleware::<reqwest_tracing::SpanBackendWithUrl>::new())
        .build();
    let call = async {
        let request = client.post(&url).header("user-agent", "shop/1").body("hello");
        request.send().await.unwrap().bytes().await.unwrap()
    };
    call.with_subscriber(pipeline.dispatch()).await;
    let theirs = keys(&super::only(&pipeline));
    assert_eq!(&theirs - &ours, set(&[]), "only reqwest-tracing");
    let more = set(&["component", "error.type", "http.response.body.size", "network.protocol.version"]);
    assert_eq!(&ours - &theirs, more, "not reqwest-tracing");
}
