//! Trace context over HTTP, with a real server and a real client.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use campanile::telemetry::propagator;
use http::{HeaderMap, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use opentelemetry::baggage::BaggageExt;
use opentelemetry::trace::{SpanId, TraceContextExt};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::SpanData;
use tokio::net::TcpListener;
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tracing::instrument::WithSubscriber;
use tracing::{Dispatch, Instrument, info_span};

use crate::support::{Pipeline, assert_child, attribute, echo, plain, scoped};

#[tracing::instrument(skip_all)]
async fn handler(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let tenant = Context::current().baggage().get("tenant").map(ToString::to_string).unwrap_or_default();
    // Lets other tasks run before the rest of the handler.
    tokio::task::yield_now().await;
    drop(request);
    drop(info_span!("query"));
    Ok(Response::new(Full::from(tenant)))
}

/// A server that serves each connection inside its own span, as many servers do.
async fn serve(pipeline: &Pipeline) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let dispatch = pipeline.dispatch();
    let layers = pipeline.telemetry.clone();
    tokio::spawn(
        async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let service =
                    ServiceBuilder::new().layer(layers.http_server_layer()).service(service_fn(handler));
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
async fn p31_a_remote_parent_passes_both_layers() {
    let (checkout, payments) = (Arc::new(Pipeline::new()), Pipeline::new());
    let address = serve(&payments).await;
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let client = ServiceBuilder::new().layer(checkout.telemetry.http_client_layer()).service(client);
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
        // A span belongs to the subscriber that is the default when it is made.
        let span = info_span!("order");
        order.instrument(span).await;
    };
    order.with_subscriber(dispatch).await;

    let call = checkout.span("call");
    assert_child(&call, &checkout.span("order"));
    let sent = checkout.span("GET");
    assert_child(&sent, &call);
    let received = payments.span("GET");
    assert_child(&received, &sent);
    assert!(received.parent_span_is_remote);
    let handler = payments.span("handler");
    assert_child(&handler, &received);
    assert_child(&payments.span("query"), &handler);
}

type Headers<'a> = &'a [(&'static str, &'a str)];
type Formats = Arc<dyn opentelemetry::propagation::TextMapPropagator + Send + Sync>;

fn formats(names: &[&str]) -> Formats {
    propagator(names.iter().copied()).unwrap()
}

fn request(headers: &[(&'static str, &str)]) -> Request<()> {
    let mut request = Request::new(());
    for (name, value) in headers {
        request.headers_mut().append(*name, http::HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    request
}

/// The headers that a service injects inside a span `out` while it handles a request with `headers`. The server makes no span.
async fn relay(pipeline: &Pipeline, formats: Option<Formats>, headers: &[(&'static str, &str)]) -> HeaderMap {
    let layers = plain();
    let (mut server, mut client) = (layers.http_server_layer().untraced(["*"]), layers.http_client_layer());
    if let Some(formats) = formats {
        (server, client) = (server.propagator(Arc::clone(&formats)), client.propagator(formats));
    }
    let client = ServiceBuilder::new().layer(client).service(service_fn(echo));
    let server = ServiceBuilder::new().layer(server).service(service_fn(|_: Request<()>| {
        let call = client.clone().oneshot(Request::new(()));
        async move { call.instrument(info_span!("out")).await }
    }));
    let response = server.oneshot(request(headers)).with_subscriber(pipeline.dispatch()).await.unwrap();
    response.headers().clone()
}

/// The spans `out`.
fn out(pipeline: &Pipeline) -> Vec<SpanData> {
    pipeline.spans().into_iter().filter(|span| span.name == "out").collect()
}

/// The number of times that `header` was ignored for `reason`.
#[cfg(feature = "prometheus")]
fn ignored(header: &str, reason: &str) -> f64 {
    let pipeline = Pipeline::with(|builder| builder.prometheus());
    let text = pipeline.telemetry.prometheus_text();
    let labels = [("header", header), ("reason", reason)];
    crate::red::value(&text, "campanile_telemetry_propagation_malformed_total", &labels).unwrap_or(0.0)
}

/// The headers that a service injects for a request with `headers`, and the parent of the handler's span.
async fn through(pipeline: &Pipeline, headers: &[(&'static str, &str)]) -> (HeaderMap, SpanId) {
    let headers = relay(pipeline, None, headers).await;
    (headers, out(pipeline).last().unwrap().parent_span_id)
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
async fn the_span_of_the_call_is_injected() {
    let pipeline = Pipeline::new();
    let (headers, _) = through(&pipeline, &[]).await;
    let sent = pipeline.span("GET");
    assert_child(&sent, &pipeline.span("out"));
    let sent = sent.span_context;
    let expected = format!("00-{}-{}-01", sent.trace_id(), sent.span_id());
    assert_eq!(headers["traceparent"], expected);
}

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[tokio::test]
async fn two_traceparent_headers_count_as_none() {
    let pipeline = Pipeline::new();
    let other = GOOD.replace("4bf", "4be");
    assert_eq!(
        through(&pipeline, &[("traceparent", GOOD), ("traceparent", &other)]).await.1,
        SpanId::INVALID
    );
    let state = [("traceparent", GOOD), ("tracestate", "a=1"), ("tracestate", "b=2")];
    let (headers, parent) = through(&pipeline, &state).await;
    assert_eq!(headers["tracestate"], "a=1,b=2");
    assert_eq!(parent, SpanId::from(0x00f0_67aa_0ba9_02b7));
    assert!(headers["traceparent"].to_str().unwrap().starts_with(&format!("00-{TRACE}-")));
}

#[cfg(feature = "prometheus")]
#[tokio::test]
async fn ignored_headers_are_counted_by_header_and_reason() {
    let pipeline = Pipeline::new();
    let large = format!("a={}", "x".repeat(9_000));
    let many: Vec<_> = (0..70).map(|n| format!("k{n}=v")).collect();
    let many = many.join(",");
    let cases: [(&str, &str, Headers<'_>); 9] = [
        ("traceparent", "syntax", &[("traceparent", "00-short")]),
        ("traceparent", "syntax", &[("traceparent", "\u{e4}")]),
        ("traceparent", "repeated", &[("traceparent", GOOD), ("traceparent", GOOD)]),
        ("tracestate", "syntax", &[("traceparent", GOOD), ("tracestate", "=")]),
        ("baggage", "syntax", &[("baggage", "a=1,nothing")]),
        ("baggage", "too_large", &[("baggage", &large)]),
        ("baggage", "too_large", &[("baggage", &many)]),
        ("b3", "syntax", &[("b3", "nonsense")]),
        ("x-b3", "syntax", &[("x-b3-traceid", "nonsense")]),
    ];
    for (header, reason, headers) in cases {
        let before = ignored(header, reason);
        let formats = header.contains("b3").then(|| formats(&["b3"]));
        relay(&pipeline, formats, headers).await;
        // Tests that run at the same time may count too.
        assert!(ignored(header, reason) >= before + 1.0, "{header} {reason} {headers:?}");
    }
}

#[tokio::test]
async fn baggage_is_kept_within_its_limits() {
    let pipeline = Pipeline::new();
    let many: Vec<_> = (0..70).map(|n| format!("k{n}=v{n}")).collect();
    let (headers, _) = through(&pipeline, &[("baggage", &many.join(",")), ("baggage", "last=1")]).await;
    let mut kept: Vec<_> = headers["baggage"].to_str().unwrap().split(',').collect();
    kept.sort_unstable();
    let mut expected: Vec<_> = many[..64].iter().map(String::as_str).collect();
    expected.sort_unstable();
    assert_eq!(kept, expected);
    let (headers, _) = through(&pipeline, &[("baggage", "tenant=m%C3%BCller%2C%201;ttl=5")]).await;
    assert_eq!(headers["baggage"], "tenant=m%C3%BCller%2C%201;ttl=5");
}

#[tokio::test]
async fn b3_is_propagated_in_one_header_or_several() {
    const SPAN: &str = "e457b5a2e4d86bd1";
    for (sampled, state) in [(true, "1"), (false, "0"), (true, "d")] {
        let pipeline = Pipeline::new();
        let single = format!("{TRACE}-{SPAN}-{state}");
        let flag = if state == "d" { ("x-b3-flags", "1") } else { ("x-b3-sampled", state) };
        let multi = [("x-b3-traceid", TRACE), ("x-b3-spanid", SPAN), flag];
        let single = [("b3", single.as_str())];
        // Both forms are read, independent of the form that is written.
        for headers in [&single[..], &multi[..]] {
            let to_single = relay(&pipeline, Some(formats(&["b3"])), headers).await;
            let (start, end) = (format!("{TRACE}-"), format!("-{state}"));
            let text = to_single["b3"].to_str().unwrap();
            assert!(text.starts_with(&start) && text.ends_with(&end) && !text.contains(SPAN), "{text}");
            let to_multi = relay(&pipeline, Some(formats(&["b3multi", "baggage"])), headers).await;
            assert_eq!(to_multi.len(), 3, "{to_multi:?}");
            assert_eq!(to_multi["x-b3-traceid"], TRACE);
            assert_ne!(to_multi["x-b3-spanid"], SPAN);
            assert_eq!(to_multi[flag.0], flag.1);
        }
        let spans = out(&pipeline);
        assert_eq!(spans.len(), if sampled { 4 } else { 0 });
        assert!(
            spans.iter().all(|span| span.parent_span_id.to_string() == SPAN && span.parent_span_is_remote)
        );
    }
}

#[tokio::test]
async fn b3_may_deny_or_defer() {
    let pipeline = Pipeline::new();
    let headers = relay(&pipeline, Some(formats(&["b3"])), &[("b3", "0")]).await;
    assert!(headers["b3"].to_str().unwrap().ends_with("-0"));
    assert!(pipeline.spans().is_empty(), "a trace that the caller did not sample was exported");
    // A deferred decision: the pipeline's sampling decides.
    for (sampling, kept) in
        [(campanile::telemetry::Sampling::AlwaysOn, 1), (campanile::telemetry::Sampling::AlwaysOff, 0)]
    {
        let pipeline = Pipeline::with(|builder| {
            let b3 = |name: &str| (name == "OTEL_PROPAGATORS").then(|| "b3".to_owned());
            builder.variables(b3).sampling(campanile::telemetry::Sampling::parent_based(sampling))
        });
        let formats = pipeline.telemetry.propagator();
        let deferred = format!("{TRACE}-e457b5a2e4d86bd1");
        relay(&pipeline, Some(formats), &[("b3", &deferred)]).await;
        assert_eq!(out(&pipeline).len(), kept);
    }
}

#[tokio::test]
async fn injection_replaces_stale_headers_only() {
    let pipeline = Pipeline::new();
    let client =
        ServiceBuilder::new().layer(pipeline.telemetry.http_client_layer()).service(service_fn(echo));
    let copied = [("traceparent", GOOD), ("tracestate", "a=1"), ("baggage", "mine=1"), ("x-other", "kept")];
    let call = async {
        let span = info_span!("out");
        client.clone().oneshot(request(&copied)).instrument(span).await.unwrap().headers().clone()
    };
    let headers = call.with_subscriber(pipeline.dispatch()).await;
    let sent = pipeline.span("GET").span_context;
    assert_eq!(headers["traceparent"], format!("00-{}-{}-01", sent.trace_id(), sent.span_id()));
    assert!(!headers.contains_key("tracestate"), "the state of the other trace is kept");
    assert_eq!(headers["baggage"], "mine=1");
    assert_eq!(headers["x-other"], "kept");
    // Outside of a span the headers stay unchanged.
    let response = client.oneshot(request(&copied)).await.unwrap();
    let headers = response.headers();
    assert_eq!(headers["traceparent"], GOOD);
    assert_eq!(headers["tracestate"], "a=1");
}

#[tokio::test]
async fn each_attempt_of_a_retry_injects_its_own_span() {
    use campanile::retry::ReplayBody;
    use campanile::{Backoff, Jitter, Retry};
    use http::StatusCode;
    use std::sync::Mutex;
    use std::time::Duration;

    let pipeline = Pipeline::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let retry = Retry::builder()
        .max_attempts(3)
        .backoff(Backoff::constant(Duration::from_millis(1)).jitter(Jitter::None))
        .build()
        .unwrap();
    let upstream = {
        let seen = Arc::clone(&seen);
        service_fn(move |request: Request<ReplayBody>| {
            let parent = request.headers()["traceparent"].to_str().unwrap().to_owned();
            assert_eq!(request.headers().get_all("traceparent").iter().count(), 1);
            seen.lock().unwrap().push(parent);
            async {
                let mut response = Response::new(Full::<Bytes>::default());
                *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                Ok::<_, Infallible>(response)
            }
        })
    };
    let client = ServiceBuilder::new()
        .layer(retry.http_layer())
        .layer(pipeline.telemetry.http_client_layer())
        .service(upstream);
    let request = Request::get("http://upstream/").body(Full::<Bytes>::default()).unwrap();
    client.oneshot(request).with_subscriber(pipeline.dispatch()).await.unwrap();
    let expected: Vec<_> = pipeline
        .spans()
        .iter()
        .map(|span| format!("00-{}-{}-01", span.span_context.trace_id(), span.span_context.span_id()))
        .collect();
    assert_eq!(*seen.lock().unwrap(), expected);
    assert_eq!(expected.len(), 3);
    let resends: Vec<_> =
        pipeline.spans().iter().map(|span| attribute(span, "http.request.resend_count")).collect();
    assert_eq!(resends, [None, Some(1.into()), Some(2.into())]);
}

#[cfg(feature = "grpc")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p31_a_trace_passes_a_tonic_client_and_server() {
    use tokio_stream::wrappers::TcpListenerStream;
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_client::HealthClient;

    let (checkout, payments) = (Pipeline::new(), Pipeline::new());
    let (reporter, service) = tonic_health::server::health_reporter();
    reporter.set_service_status("shop", tonic_health::ServingStatus::Serving).await;
    let look = |request: tonic::Request<()>| {
        let tenant = Context::current().baggage().get("tenant").map(ToString::to_string);
        drop(info_span!("check", tenant, traceparent = ?request.metadata().get("traceparent")));
        Ok(request)
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(
        tonic::transport::Server::builder()
            .layer(scoped(payments.dispatch()))
            .layer(payments.telemetry.grpc_server_layer().untraced([""; 0]))
            .layer(tonic::service::InterceptorLayer::new(look))
            .add_service(service)
            .serve_with_incoming(TcpListenerStream::new(listener)),
    );
    let channel = tonic::transport::Channel::from_shared(format!("http://{address}")).unwrap().connect_lazy();
    let mut client = HealthClient::new(
        ServiceBuilder::new().layer(checkout.telemetry.grpc_client_layer()).service(channel),
    );
    let call = async {
        let attached = Context::current_with_baggage([KeyValue::new("tenant", "blue")]).attach();
        let span = info_span!("call");
        drop(attached);
        client.check(HealthCheckRequest { service: "shop".to_owned() }).instrument(span).await.unwrap()
    };
    call.with_subscriber(checkout.dispatch()).await;
    let sent = checkout.span("grpc.health.v1.Health/Check");
    assert_child(&sent, &checkout.span("call"));
    let received = payments.span("grpc.health.v1.Health/Check");
    assert_child(&received, &sent);
    assert!(received.parent_span_is_remote);
    let check = payments.span("check");
    assert_child(&check, &received);
    assert_eq!(attribute(&check, "tenant"), Some("blue".into()));
    let header = attribute(&check, "traceparent").unwrap().to_string();
    assert!(header.contains(&sent.span_context.span_id().to_string()), "{header}");
}

#[tokio::test]
async fn outside_of_spans_nothing_is_injected() {
    let client = ServiceBuilder::new().layer(plain().http_client_layer()).service(service_fn(echo));
    let response = client.oneshot(Request::new(())).await.unwrap();
    let headers = response.headers();
    assert!(!headers.contains_key("traceparent"), "{headers:?}");
    assert!(!Context::current().has_active_span());
}
