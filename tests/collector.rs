//! Two services export a trace, metrics, logs and resources to a real collector.

#![cfg(campanile_real_servers)]

#[allow(unused_imports)] // Each test uses its part.
mod support;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use campanile::Telemetry;
use campanile::telemetry::{SpanExt, TelemetryError};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use support::rotel::Received;
use support::tls::Authority;
use support::{Prometheus, Rotel, promtool_check_metrics};
use tokio::net::TcpListener;
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tracing::instrument::WithSubscriber;
use tracing::{Dispatch, Instrument, info, info_span};
use tracing_subscriber::prelude::*;

const LIMIT: Duration = Duration::from_secs(60);

/// Additional environment variables.
type More = Vec<(&'static str, String)>;

fn service(name: &str, endpoint: &str, protocol: &str, more: &More) -> (Telemetry, Dispatch) {
    let (endpoint, protocol, more) = (endpoint.to_owned(), protocol.to_owned(), more.clone());
    let telemetry = Telemetry::builder(name)
        .otlp()
        .attribute("deployment.environment.name", "test")
        .variables(move |name| match name {
            "OTEL_EXPORTER_OTLP_ENDPOINT" => Some(endpoint.clone()),
            "OTEL_EXPORTER_OTLP_PROTOCOL" => Some(protocol.clone()),
            _ => more.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone()),
        })
        .build()
        .unwrap();
    let dispatch = Dispatch::new(tracing_subscriber::registry().with(telemetry.span_layer()));
    (telemetry, dispatch)
}

#[tracing::instrument(skip_all, fields(otel.kind = "server", component = "ledger"), err)]
async fn pay(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, std::io::Error> {
    tokio::task::yield_now().await;
    Err(std::io::Error::other("no money"))
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(pay(request).await.unwrap_or_else(|_| Response::new(Full::default())))
}

async fn serve(telemetry: &Telemetry) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let layer = telemetry.http_server_layer().component("payments");
    let accept = async move {
        let (stream, _) = listener.accept().await.unwrap();
        let service = ServiceBuilder::new().layer(layer).service(service_fn(answer));
        let service = TowerToHyperService::new(service);
        let http = hyper::server::conn::http1::Builder::new();
        http.serve_connection(TokioIo::new(stream), service).await.unwrap();
    };
    tokio::spawn(accept.with_current_subscriber());
    address
}

async fn order(address: SocketAddr, telemetry: &Telemetry) {
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let client = ServiceBuilder::new().layer(telemetry.http_client_layer()).service(client);
    let request = Request::get(format!("http://{address}/")).body(Full::default()).unwrap();
    let call = async {
        info!(id = 7, "an order");
        client.oneshot(request).await.unwrap()
    };
    let span = info_span!("order", id = 7);
    call.instrument(span).await;
}

async fn two_services_reach_the_collector(rotel: &Rotel, endpoint: String, protocol: &str, more: More) {
    let (checkout, in_checkout) = service("checkout", &endpoint, protocol, &more);
    let (payments, in_payments) = service("payments", &endpoint, protocol, &more);
    let address = serve(&payments).with_subscriber(in_payments).await;
    order(address, &checkout).with_subscriber(in_checkout).await;
    for telemetry in [checkout, payments] {
        assert!(telemetry.shutdown(LIMIT), "not everything was exported");
    }
    let names = ["campanile.span.duration", "campanile.telemetry.spans.started"];
    let all = |got: &Received| {
        got.spans.len() == 4
            && got.logs.len() == 2
            && names.iter().all(|name| got.metrics.iter().filter(|metric| metric.name == *name).count() == 2)
    };
    let got = rotel.wait_for(all, LIMIT).await;
    let (order, pay) = (got.span("order").unwrap(), got.span("pay").unwrap());
    let request = |kind: &str| {
        let found = got.spans.iter().find(|span| span.name == "GET" && span.kind == kind);
        found.unwrap_or_else(|| panic!("no request of kind {kind} in {:?}", got.spans))
    };
    let (sent, received) = (request("SPAN_KIND_CLIENT"), request("SPAN_KIND_SERVER"));
    for (child, parent) in [(sent, order), (received, sent), (pay, received)] {
        let ids = (child.trace_id.as_str(), child.parent_id.as_str());
        assert_eq!(ids, (order.trace_id.as_str(), parent.id.as_str()), "{}", child.name);
    }
    assert_eq!(order.parent_id, "");
    assert_eq!(order.attributes["id"], "7");
    assert_eq!((pay.kind.as_str(), pay.status.as_str()), ("SPAN_KIND_SERVER", "STATUS_CODE_ERROR"));
    assert_eq!(pay.status_message, "no money");
    assert_eq!(pay.events.len(), 1);
    let [taken, failed] = &got.logs[..] else { panic!("two log records") };
    let (taken, failed) = if taken.body == "an order" { (taken, failed) } else { (failed, taken) };
    for (log, span, service) in [(taken, order, "checkout"), (failed, pay, "payments")] {
        assert_eq!((&log.trace_id, &log.span_id), (&span.trace_id, &span.id));
        assert_eq!((log.scope.as_str(), log.flags.as_str()), ("collector", "1"));
        assert_eq!(log.resource["service.name"], service);
    }
    assert_eq!((taken.body.as_str(), taken.severity.as_str()), ("an order", "INFO"));
    assert_eq!(taken.attributes["id"], "7");
    assert_eq!((failed.body.as_str(), failed.severity.as_str()), ("no money", "ERROR"));
    assert_eq!(failed.attributes["exception.message"], "no money");
    for (span, service) in [(order, "checkout"), (pay, "payments")] {
        assert_eq!(span.resource["service.name"], service);
        assert_eq!(span.resource["deployment.environment.name"], "test");
        assert_eq!(span.resource["telemetry.sdk.language"], "rust");
        assert_eq!(span.resource["process.pid"], std::process::id().to_string());
    }
    let durations = got.metrics.iter().filter(|metric| metric.name == "campanile.span.duration");
    let mut calls: Vec<_> = durations
        .flat_map(|metric| metric.points.iter().map(|point| (&metric.resource["service.name"], point)))
        .filter(|(_, point)| point.count > Some(0))
        .map(|(service, point)| {
            let of = |key: &str| point.attributes.get(key).cloned().unwrap_or_default();
            (service.clone(), of("component"), of("span.name"), of("error.type"), point.count)
        })
        .collect();
    calls.sort();
    let call = |service: &str, component: &str, name: &str, error: &str| {
        let text = |text: &str| text.to_owned();
        (text(service), text(component), text(name), text(error), Some(1))
    };
    assert_eq!(
        calls,
        [
            call("checkout", "collector", "order", ""),
            call("checkout", "http_client", "GET", ""),
            call("payments", "ledger", "pay", "_OTHER"),
            call("payments", "payments", "GET", ""),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn over_grpc() {
    let rotel = Rotel::start().await;
    two_services_reach_the_collector(&rotel, rotel.grpc_endpoint(), "grpc", More::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http() {
    let rotel = Rotel::start().await;
    two_services_reach_the_collector(&rotel, rotel.http_endpoint(), "http/protobuf", More::new()).await;
}

#[tokio::test]
async fn from_a_runtime_with_one_thread() {
    let rotel = Rotel::start().await;
    two_services_reach_the_collector(&rotel, rotel.http_endpoint(), "http/protobuf", More::new()).await;
}

/// The protocols with their ALPN names.
const PROTOCOLS: [(&str, &[u8]); 2] = [("grpc", b"h2"), ("http/protobuf", b"http/1.1")];

#[tokio::test(flavor = "multi_thread")]
async fn compressed_over_both_protocols() {
    for (protocol, _) in PROTOCOLS {
        let rotel = Rotel::start().await;
        let endpoint = format!("http://{}", rotel.address(protocol));
        let more = vec![("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip".to_owned())];
        two_services_reach_the_collector(&rotel, endpoint, protocol, more).await;
    }
}

fn file(authority: &Authority, name: &str) -> String {
    authority.file(name).to_string_lossy().into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_tls_over_both_protocols() {
    let authority = Authority::new();
    for (protocol, alpn) in PROTOCOLS {
        for clients in [false, true] {
            let rotel = Rotel::start().await;
            let proxy = authority.proxy(rotel.address(protocol), alpn, clients).await;
            let mut more = vec![("OTEL_EXPORTER_OTLP_CERTIFICATE", file(&authority, "ca"))];
            if clients {
                more.push(("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", file(&authority, "client")));
                more.push(("OTEL_EXPORTER_OTLP_CLIENT_KEY", file(&authority, "client-key")));
            }
            two_services_reach_the_collector(&rotel, format!("https://{proxy}"), protocol, more).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p34_an_untrusted_peer_gets_nothing_and_the_failure_is_counted() {
    let (authority, other) = (Authority::new(), Authority::new());
    let rotel = Rotel::start().await;
    for (protocol, alpn) in PROTOCOLS {
        // The client does not trust the collector; the client has no certificate; the collector does not trust the client.
        for (trusted, client, clients) in
            [(&other, None, false), (&authority, None, true), (&authority, Some(&other), true)]
        {
            let proxy = authority.proxy(rotel.address(protocol), alpn, clients).await;
            let mut more = vec![
                ("OTEL_METRICS_EXPORTER", "prometheus".to_owned()),
                ("OTEL_EXPORTER_OTLP_CERTIFICATE", file(trusted, "ca")),
                ("OTEL_EXPORTER_OTLP_TIMEOUT", "500".to_owned()),
            ];
            if let Some(client) = client {
                more.push(("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", file(client, "client")));
                more.push(("OTEL_EXPORTER_OTLP_CLIENT_KEY", file(client, "client-key")));
            }
            let (telemetry, dispatch) = service("checkout", &format!("https://{proxy}"), protocol, &more);
            tracing::dispatcher::with_default(&dispatch, || drop(info_span!("order")));
            assert!(!telemetry.force_flush(LIMIT));
            let text = telemetry.prometheus_text();
            let counted = r#"campanile_telemetry_export_failures_total{signal="traces"} 1"#;
            assert!(text.contains(counted), "{text}");
        }
    }
    assert!(rotel.received().spans.is_empty());
}

#[test]
fn errors_name_certificates_that_cannot_be_read() {
    let authority = Authority::new();
    let key = file(&authority, "client-key");
    for (set, name, why) in [
        (vec![("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere.pem".to_owned())], "CERTIFICATE", "No such file"),
        (vec![("OTEL_EXPORTER_OTLP_CERTIFICATE", key.clone())], "CERTIFICATE", "it contains no certificate"),
        (vec![("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", key)], "TRACES_CLIENT_KEY", "set its certificate too"),
        (
            vec![("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", file(&authority, "client"))],
            "CLIENT_CERTIFICATE",
            "set its key too",
        ),
    ] {
        let read = move |name: &str| match name {
            "OTEL_EXPORTER_OTLP_ENDPOINT" => Some("https://127.0.0.1:1".to_owned()),
            _ => set.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone()),
        };
        let error = Telemetry::builder("test").otlp().variables(read).build().unwrap_err();
        let TelemetryError::Setting(error) = error else { panic!("{error}") };
        assert_eq!(error.setting(), format!("OTEL_EXPORTER_OTLP_{name}"));
        assert!(error.to_string().contains(why), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_stores_scraped_exemplars() {
    let telemetry = Telemetry::builder("checkout").prometheus().variables(|_| None).build().unwrap();
    let dispatch = Dispatch::new(tracing_subscriber::registry().with(telemetry.span_layer()));
    let trace_id = tracing::dispatcher::with_default(&dispatch, || {
        let order = info_span!("order", component = "orders");
        order.trace_id().unwrap().to_string()
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = axum::Router::new().route_service("/metrics", telemetry.prometheus_service());
    let serving = tokio::spawn(async move { axum::serve(listener, app).await });

    let prometheus = Prometheus::start(&[("checkout", address)]).await;
    let count = r#"campanile_span_duration_seconds_count{span_name="order"}"#;
    prometheus.wait_for(count, |series| series.iter().any(|(_, value)| *value == 1.0), LIMIT).await;
    let found = prometheus.exemplars("campanile_span_duration_seconds_bucket").await;
    let series = &found[0];
    assert_eq!(series["seriesLabels"]["component"], "orders", "{found}");
    let exemplar = &series["exemplars"][0];
    assert_eq!(exemplar["labels"]["trace_id"], trace_id.as_str(), "{found}");
    assert_eq!(exemplar["labels"]["span_id"].as_str().map(str::len), Some(16), "{found}");
    // Other metrics of the scrape have their types.
    let metadata = prometheus.vector("campanile_telemetry_spans_started_total").await;
    assert_eq!(metadata[0].1, 1.0);
    let info = prometheus.vector("target_info").await;
    assert_eq!((&info[0].0["service_name"], info[0].1), (&"checkout".into(), 1.0));
    serving.abort();
}

#[test]
fn promtool_accepts_the_metrics() {
    let breaker = campanile::CircuitBreaker::builder("payments").build().unwrap();
    let telemetry = Telemetry::builder("checkout")
        .prometheus()
        .system(Duration::from_secs(1))
        .variables(|_| None)
        .build();
    let telemetry = telemetry.unwrap();
    let subscriber = tracing_subscriber::registry().with(telemetry.span_layer());
    tracing::subscriber::with_default(subscriber, || drop(info_span!("order")));
    let text = telemetry.prometheus_text();
    assert!(text.contains("campanile_span_duration_seconds_bucket"), "{text}");
    promtool_check_metrics(&text).unwrap_or_else(|complaint| panic!("{complaint}\n{text}"));
    drop(breaker);
}

#[tokio::test]
async fn promtool_accepts_the_metrics_of_a_dead_letter_queue() {
    let folder = tempfile::tempdir().unwrap();
    let queue = campanile::DeadLetterQueue::builder("orders")
        .park_timeout(LIMIT / 2)
        .capacity(1)
        .when_full(campanile::dead_letter::WhenFull::Spill)
        .spill(folder.path().join("spill.db"))
        .sqlite(folder.path().join("letters.db"))
        .await
        .unwrap();
    let telemetry = Telemetry::builder("checkout").prometheus().variables(|_| None).install().unwrap();
    let service = queue.layer().layer(service_fn(|_: u32| async { Err::<(), _>("refused") }));
    for order in 0..3 {
        service.clone().oneshot(order).await.unwrap_err();
    }
    queue.groups(campanile::LetterFilter::all()).await.unwrap();
    let text = telemetry.prometheus_text();
    promtool_check_metrics(&text).unwrap_or_else(|complaint| panic!("{complaint}\n{text}"));
    let value = |series: &str| {
        let line = text.lines().find(|line| line.starts_with(series) && line.contains("queue=\"orders\""));
        let line = line.unwrap_or_else(|| panic!("no {series} in\n{text}"));
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    assert_eq!(value("campanile_dead_letter_parked_total"), 3.0);
    assert_eq!(value("campanile_dead_letter_depth{"), 1.0);
    assert_eq!(value("campanile_dead_letter_spill_depth{"), 2.0);
    assert_eq!(value("campanile_dead_letter_spilled_total{queue=\"orders\",reason=\"full\""), 2.0);
    assert!(value("campanile_dead_letter_size_bytes{") > 0.0);
    assert!(value("campanile_dead_letter_file_size_bytes{") > 4_096.0);
    let took = "campanile_dead_letter_store_duration_seconds_count";
    for (operation, times) in [("put", "3"), ("groups", "1")] {
        let series = text
            .lines()
            .find(|line| line.starts_with(took) && line.contains(&format!("operation=\"{operation}\"")));
        assert_eq!(series.and_then(|line| line.rsplit(' ').next()), Some(times), "{text}");
    }
    telemetry.shutdown(LIMIT);
}
