//! The span of a request that came in: its name, attributes and status.

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::routing::{any, get as route};
use campanile::Telemetry;
use http::{Request, Response, StatusCode};
use opentelemetry::trace::SpanKind;
use opentelemetry_semantic_conventions::attribute as semconv;
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tracing::instrument::WithSubscriber;
use tracing_subscriber::prelude::*;

use super::{PARENT, failed, fine, get, only, outcome, send, text};
use crate::support::{Pipeline, plain};

async fn answer() -> &'static str {
    "fine"
}

#[tokio::test]
async fn the_name_has_the_route_wherever_the_layer_is() {
    let layer = || plain().http_server_layer();
    let orders = || Router::new().route("/orders/{id}", route(answer));
    let whole = ServiceBuilder::new().layer(layer()).service(orders());
    let whole = Router::new().fallback_service(whole);
    let by_hand =
        layer().route(|parts| parts.uri.path().starts_with("/orders/").then(|| "/orders/*".to_owned()));
    let by_hand = Router::new().fallback_service(ServiceBuilder::new().layer(by_hand).service(orders()));
    let broken = orders().layer(layer().route(|parts| panic!("no route for {}", parts.uri)));
    for (case, app, path, name, matched) in [
        ("a function that panics", broken, "/orders/7", "GET", ""),
        ("layer", orders().layer(layer()), "/orders/7", "GET /orders/{id}", "/orders/{id}"),
        ("route_layer", orders().route_layer(layer()), "/orders/7", "GET /orders/{id}", "/orders/{id}"),
        (
            "layer of the outer router",
            Router::new().nest("/shop", orders()).layer(layer()),
            "/shop/orders/7",
            "GET /shop/orders/{id}",
            "/shop/orders/{id}",
        ),
        (
            "layer of the inner router",
            Router::new().nest("/shop", orders().layer(layer())),
            "/shop/orders/7",
            "GET /shop/orders/{id}",
            "/shop/orders/{id}",
        ),
        ("around the router, before it matches", whole, "/orders/7", "GET", ""),
        ("a function", by_hand, "/orders/7", "GET /orders/*", "/orders/*"),
        ("no route", orders().layer(layer()), "/wp-admin/7", "GET", ""),
    ] {
        let pipeline = Pipeline::new();
        send(&pipeline, app, get(path)).await;
        let span = only(&pipeline);
        assert_eq!((&*span.name, span.span_kind.clone()), (name, SpanKind::Server), "{case}");
        assert_eq!(text(&span, "http.route"), matched, "{case}");
        assert_eq!(text(&span, "url.path"), path, "{case}");
    }
}

#[tokio::test]
async fn the_attributes_are_those_of_the_convention() {
    let pipeline = Pipeline::new();
    let app = Router::new()
        .route("/orders/{id}", route(answer).post(|body: String| async move { body }))
        .layer(plain().http_server_layer().component("shop"));
    let mut request = Request::post("/orders/7?page=2&token=s3cr3t-t0ken")
        .header("host", "shop.example:8443")
        .header("user-agent", "curl/8")
        .header("content-length", "5")
        .header("traceparent", PARENT)
        .body(Body::from("hello"))
        .unwrap();
    let peer: SocketAddr = "192.0.2.7:5000".parse().unwrap();
    request.extensions_mut().insert(ConnectInfo(peer));
    send(&pipeline, app, request).await;
    let span = only(&pipeline);
    let mut found: Vec<_> =
        span.attributes.iter().map(|it| (it.key.to_string(), it.value.to_string())).collect();
    found.sort();
    let mut expected: Vec<_> = [
        ("component", "shop"),
        (semconv::HTTP_REQUEST_METHOD, "POST"),
        (semconv::HTTP_ROUTE, "/orders/{id}"),
        (semconv::URL_PATH, "/orders/7"),
        (semconv::URL_QUERY, "page=2&token=[redacted]"),
        (semconv::URL_SCHEME, "http"),
        (semconv::SERVER_ADDRESS, "shop.example"),
        (semconv::SERVER_PORT, "8443"),
        (semconv::CLIENT_ADDRESS, "192.0.2.7"),
        (semconv::NETWORK_PEER_ADDRESS, "192.0.2.7"),
        (semconv::NETWORK_PEER_PORT, "5000"),
        (semconv::NETWORK_PROTOCOL_VERSION, "1.1"),
        (semconv::USER_AGENT_ORIGINAL, "curl/8"),
        (semconv::HTTP_REQUEST_BODY_SIZE, "5"),
        (semconv::HTTP_RESPONSE_STATUS_CODE, "200"),
        (semconv::HTTP_RESPONSE_BODY_SIZE, "5"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .to_vec();
    expected.sort();
    assert_eq!(found, expected);
    for number in ["server.port", "network.peer.port", "http.response.status_code", "http.request.body.size"]
    {
        let value = crate::support::attribute(&span, number).unwrap();
        assert!(matches!(value, opentelemetry::Value::I64(_)), "{number} is {value:?}");
    }
    assert_eq!(span.span_context.trace_id().to_string(), PARENT[3..35]);
    assert_eq!(span.parent_span_id.to_string(), PARENT[36..52]);
    assert!(span.parent_span_is_remote);
}

#[tokio::test]
async fn an_unknown_method_is_other() {
    let pipeline = Pipeline::new();
    let app = Router::new().route("/a", any(answer)).layer(plain().http_server_layer());
    let request = Request::builder().method("BREW").uri("/a").body(Body::empty()).unwrap();
    send(&pipeline, app, request).await;
    let span = only(&pipeline);
    assert_eq!(&*span.name, "HTTP /a");
    assert_eq!(text(&span, semconv::HTTP_REQUEST_METHOD), "_OTHER");
    assert_eq!(text(&span, semconv::HTTP_REQUEST_METHOD_ORIGINAL), "BREW");
}

#[tokio::test]
async fn statuses_of_the_server_are_errors() {
    for (status, expected) in [
        (200, fine()),
        (302, fine()),
        (404, fine()),
        (429, fine()),
        (500, failed("500")),
        (503, failed("503")),
    ] {
        let pipeline = Pipeline::new();
        let status = StatusCode::from_u16(status).unwrap();
        let app = Router::new()
            .route("/a", route(move || async move { (status, "text") }))
            .layer(plain().http_server_layer());
        send(&pipeline, app, get("/a")).await;
        let span = only(&pipeline);
        assert_eq!(outcome(&span), expected, "{status}");
        assert_eq!(text(&span, "http.response.status_code"), status.as_str());
        if let opentelemetry::trace::Status::Error { description } = &span.status {
            assert_eq!(description, "", "the convention wants none for a status");
        }
    }
}

/// Secrets in paths and queries, also before the pipeline's layer sees them.
#[tokio::test]
async fn p36_paths_and_queries_are_redacted() {
    let path = "/reset/jane@example.com/ghp_0123456789abcdefghijABCDEFGHIJ012345";
    let app = || Router::new().fallback(answer).layer(plain().http_server_layer());
    let request = || get(&format!("{path}?password=hunter2&q=4111111111111111"));
    let pipeline = Pipeline::new();
    send(&pipeline, app(), request()).await;
    let span = only(&pipeline);
    let (shown, query) = (text(&span, "url.path"), text(&span, "url.query"));
    assert!(shown.starts_with("/reset/") && !shown.contains("jane") && !shown.contains("ghp_"), "{shown}");
    assert!(query.contains("password=") && !query.contains("hunter2") && !query.contains("4111"), "{query}");

    // Another layer of the subscriber.
    let sink = crate::support::Sink::default();
    let writer = sink.clone();
    let console = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_span_events(tracing_subscriber::fmt::format::FmtSpan::CLOSE)
        .with_writer(move || writer.clone());
    let subscriber = tracing_subscriber::registry().with(console);
    let app = app();
    let call = async { app.oneshot(request()).await.unwrap() };
    drop(call.with_subscriber(subscriber).await);
    let shown = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
    assert!(shown.contains("url.path=/reset/"), "{shown}");
    for secret in ["jane", "ghp_", "hunter2", "4111"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[tokio::test]
async fn headers_of_proxies_are_read_only_if_they_are_trusted() {
    for trusted in [false, true] {
        let pipeline = Pipeline::new();
        let app = Router::new()
            .route("/a", route(answer))
            .layer(plain().http_server_layer().trust_forwarded(trusted));
        let mut request = get("/a");
        for (name, value) in [
            ("host", "10.0.0.1:8080"),
            ("x-forwarded-for", "198.51.100.9, 10.0.0.2"),
            ("x-forwarded-host", "shop.example"),
            ("x-forwarded-proto", "https"),
        ] {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        let peer: SocketAddr = "10.0.0.2:5000".parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(peer));
        send(&pipeline, app, request).await;
        let span = only(&pipeline);
        let found = ["client.address", "server.address", "server.port", "url.scheme", "network.peer.address"]
            .map(|key| text(&span, key));
        let expected = if trusted {
            ["198.51.100.9", "shop.example", "", "https", "10.0.0.2"]
        } else {
            ["10.0.0.2", "10.0.0.1", "8080", "http", "10.0.0.2"]
        };
        assert_eq!(found, expected, "trusted {trusted}");
    }
}

#[tokio::test]
async fn probes_make_no_span_but_their_trace_goes_on() {
    let handler = || async {
        drop(tracing::info_span!("inside"));
        "fine"
    };
    let app = |layer: campanile::telemetry::ServerSpanLayer| {
        Router::new().route("/{any}", route(handler)).layer(layer.access_log(true))
    };
    let layer = || plain().http_server_layer();
    for (layer, path, traced) in [
        (layer(), "/livez", false),
        (layer(), "/readyz", false),
        (layer(), "/startupz", false),
        (layer(), "/healthz", false),
        (layer(), "/metrics", false),
        (layer(), "/orders", true),
        (layer().untraced(["/ord*"]), "/orders", false),
        (layer().untraced(["/ord*"]), "/livez", true),
    ] {
        let pipeline = Pipeline::new();
        let mut request = get(path);
        request.headers_mut().insert("traceparent", PARENT.parse().unwrap());
        send(&pipeline, app(layer), request).await;
        let inside = pipeline.span("inside");
        assert_eq!(inside.span_context.trace_id().to_string(), PARENT[3..35], "{path}");
        let names: Vec<_> = pipeline.spans().into_iter().map(|span| span.name).collect();
        assert_eq!(names.len(), 1 + usize::from(traced), "{path}: {names:?}");
    }
}

#[tokio::test]
async fn the_whole_path_decides_also_in_a_nested_router() {
    let pipeline = Pipeline::new();
    let inner = Router::new().route("/livez", route(answer)).layer(plain().http_server_layer());
    send(&pipeline, Router::new().nest("/shop", inner), get("/shop/livez")).await;
    assert_eq!(text(&only(&pipeline), "url.path"), "/shop/livez");
}

#[tokio::test]
async fn the_version_is_that_of_the_request() {
    let pipeline = Pipeline::new();
    let app = Router::new().route("/a", route(answer)).layer(plain().http_server_layer());
    let request = Request::get("/a").version(http::Version::HTTP_2).body(Body::empty()).unwrap();
    send(&pipeline, app, request).await;
    assert_eq!(text(&only(&pipeline), semconv::NETWORK_PROTOCOL_VERSION), "2");
}

#[tokio::test]
async fn the_baggage_of_the_server_is_not_the_callers() {
    use opentelemetry::baggage::BaggageExt;
    use opentelemetry::context::FutureExt;
    use opentelemetry::{Context, KeyValue};

    let handler = || async {
        let own = Context::map_current(|context| context.baggage().get("own").is_some());
        if own { "the server's own" } else { "the caller's" }
    };
    let pipeline = Pipeline::new();
    let app = Router::new().route("/a", route(handler)).layer(plain().http_server_layer());
    let mut request = get("/a");
    request.headers_mut().insert("traceparent", PARENT.parse().unwrap());
    let own = Context::current_with_baggage([KeyValue::new("own", "1")]);
    assert_eq!(send(&pipeline, app, request).with_context(own).await.into_body(), "the caller's");
}

/// Any caller can make up paths and methods.
#[cfg(feature = "prometheus")]
#[tokio::test]
async fn the_series_of_requests_are_bounded_whatever_callers_ask_for() {
    use campanile::telemetry::Sampling;

    for (sampling, own) in [
        (Sampling::AlwaysOn, true),
        (Sampling::AlwaysOff, true),
        (Sampling::AlwaysOn, false),
        (Sampling::AlwaysOff, false),
    ] {
        let pipeline = Pipeline::with(|builder| builder.prometheus().sampling(sampling.clone()));
        // A layer of another pipeline cannot hand over its series.
        let telemetry = if own { pipeline.telemetry.clone() } else { plain() };
        let app = Router::new()
            .route("/orders/{id}", any(|| async { StatusCode::SERVICE_UNAVAILABLE }))
            .layer(telemetry.http_server_layer().component("shop"));
        for n in 0..50 {
            let method = format!("M{n}");
            for path in [format!("/orders/{n}"), format!("/made-up/{n}")] {
                let request = Request::builder().method(&*method).uri(&*path).body(Body::empty()).unwrap();
                send(&pipeline, app.clone(), request).await;
                send(&pipeline, app.clone(), get(&path)).await;
            }
        }
        let counts = counts(&pipeline);
        let expected = [
            ("GET", "", 50.0),
            ("GET /orders/{id}", "503", 50.0),
            ("HTTP", "", 50.0),
            ("HTTP /orders/{id}", "503", 50.0),
        ]
        .map(|(name, kind, count)| (("shop".to_owned(), name.to_owned(), kind.to_owned()), count));
        assert_eq!(counts, expected.into(), "{sampling:?}, own {own}");
    }
}

/// The calls in `campanile.span.duration` by component, name and type of error.
#[cfg(feature = "prometheus")]
pub(super) fn counts(pipeline: &Pipeline) -> std::collections::BTreeMap<(String, String, String), f64> {
    let text = pipeline.telemetry.prometheus_text();
    let lines = text.lines().filter(|line| line.starts_with("campanile_span_duration_seconds_count"));
    let label = |line: &str, name: &str| {
        let value = line.split(&format!("{name}=\"")).nth(1).and_then(|rest| rest.split('"').next());
        value.unwrap_or_default().to_owned()
    };
    lines
        .map(|line| {
            let labels = (label(line, "component"), label(line, "span_name"), label(line, "error_type"));
            (labels, line.rsplit(' ').next().unwrap().parse().unwrap())
        })
        .collect()
}

#[cfg(feature = "prometheus")]
#[tokio::test]
async fn spans_count_for_the_component_of_the_layer() {
    let pipeline = Pipeline::with(|builder| builder.prometheus());
    let app = Router::new().route("/a", route(answer));
    let named = app.clone().layer(pipeline.telemetry.http_server_layer().component("shop"));
    send(&pipeline, named, get("/a")).await;
    send(&pipeline, app.layer(pipeline.telemetry.http_server_layer()), get("/a")).await;
    let components: Vec<_> = counts(&pipeline).into_keys().map(|(component, ..)| component).collect();
    assert_eq!(components, ["http_server", "shop"]);
}

#[tokio::test]
async fn without_spans_requests_pass_in_the_trace_of_their_caller() {
    let context = service_fn(|_: Request<()>| async {
        use opentelemetry::trace::TraceContextExt;
        tokio::task::yield_now().await;
        let trace = opentelemetry::Context::current().span().span_context().trace_id().to_string();
        Ok::<_, Infallible>(Response::new(trace))
    });
    let service = plain().http_server_layer().layer(context);
    let request = || Request::get("/").header("traceparent", PARENT).body(()).unwrap();
    // No subscriber.
    let response = service.clone().oneshot(request()).await.unwrap();
    assert_eq!(body(response).await, PARENT[3..35]);
    // A filter.
    let pipeline = Pipeline::new();
    let filter = tracing_subscriber::filter::Targets::new()
        .with_default(tracing::Level::INFO)
        .with_target("campanile::http", tracing_subscriber::filter::LevelFilter::OFF);
    let subscriber = tracing_subscriber::registry().with(filter).with(pipeline.telemetry.span_layer());
    let response = service.clone().oneshot(request()).with_subscriber(subscriber).await.unwrap();
    assert_eq!(body(response).await, PARENT[3..35]);
    // A subscriber without the pipeline's layer.
    let subscriber = tracing_subscriber::registry();
    let response = service.oneshot(request()).with_subscriber(subscriber).await.unwrap();
    assert_eq!(body(response).await, PARENT[3..35]);
    assert!(pipeline.spans().is_empty());
}

async fn body<B: http_body::Body<Error: std::fmt::Debug>>(response: Response<B>) -> String {
    use http_body_util::BodyExt;
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn the_layer_outlives_its_pipeline() {
    let telemetry = Telemetry::builder("test").variables(|_| None).build().unwrap();
    let app = Router::new().route("/a", route(answer)).layer(telemetry.http_server_layer());
    drop(telemetry);
    let response = app.oneshot(get("/a")).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}
