//! The spans of gRPC calls, by real clients and servers of tonic.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use opentelemetry::trace::SpanKind;
use opentelemetry_semantic_conventions::attribute as semconv;
use tokio_stream::wrappers::TcpListenerStream;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tracing::instrument::WithSubscriber;

use super::{failed, fine, only, outcome, text};
use crate::support::{Pipeline, assert_child, plain, scoped};

const CHECK: &str = "grpc.health.v1.Health/Check";

/// A server of health checks with the layer; it knows the service `shop`.
async fn serve(pipeline: &Pipeline) -> SocketAddr {
    let (reporter, service) = tonic_health::server::health_reporter();
    reporter.set_service_status("shop", tonic_health::ServingStatus::Serving).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(
        tonic::transport::Server::builder()
            .layer(scoped(pipeline.dispatch()))
            .layer(pipeline.telemetry.grpc_server_layer().component("shop").untraced([""; 0]))
            .add_service(service)
            .serve_with_incoming(TcpListenerStream::new(listener)),
    );
    address
}

async fn received(pipeline: &Pipeline, count: usize) -> Vec<opentelemetry_sdk::trace::SpanData> {
    while pipeline.spans().len() < count {
        tokio::task::yield_now().await;
    }
    pipeline.spans()
}

#[tokio::test]
async fn a_call_has_a_span_on_both_sides() {
    let (client, server) = (Pipeline::new(), Pipeline::new());
    let address = serve(&server).await;
    let channel = tonic::transport::Channel::from_shared(format!("http://{address}")).unwrap().connect_lazy();
    let layer = client.telemetry.grpc_client_layer().component("health");
    let mut health = HealthClient::new(ServiceBuilder::new().layer(layer).service(channel));
    // Trailers.
    let call = async { health.check(HealthCheckRequest { service: "shop".to_owned() }).await.unwrap() };
    call.with_subscriber(client.dispatch()).await;
    let (sent, got) = (only(&client), received(&server, 1).await.remove(0));
    assert_child(&got, &sent);
    for (span, kind, component) in [(&sent, SpanKind::Client, "health"), (&got, SpanKind::Server, "shop")] {
        assert_eq!((&*span.name, &span.span_kind), (CHECK, &kind));
        let mut found: Vec<_> =
            span.attributes.iter().map(|it| (it.key.to_string(), it.value.to_string())).collect();
        found.sort();
        let mut expected = vec![
            ("component", component.to_owned()),
            (semconv::RPC_SYSTEM_NAME, "grpc".to_owned()),
            (semconv::RPC_METHOD, CHECK.to_owned()),
            (semconv::RPC_RESPONSE_STATUS_CODE, "OK".to_owned()),
        ];
        if kind == SpanKind::Server {
            // A channel adds its server further in.
            expected.push((semconv::SERVER_ADDRESS, "127.0.0.1".to_owned()));
            expected.push((semconv::SERVER_PORT, address.port().to_string()));
        }
        let mut expected: Vec<_> = expected.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        expected.sort();
        assert_eq!(found, expected);
    }

    // Trailers only.
    let call = async { health.check(HealthCheckRequest { service: "other".to_owned() }).await.unwrap_err() };
    call.with_subscriber(client.dispatch()).await;
    let (sent, got) = (client.spans().remove(1), received(&server, 2).await.remove(1));
    assert_eq!(outcome(&sent), failed("NOT_FOUND"), "every code but OK is an error of a client");
    assert_eq!(outcome(&got), fine(), "a mistake of the caller is none of the server");
    assert_eq!(text(&got, "rpc.response.status_code"), "NOT_FOUND");
}

#[tokio::test]
async fn a_stream_that_its_caller_leaves_is_cancelled() {
    let (client, server) = (Pipeline::new(), Pipeline::new());
    let address = serve(&server).await;
    let channel = tonic::transport::Channel::from_shared(format!("http://{address}")).unwrap().connect_lazy();
    let layer = client.telemetry.grpc_client_layer();
    let mut health = HealthClient::new(ServiceBuilder::new().layer(layer).service(channel));
    let call = async {
        let watched = health.watch(HealthCheckRequest { service: "shop".to_owned() }).await.unwrap();
        let mut watched = watched.into_inner();
        watched.message().await.unwrap().unwrap();
        assert!(client.spans().is_empty() && server.spans().is_empty(), "the stream goes on");
    };
    call.with_subscriber(client.dispatch()).await;
    assert_eq!(outcome(&only(&client)), failed("CANCELLED"));
    let got = received(&server, 1).await.remove(0);
    assert_eq!((outcome(&got), text(&got, "rpc.response.status_code")), (fine(), "CANCELLED".to_owned()));
}

#[tokio::test]
async fn no_connection_is_an_error() {
    let pipeline = Pipeline::new();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let channel = tonic::transport::Channel::from_shared(format!("http://{address}")).unwrap().connect_lazy();
    let layer = plain().grpc_client_layer();
    let mut health = HealthClient::new(ServiceBuilder::new().layer(layer).service(channel));
    let call = health.check(HealthCheckRequest { service: "shop".to_owned() });
    call.with_subscriber(pipeline.dispatch()).await.unwrap_err();
    let (failed, kind) = outcome(&only(&pipeline));
    assert!(failed && !kind.is_empty(), "{kind}");
}

/// A call that a server answers with this code in its trailers, or without one.
async fn call(pipeline: &Pipeline, client: bool, path: &str, code: Option<u16>) {
    let service = service_fn(move |_: Request<()>| async move {
        let mut trailers = HeaderMap::new();
        if let Some(code) = code {
            trailers.insert("grpc-status", code.into());
        }
        let frames = [Frame::data(Bytes::from_static(b"data")), Frame::trailers(trailers)];
        let body = StreamBody::new(tokio_stream::iter(frames.map(Ok::<_, Infallible>)));
        Ok::<_, Infallible>(Response::new(body))
    });
    let request = Request::post(format!("http://shop{path}")).body(()).unwrap();
    let telemetry = &pipeline.telemetry;
    let read = async {
        if client {
            let service = telemetry.grpc_client_layer().layer(service);
            service.oneshot(request).await.unwrap().into_body().collect().await.unwrap();
        } else {
            let service = telemetry.grpc_server_layer().layer(service);
            service.oneshot(request).await.unwrap().into_body().collect().await.unwrap();
        }
    };
    read.with_subscriber(pipeline.dispatch()).await;
}

#[tokio::test]
async fn codes_are_errors_by_the_convention() {
    const SERVER: [u16; 6] = [2, 4, 12, 13, 14, 15];
    for code in 0..=16 {
        for client in [true, false] {
            let pipeline = Pipeline::new();
            call(&pipeline, client, "/shop.Orders/Put", Some(code)).await;
            let span = only(&pipeline);
            let name = text(&span, "rpc.response.status_code");
            let is_error = if client { code != 0 } else { SERVER.contains(&code) };
            assert_eq!(
                outcome(&span),
                if is_error { failed(&name) } else { fine() },
                "{code}, client {client}"
            );
        }
    }
    for code in [None, Some(17), Some(500)] {
        let pipeline = Pipeline::new();
        call(&pipeline, false, "/shop.Orders/Put", code).await;
        assert_eq!(outcome(&only(&pipeline)), failed("UNKNOWN"), "a stream has to end with a known code");
    }
}

/// The span of a call whose response is `response`.
async fn answered(pipeline: &Pipeline, request: Request<()>, response: Response<&'static str>, trust: bool) {
    let mut response = Some(response.map(http_body_util::Full::<Bytes>::from));
    let service =
        service_fn(move |_: Request<()>| std::future::ready(Ok::<_, Infallible>(response.take().unwrap())));
    let layer = pipeline.telemetry.grpc_server_layer().trust_forwarded(trust);
    let call = async { drop(layer.layer(service).oneshot(request).await.unwrap()) };
    call.with_subscriber(pipeline.dispatch()).await;
}

#[tokio::test]
async fn a_response_of_a_proxy_without_a_code_is_an_error() {
    let pipeline = Pipeline::new();
    let request = Request::post("http://shop/shop.Orders/Put").body(()).unwrap();
    answered(&pipeline, request, Response::builder().status(502).body("bad gateway").unwrap(), false).await;
    assert_eq!(outcome(&only(&pipeline)), failed("UNKNOWN"));
}

#[tokio::test]
async fn headers_of_proxies_are_read_only_if_they_are_trusted() {
    for (trust, client) in [(false, ""), (true, "198.51.100.9")] {
        let pipeline = Pipeline::new();
        let request = Request::post("http://shop/shop.Orders/Put").header("x-forwarded-for", "198.51.100.9");
        let response = Response::builder().header("grpc-status", 0).body("").unwrap();
        answered(&pipeline, request.body(()).unwrap(), response, trust).await;
        assert_eq!(text(&only(&pipeline), "client.address"), client, "trust {trust}");
    }
}

#[tokio::test]
async fn the_port_of_a_server_follows_from_its_scheme() {
    for (scheme, port) in [("http", "80"), ("https", "443")] {
        let pipeline = Pipeline::new();
        let service = service_fn(|_: Request<()>| async {
            Ok::<_, Infallible>(Response::new(http_body_util::Empty::<Bytes>::new()))
        });
        let request = Request::post(format!("{scheme}://shop/shop.Orders/Put")).body(()).unwrap();
        let call = pipeline.telemetry.grpc_client_layer().layer(service).oneshot(request);
        drop(call.with_subscriber(pipeline.dispatch()).await.unwrap());
        assert_eq!(text(&only(&pipeline), "server.port"), port);
    }
}

#[tokio::test]
async fn the_names_of_methods_are_bounded() {
    let pipeline = Pipeline::new();
    let service = service_fn(|_: Request<()>| async {
        let response = Response::builder().header("grpc-status", 0);
        Ok::<_, Infallible>(response.body(http_body_util::Empty::<Bytes>::new()).unwrap())
    });
    let service = pipeline.telemetry.grpc_server_layer().layer(service);
    let long = format!("/shop.Orders/{}", "x".repeat(1_024));
    let paths = std::iter::once(long).chain((0..1_001).map(|n| format!("/shop.Orders/Put{n}")));
    for path in paths {
        let call = service.clone().oneshot(Request::post(path).body(()).unwrap());
        drop(call.with_subscriber(pipeline.dispatch()).await.unwrap());
    }
    let spans = pipeline.spans();
    let other = |place: usize| text(&spans[place], semconv::RPC_METHOD) == "_OTHER";
    assert!(other(0), "it is too long");
    assert!(
        !other(1) && !other(999) && other(1_001),
        "there is room for 1,000 names, that of unknown methods included"
    );
}

/// Any caller can make up methods.
#[cfg(feature = "prometheus")]
#[tokio::test]
async fn a_method_has_a_name_once_it_exists() {
    use campanile::telemetry::Sampling;

    for sampling in [Sampling::AlwaysOn, Sampling::AlwaysOff] {
        let pipeline = Pipeline::with(|builder| builder.prometheus().sampling(sampling.clone()));
        let code = std::sync::Arc::new(std::sync::atomic::AtomicU16::new(0));
        let of_call = std::sync::Arc::clone(&code);
        let service = service_fn(move |_: Request<()>| {
            let mut response = Response::new(http_body_util::Empty::<Bytes>::new());
            let code = of_call.load(std::sync::atomic::Ordering::Relaxed);
            response.headers_mut().insert("grpc-status", code.into());
            async { Ok::<_, Infallible>(response) }
        });
        let service = pipeline.telemetry.grpc_server_layer().layer(service);
        for n in 0..20 {
            for (path, answer) in [
                ("/shop.Orders/Put".to_owned(), 13),
                (format!("/made.Up/{n}"), 12),
                (format!("/made.Up/{n}"), 16),
            ] {
                code.store(answer, std::sync::atomic::Ordering::Relaxed);
                let request = Request::post(path).body(()).unwrap();
                let call = async { drop(service.clone().oneshot(request).await.unwrap()) };
                call.with_subscriber(pipeline.dispatch()).await;
            }
        }
        let counts = super::server::counts(&pipeline);
        let expected =
            [("grpc", "", 20.0), ("grpc", "UNIMPLEMENTED", 20.0), ("shop.Orders/Put", "INTERNAL", 20.0)].map(
                |(name, kind, count)| (("grpc_server".to_owned(), name.to_owned(), kind.to_owned()), count),
            );
        assert_eq!(counts, expected.into(), "{sampling:?}");
        if let Some(made_up) = pipeline.spans().iter().find(|span| span.name == "grpc") {
            assert_eq!(text(made_up, semconv::RPC_METHOD), "_OTHER");
            assert_eq!(text(made_up, semconv::RPC_METHOD_ORIGINAL), "made.Up/0");
        }
    }
}
