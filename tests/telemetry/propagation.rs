//! Trace context over HTTP, with a real server and a real client.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use campanile::telemetry::{http_injection_layer, http_propagation_layer};
use http::{HeaderMap, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use opentelemetry::baggage::BaggageExt;
use opentelemetry::trace::{SpanId, TraceContextExt};
use opentelemetry::{Context, KeyValue};
use tokio::net::TcpListener;
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tracing::instrument::WithSubscriber;
use tracing::{Dispatch, Instrument, info_span};

use crate::support::{Pipeline, assert_child};

#[tracing::instrument(skip_all)]
async fn handler(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let tenant = Context::current().baggage().get("tenant").map(ToString::to_string).unwrap_or_default();
    // Somewhere else in between.
    tokio::task::yield_now().await;
    drop(request);
    drop(info_span!("query"));
    Ok(Response::new(Full::from(tenant)))
}

/// A server whose connections are served inside a span of its own, as many are.
async fn serve(pipeline: &Pipeline) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let dispatch = pipeline.dispatch();
    tokio::spawn(
        async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let service =
                    ServiceBuilder::new().layer(http_propagation_layer()).service(service_fn(handler));
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
                let span = info_span!(parent: None, "connection");
                tokio::spawn(
                    async move { connection.await.unwrap() }
                        .instrument(span)
                        .with_subscriber(tracing::dispatcher::get_default(Dispatch::clone)),
                );
            }
        }
        .with_subscriber(dispatch),
    );
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p31_a_remote_parent_comes_through_both_layers() {
    let (checkout, payments) = (Arc::new(Pipeline::new()), Pipeline::new());
    let address = serve(&payments).await;
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let client = ServiceBuilder::new().layer(http_injection_layer()).service(client);
    let order = async {
        let request = Request::get(format!("http://{address}/")).body(Full::default()).unwrap();
        let attached = Context::current_with_baggage([KeyValue::new("tenant", "blue")]).attach();
        let call = info_span!("call");
        drop(attached);
        let response = client.oneshot(request).instrument(call).await.unwrap();
        let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
        assert_eq!(body, "blue");
    };
    let dispatch = checkout.dispatch();
    let order = async move {
        // The span belongs to the dispatcher that is the default when it is made.
        let span = info_span!("order");
        order.instrument(span).await;
    };
    order.with_subscriber(dispatch).await;

    let call = checkout.span("call");
    assert_child(&call, &checkout.span("order"));
    let handler = payments.span("handler");
    assert_child(&handler, &call);
    assert!(handler.parent_span_is_remote);
    assert_child(&payments.span("query"), &handler);
}

/// The headers that a request with these has on its way out of a span, and that span's parent.
async fn through(pipeline: &Pipeline, headers: &[(&'static str, &str)]) -> (HeaderMap, SpanId) {
    let inner = service_fn(|request: Request<()>| async move {
        let _span = info_span!("handler").entered();
        let out = Request::new(());
        drop(request);
        Ok::<_, Infallible>(Response::new(out))
    });
    let echo =
        service_fn(|request: Request<()>| async move { Ok::<_, Infallible>(request.headers().clone()) });
    let client = ServiceBuilder::new().layer(http_injection_layer()).service(echo);
    let server = ServiceBuilder::new().layer(http_propagation_layer()).service(inner);
    let mut request = Request::new(());
    for (name, value) in headers {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    let run = async {
        server.oneshot(request).await.unwrap();
        let span = info_span!("out");
        client.oneshot(Request::new(())).instrument(span).await.unwrap()
    };
    let headers = run.with_subscriber(pipeline.dispatch()).await;
    let parent = pipeline.spans().into_iter().rfind(|span| span.name == "handler").unwrap().parent_span_id;
    (headers, parent)
}

#[tokio::test]
async fn malformed_headers_count_as_absent() {
    let pipeline = Pipeline::new();
    let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    assert_eq!(through(&pipeline, &[("traceparent", good)]).await.1, SpanId::from(0x00f0_67aa_0ba9_02b7));
    for bad in ["", "00", "00-0-0-01", "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "\u{e4}"] {
        assert_eq!(through(&pipeline, &[("traceparent", bad)]).await.1, SpanId::INVALID, "{bad:?}");
    }
    let (_, parent) = through(&pipeline, &[("baggage", "%%%,=,;;"), ("tracestate", "===")]).await;
    assert_eq!(parent, SpanId::INVALID);
}

#[tokio::test]
async fn what_is_injected_is_the_span_of_the_call() {
    let pipeline = Pipeline::new();
    let (headers, _) = through(&pipeline, &[]).await;
    let out = pipeline.span("out").span_context;
    let expected = format!("00-{}-{}-01", out.trace_id(), out.span_id());
    assert_eq!(headers["traceparent"], expected);
}

#[tokio::test]
async fn outside_of_spans_nothing_is_injected() {
    let echo =
        service_fn(|request: Request<()>| async move { Ok::<_, Infallible>(request.headers().clone()) });
    let client = ServiceBuilder::new().layer(http_injection_layer()).service(echo);
    let headers = client.oneshot(Request::new(())).await.unwrap();
    assert!(!headers.contains_key("traceparent"), "{headers:?}");
    assert!(!Context::current().has_active_span());
}
