//! The correlation id of a request, from its caller through all services.

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::extract::State;
use axum::routing::get;
use axum::{Extension, Router};
use bytes::Bytes;
use campanile::telemetry::{ClientSpans, Correlation, CorrelationId, ServerSpanLayer};
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt;
use tokio::net::TcpListener;
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tracing::field::Empty;
use tracing::instrument::WithSubscriber;
use tracing::{Instrument, info_span};
use tracing_subscriber::prelude::*;

use crate::support::{Pipeline, attribute, echo, plain};

type Http = Client<HttpConnector, Full<Bytes>>;

fn http() -> Http {
    Client::builder(TokioExecutor::new()).build_http()
}

async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// Answers with the id that it got: in the header, the extension, the context and the baggage.
async fn echo_id(headers: HeaderMap, Extension(id): Extension<CorrelationId>) -> String {
    let header = headers.get("x-request-id").map_or("none", |value| value.to_str().unwrap());
    tokio::task::yield_now().await;
    let current = CorrelationId::current().unwrap();
    let context = Context::current();
    let baggage = context.baggage().get("correlation.id").unwrap();
    format!("{header} {id} {current} {baggage}")
}

#[derive(Clone)]
struct Upstream {
    client: ClientSpans<Http>,
    address: SocketAddr,
}

/// Calls the upstream service, and yields at random before.
async fn ask(State(upstream): State<Upstream>, Extension(id): Extension<CorrelationId>) -> String {
    for _ in 0..fastrand::u8(0..5) {
        tokio::task::yield_now().await;
        assert_eq!(CorrelationId::current().as_ref(), Some(&id));
    }
    let request = Request::get(format!("http://{}/", upstream.address)).body(Full::default()).unwrap();
    let response = upstream.client.oneshot(request).await.unwrap();
    assert_eq!(response.headers()["x-request-id"], id.as_str());
    text(response).await
}

async fn text<B: http_body::Body<Error: std::fmt::Debug>>(response: Response<B>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

fn server<K>(correlation: Correlation) -> ServerSpanLayer<K> {
    plain().http_server_layer().correlation(correlation)
}

/// A service that calls an upstream service.
async fn services(correlation: Correlation) -> SocketAddr {
    let address = serve(Router::new().route("/", get(echo_id)).layer(server(Correlation::default()))).await;
    let client = ServiceBuilder::new().layer(plain().http_client_layer()).service(http());
    let layer = server(correlation);
    let app = Router::new().route("/", get(ask)).layer(layer).with_state(Upstream { client, address });
    serve(app).await
}

async fn send(client: &Http, address: SocketAddr, headers: &[(&str, &str)]) -> (HeaderMap, String) {
    let mut request = Request::get(format!("http://{address}/"));
    for (name, value) in headers {
        request = request.header(*name, http::HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    let response = client.request(request.body(Full::default()).unwrap()).await.unwrap();
    (response.headers().clone(), text(response).await)
}

fn is_generated(id: &str) -> bool {
    uuid::Uuid::parse_str(id).is_ok_and(|id| id.get_version_num() == 7)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_reaches_all_services_and_the_caller() {
    let (client, address) = (http(), services(Correlation::default()).await);
    let (headers, ids) = send(&client, address, &[("x-request-id", "order-17")]).await;
    assert_eq!(headers["x-request-id"], "order-17");
    assert_eq!(ids, "order-17 order-17 order-17 order-17");

    // The answer uses the header of the request.
    let (headers, ids) = send(&client, address, &[("x-correlation-id", "order-18")]).await;
    assert_eq!(headers["x-correlation-id"], "order-18");
    assert!(!headers.contains_key("x-request-id"));
    assert_eq!(ids, "order-18 order-18 order-18 order-18");

    // The id may be in baggage only.
    let (headers, ids) = send(&client, address, &[("baggage", "correlation.id=order-19,tenant=blue")]).await;
    assert_eq!(headers["x-request-id"], "order-19");
    assert!(ids.starts_with("order-19 order-19"), "{ids}");

    // Without an id, one is generated.
    let (headers, ids) = send(&client, address, &[]).await;
    let id = headers["x-request-id"].to_str().unwrap();
    assert!(is_generated(id), "{id}");
    assert_eq!(ids, format!("{id} {id} {id} {id}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_requests_keep_their_ids() {
    let (client, address) = (http(), services(Correlation::default()).await);
    let requests: Vec<_> = (0..200)
        .map(|n| {
            let client = client.clone();
            tokio::spawn(async move {
                let id = format!("request-{n}");
                let (headers, ids) = send(&client, address, &[("x-request-id", &id)]).await;
                assert_eq!(headers["x-request-id"], id);
                assert_eq!(ids, format!("{id} {id} {id} {id}"));
            })
        })
        .collect();
    for request in requests {
        request.await.unwrap();
    }
}

#[tokio::test]
async fn a_malformed_id_is_replaced_and_counted() {
    let (client, address) = (http(), services(Correlation::default()).await);
    let long = "x".repeat(129);
    for (value, reason) in [("a b", "syntax"), ("\u{e4}", "syntax"), ("", "syntax"), (&long, "too_large")] {
        let before = counted(reason);
        let (headers, _) = send(&client, address, &[("x-request-id", value)]).await;
        assert!(is_generated(headers["x-request-id"].to_str().unwrap()), "{value:?}");
        assert!(counted(reason) > before, "{value:?}");
    }
    let twice = [("x-request-id", "a"), ("x-request-id", "b")];
    let (headers, _) = send(&client, address, &twice).await;
    assert!(is_generated(headers["x-request-id"].to_str().unwrap()));
    // If one header is malformed, the other one is read.
    let other = [("x-request-id", "a b"), ("x-correlation-id", "good")];
    let (headers, _) = send(&client, address, &other).await;
    assert_eq!(headers["x-correlation-id"], "good");
    let longest = "x".repeat(128);
    let (headers, _) = send(&client, address, &[("x-request-id", &longest)]).await;
    assert_eq!(headers["x-request-id"], longest);
}

/// The number of malformed ids. Without the feature `prometheus` it cannot be read, and a growing number stands for it.
fn counted(reason: &str) -> f64 {
    #[cfg(feature = "prometheus")]
    {
        let pipeline = Pipeline::with(|builder| builder.prometheus());
        let labels = [("header", "correlation-id"), ("reason", reason)];
        let name = "campanile_telemetry_propagation_malformed_total";
        crate::red::value(&pipeline.telemetry.prometheus_text(), name, &labels).unwrap_or(0.0)
    }
    #[cfg(not(feature = "prometheus"))]
    {
        let _ = reason;
        static TIMES: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        f64::from(TIMES.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
    }
}

#[tokio::test]
async fn at_the_edge_every_request_gets_a_new_id() {
    let (client, address) = (http(), services(Correlation::default().trust_callers(false)).await);
    let theirs = [("x-request-id", "theirs"), ("baggage", "correlation.id=theirs")];
    let (headers, ids) = send(&client, address, &theirs).await;
    let id = headers["x-request-id"].to_str().unwrap();
    assert!(is_generated(id), "{id}");
    assert_eq!(ids, format!("{id} {id} {id} {id}"));
}

#[tokio::test]
async fn headers_can_be_configured() {
    let layer = server(Correlation::default().headers(["x-trace-key"]).unwrap());
    let client = plain().http_client_layer().correlation_header("x-trace-key").unwrap();
    let client = ServiceBuilder::new().layer(client).service(service_fn(echo));
    let handler = service_fn(move |request: Request<()>| {
        assert!(request.extensions().get::<CorrelationId>().is_some());
        let call = client.clone().oneshot(Request::new(()));
        async move {
            let sent = call.await.unwrap();
            assert_eq!(sent.headers()["x-trace-key"], "k");
            assert!(!sent.headers().contains_key("x-request-id"));
            Ok::<_, Infallible>(Response::new(String::new()))
        }
    });
    let server = ServiceBuilder::new().layer(layer).service(handler);
    let mut request = Request::new(());
    request.headers_mut().insert("x-trace-key", "k".parse().unwrap());
    request.headers_mut().insert("x-request-id", "another thing".parse().unwrap());
    let response = server.oneshot(request).await.unwrap();
    assert_eq!(response.headers()["x-trace-key"], "k");
    for names in [&[] as &[&str], &["not a header"]] {
        let error = Correlation::default().headers(names.iter().copied()).unwrap_err();
        assert_eq!(error.setting(), "headers");
    }
    assert!(plain().http_client_layer::<()>().correlation_header("").is_err());
}

#[tokio::test]
async fn a_header_of_the_service_is_not_replaced() {
    let service = service_fn(|request: Request<()>| async move {
        let mut response = Response::new(String::new());
        response.headers_mut().insert("x-request-id", "mine".parse().unwrap());
        drop(request);
        Ok::<_, Infallible>(response)
    });
    let server = ServiceBuilder::new().layer(server(Correlation::default())).service(service);
    let response = server.oneshot(Request::new(())).await.unwrap();
    assert_eq!(response.headers().get_all("x-request-id").iter().collect::<Vec<_>>(), ["mine"]);

    let client = ServiceBuilder::new().layer(plain().http_client_layer()).service(service_fn(echo));
    let id: CorrelationId = "theirs".parse().unwrap();
    let _attached = id.within(&Context::current()).attach();
    let mut request = Request::new(());
    request.headers_mut().insert("x-request-id", "mine".parse().unwrap());
    assert_eq!(client.oneshot(request).await.unwrap().headers()["x-request-id"], "mine");
}

/// There may be a span outside of the layer, inside of it, or both. The layer may make one or none.
#[tokio::test]
async fn the_id_reaches_spans_outside_and_inside_of_the_layer() {
    for activation in [true, false] {
        for inside in [true, false] {
            for traced in [true, false] {
                let pipeline =
                    Pipeline::with(|builder| builder.configure(|settings| settings.activation = activation));
                let client = pipeline.telemetry.http_client_layer();
                let client = ServiceBuilder::new().layer(client).service(service_fn(echo));
                let handler = service_fn(move |_: Request<()>| {
                    let client = client.clone();
                    let call = async move {
                        tokio::task::yield_now().await;
                        client.oneshot(Request::new(())).await
                    };
                    let span = if inside { info_span!("inside") } else { tracing::Span::none() };
                    call.instrument(span)
                });
                let layer = pipeline.telemetry.http_server_layer().correlation(Correlation::default());
                let layer = if traced { layer } else { layer.untraced(["*"]) };
                let server = ServiceBuilder::new().layer(layer).service(handler);
                let mut request = Request::post("/").body(()).unwrap();
                let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
                request.headers_mut().insert("traceparent", parent.parse().unwrap());
                request.headers_mut().insert("x-request-id", "order-17".parse().unwrap());
                let call = async {
                    let outside = info_span!("outside", correlation_id = Empty);
                    server.oneshot(request).instrument(outside).await.unwrap()
                };
                let response = call.with_subscriber(pipeline.dispatch()).await;
                let case = format!("activation {activation}, inside {inside}, traced {traced}");
                let sent = response.headers();
                assert_eq!(sent["x-request-id"], "order-17", "{case}");
                assert!(sent["baggage"].to_str().unwrap().contains("correlation.id=order-17"), "{case}");
                let mut names = vec!["outside"];
                names.extend(traced.then_some("POST"));
                // Without activation, a span below has the id only if it is in an attached context.
                names.extend(inside.then_some("inside"));
                for name in names {
                    let id = attribute(&pipeline.span(name), "correlation_id");
                    assert_eq!(id, Some("order-17".into()), "{name}, {case}");
                }
                if activation {
                    let trace = pipeline.span("GET").span_context.trace_id().to_string();
                    assert_eq!(trace, parent[3..35], "{case}");
                }
            }
        }
    }
}

#[tokio::test]
async fn the_id_reaches_calls_in_a_span_that_is_older_than_it() {
    let pipeline = Pipeline::new();
    let sent = std::sync::Arc::new(std::sync::OnceLock::new());
    let seen = std::sync::Arc::clone(&sent);
    let other = service_fn(move |request: Request<()>| {
        let _ = seen.set(request.headers().get("x-request-id").cloned());
        std::future::ready(Ok::<_, Infallible>(Response::new(String::new())))
    });
    let client = ServiceBuilder::new().layer(pipeline.telemetry.http_client_layer()).service(other);
    let handler = service_fn(move |_: Request<()>| client.clone().oneshot(Request::new(())));
    let layer = pipeline.telemetry.http_server_layer().correlation(Correlation::default());
    let server = ServiceBuilder::new().layer(layer).service(handler);
    // The layers make no spans.
    let filter = tracing_subscriber::filter::Targets::new()
        .with_default(tracing::Level::INFO)
        .with_target("campanile::http", tracing_subscriber::filter::LevelFilter::OFF);
    let subscriber = tracing_subscriber::registry().with(filter).with(pipeline.telemetry.span_layer());
    let request = Request::post("/").header("x-request-id", "order-17").body(()).unwrap();
    let call = async { server.oneshot(request).instrument(info_span!("older")).await.unwrap() };
    drop(call.with_subscriber(subscriber).await);
    assert_eq!(sent.get(), Some(&Some("order-17".parse().unwrap())));
}

/// The id comes from the caller, who may put a secret into it.
#[tokio::test]
async fn p36_an_id_is_shown_without_the_secrets_in_it() {
    for (id, shown) in [("order-17", Some("order-17")), ("jane@example.com", None)] {
        let pipeline = Pipeline::new();
        let handler = service_fn(|_: Request<()>| {
            async { Ok::<_, Infallible>(Response::new(String::new())) }.instrument(info_span!("handler"))
        });
        let server = ServiceBuilder::new().layer(server(Correlation::default())).service(handler);
        let mut request = Request::new(());
        request.headers_mut().insert("x-request-id", id.parse().unwrap());
        let response = server.oneshot(request).with_subscriber(pipeline.dispatch()).await.unwrap();
        assert_eq!(response.headers()["x-request-id"], id, "the answer has the id unchanged");
        let found = attribute(&pipeline.span("handler"), "correlation_id").unwrap().to_string();
        assert!(shown.map_or(!found.contains("jane"), |shown| found == shown), "{found}");
    }
}

#[tokio::test]
async fn spans_of_a_request_have_its_correlation_id() {
    for activation in [true, false] {
        let pipeline =
            Pipeline::with(|builder| builder.configure(|settings| settings.activation = activation));
        let handler = service_fn(|_: Request<()>| {
            async {
                drop(info_span!("below"));
                drop(info_span!("own", correlation_id = "set by hand"));
                Ok::<_, Infallible>(Response::new(String::new()))
            }
            .instrument(info_span!("handler"))
        });
        let server = ServiceBuilder::new().layer(server(Correlation::default())).service(handler);
        let mut request = Request::new(());
        request.headers_mut().insert("x-request-id", "order-17".parse().unwrap());
        server.oneshot(request).with_subscriber(pipeline.dispatch()).await.unwrap();
        for name in ["handler", "below"] {
            assert_eq!(attribute(&pipeline.span(name), "correlation_id"), Some("order-17".into()), "{name}");
        }
        assert_eq!(attribute(&pipeline.span("own"), "correlation_id"), Some("set by hand".into()));
    }
}
