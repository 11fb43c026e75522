//! The span of a request that goes out.

use std::convert::Infallible;

use axum::Router;
use axum::routing::any;
use bytes::Bytes;
use campanile::telemetry::UrlTemplate;
use campanile::{Backoff, Jitter, Retry};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use opentelemetry::trace::SpanKind;
use opentelemetry_semantic_conventions::attribute as semconv;
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tracing::instrument::WithSubscriber;
use tracing_subscriber::prelude::*;

use super::{failed, fine, only, outcome, text};
use crate::support::{Pipeline, plain};

async fn call(pipeline: &Pipeline, request: Request<()>, status: u16) {
    let service = service_fn(move |_: Request<()>| async move {
        let mut response = Response::new(Full::<Bytes>::from("text"));
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        Ok::<_, Infallible>(response)
    });
    let client = plain().http_client_layer().component("payments").layer(service);
    let read = async { client.oneshot(request).await.unwrap().into_body().collect().await.unwrap() };
    read.with_subscriber(pipeline.dispatch()).await;
}

#[tokio::test]
async fn the_attributes_are_those_of_the_convention() {
    let pipeline = Pipeline::new();
    let request = Request::put("https://ann:pw@pay.example/charge/7?token=s3cr3t-t0ken&page=2")
        .extension(UrlTemplate::new("/charge/{id}"))
        .header("user-agent", "shop/1")
        .header("content-length", "12")
        .body(())
        .unwrap();
    call(&pipeline, request, 201).await;
    let span = only(&pipeline);
    assert_eq!((&*span.name, span.span_kind.clone()), ("PUT /charge/{id}", SpanKind::Client));
    let mut found: Vec<_> =
        span.attributes.iter().map(|it| (it.key.to_string(), it.value.to_string())).collect();
    found.sort();
    let mut expected: Vec<_> = [
        ("component", "payments"),
        (semconv::HTTP_REQUEST_METHOD, "PUT"),
        (semconv::URL_FULL, "https://pay.example/charge/7?token=[redacted]&page=2"),
        (semconv::URL_SCHEME, "https"),
        (semconv::URL_TEMPLATE, "/charge/{id}"),
        (semconv::SERVER_ADDRESS, "pay.example"),
        (semconv::SERVER_PORT, "443"),
        (semconv::USER_AGENT_ORIGINAL, "shop/1"),
        (semconv::NETWORK_PROTOCOL_VERSION, "1.1"),
        (semconv::HTTP_REQUEST_BODY_SIZE, "12"),
        (semconv::HTTP_RESPONSE_STATUS_CODE, "201"),
        (semconv::HTTP_RESPONSE_BODY_SIZE, "4"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .to_vec();
    expected.sort();
    assert_eq!(found, expected);
}

/// Other subscribers redact nothing.
#[tokio::test]
async fn p36_urls_are_redacted_for_every_subscriber() {
    let sink = crate::support::Sink::default();
    let writer = sink.clone();
    let console = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_span_events(tracing_subscriber::fmt::format::FmtSpan::CLOSE)
        .with_writer(move || writer.clone());
    let service =
        service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) });
    let client = plain().http_client_layer().layer(service);
    let request =
        Request::get("https://ann:hunter2@pay.example/jane@example.com?token=s3cr3t-t0ken").body(());
    let call = client.oneshot(request.unwrap());
    drop(call.with_subscriber(tracing_subscriber::registry().with(console)).await);
    let shown = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
    assert!(shown.contains("url.full=https://pay.example/"), "{shown}");
    for secret in ["ann", "hunter2", "jane", "s3cr3t"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[tokio::test]
async fn the_name_is_the_method_without_a_template() {
    let pipeline = Pipeline::new();
    call(&pipeline, Request::get("http://pay.example/charge/7").body(()).unwrap(), 200).await;
    assert_eq!(&*only(&pipeline).name, "GET");
    let pipeline = Pipeline::new();
    call(&pipeline, Request::builder().method("BREW").uri("http://pot/").body(()).unwrap(), 200).await;
    let span = only(&pipeline);
    assert_eq!(&*span.name, "HTTP");
    assert_eq!(text(&span, semconv::HTTP_REQUEST_METHOD), "_OTHER");
    assert_eq!(text(&span, semconv::HTTP_REQUEST_METHOD_ORIGINAL), "BREW");
}

#[tokio::test]
async fn statuses_from_400_on_are_errors() {
    for (status, expected) in
        [(200, fine()), (304, fine()), (404, failed("404")), (429, failed("429")), (503, failed("503"))]
    {
        let pipeline = Pipeline::new();
        call(&pipeline, Request::get("http://pay.example/").body(()).unwrap(), status).await;
        assert_eq!(outcome(&only(&pipeline)), expected, "{status}");
    }
}

fn http() -> Client<hyper_util::client::legacy::connect::HttpConnector, Full<Bytes>> {
    Client::builder(TokioExecutor::new()).build_http()
}

#[tokio::test]
async fn a_hyper_client_and_an_axum_server_share_a_trace() {
    let (shop, payments) = (Pipeline::new(), Pipeline::new());
    let app = Router::new()
        .route("/charge/{id}", any(|| async { "charged" }))
        .layer(payments.telemetry.http_server_layer())
        .layer(crate::support::scoped(payments.dispatch()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let make = app.into_make_service_with_connect_info::<std::net::SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, make).await });
    let client = shop.telemetry.http_client_layer().layer(http());
    let request = Request::get(format!("http://{address}/charge/7")).body(Full::default()).unwrap();
    let read = async { client.oneshot(request).await.unwrap().into_body().collect().await.unwrap() };
    assert_eq!(read.with_subscriber(shop.dispatch()).await.to_bytes(), "charged");
    let sent = only(&shop);
    // The connection may still hold the response.
    while payments.spans().is_empty() {
        tokio::task::yield_now().await;
    }
    let received = only(&payments);
    crate::support::assert_child(&received, &sent);
    assert_eq!(&*received.name, "GET /charge/{id}");
    assert_eq!(text(&received, "client.address"), "127.0.0.1");
    assert_eq!(text(&received, "server.port"), address.port().to_string());
    assert_eq!(text(&sent, "server.port"), address.port().to_string());
    assert_eq!(text(&received, "http.response.body.size"), "7");
}

#[tokio::test]
async fn no_connection_is_an_error() {
    let pipeline = Pipeline::new();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let client = plain().http_client_layer().layer(http());
    let request = Request::get(format!("http://{address}/")).body(Full::default()).unwrap();
    client.oneshot(request).with_subscriber(pipeline.dispatch()).await.unwrap_err();
    let span = only(&pipeline);
    let (failed, kind) = outcome(&span);
    assert!(failed && !kind.is_empty(), "{kind}");
    assert_eq!(text(&span, "http.response.status_code"), "");
}

#[tokio::test]
async fn a_retry_outside_makes_a_span_for_each_attempt_and_one_inside_counts_on_one() {
    for outside in [true, false] {
        let pipeline = Pipeline::new();
        let retry = Retry::builder()
            .max_attempts(3)
            .backoff(Backoff::constant(std::time::Duration::from_millis(1)).jitter(Jitter::None))
            .build()
            .unwrap();
        let fails = service_fn(|_: Request<campanile::retry::ReplayBody>| async {
            let mut response = Response::new(Full::<Bytes>::default());
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            Ok::<_, Infallible>(response)
        });
        let request = Request::get("http://pay.example/").body(Full::<Bytes>::default()).unwrap();
        let layer = plain();
        let call = async {
            if outside {
                let client = ServiceBuilder::new().layer(retry.http_layer()).layer(layer.http_client_layer());
                drop(client.service(fails).oneshot(request).await.unwrap());
            } else {
                let client = ServiceBuilder::new().layer(layer.http_client_layer()).layer(retry.http_layer());
                drop(client.service(fails).oneshot(request).await.unwrap());
            }
        };
        call.with_subscriber(pipeline.dispatch()).await;
        let spans = pipeline.spans();
        let resends: Vec<_> =
            spans.iter().map(|span| text(span, semconv::HTTP_REQUEST_RESEND_COUNT)).collect();
        assert_eq!(resends, if outside { vec!["", "1", "2"] } else { vec!["2"] });
        assert!(spans.iter().all(|span| outcome(span) == failed("503")));
    }
}
