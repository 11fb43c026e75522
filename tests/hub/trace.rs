//! One request through axum, reqwest, tonic and a worker, in a real collector.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::routing::{get, post};
use campanile::Campanile;
use campanile::reqwest::HttpClient;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower::ServiceBuilder;

use crate::alone::alone;
use crate::support::Rotel;
use crate::support::rotel::{Received, Span};

const LIMIT: Duration = Duration::from_secs(60);
const REQUESTS: usize = 5;
const METHOD: &str = "grpc.health.v1.Health/Check";

async fn program(rotel: &Rotel) -> Campanile {
    let endpoint = rotel.http_endpoint();
    Campanile::builder("checkout")
        .environment([])
        .arguments(["sampler=false", "logging.console=off", "server.ledger-server.untraced=[]"])
        .telemetry(move |telemetry| {
            let endpoint = endpoint.clone();
            telemetry.otlp().variables(move |name| match name {
                "OTEL_EXPORTER_OTLP_ENDPOINT" => Some(endpoint.clone()),
                "OTEL_EXPORTER_OTLP_PROTOCOL" => Some("http/protobuf".to_owned()),
                _ => None,
            })
        })
        .start()
        .await
        .unwrap()
}

async fn listener() -> (tokio::net::TcpListener, String) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    (listener, address)
}

/// The server of tonic, behind whose layer a worker works on a row for each call.
async fn ledger(campanile: &Campanile) -> String {
    let (listener, address) = listener().await;
    let (_, service) = tonic_health::server::health_reporter();
    let worker = campanile.worker("import").build().await.unwrap();
    let works = move |result| async move {
        worker.run("row 1".to_owned(), |_| async { Ok::<_, std::io::Error>(()) }).await.unwrap();
        result
    };
    let layer = campanile.server("ledger-server").build().unwrap().grpc_layer();
    let server = tonic::transport::Server::builder()
        .layer(layer)
        .layer(ServiceBuilder::new().then(works).into_inner())
        .add_service(service)
        .serve_with_incoming(TcpListenerStream::new(listener));
    tokio::spawn(server);
    address
}

/// A server of axum that calls the one of tonic.
async fn stock(campanile: &Campanile) -> String {
    let (listener, address) = listener().await;
    let channel = Channel::from_shared(ledger(campanile).await).unwrap().connect_lazy();
    let channel = campanile.dependency("ledger").build().await.unwrap().grpc_client(channel);
    let look = move |_: Path<String>| {
        let mut client = HealthClient::new(channel.clone());
        async move {
            client.check(HealthCheckRequest::default()).await.map(|_| "7").map_err(|error| error.to_string())
        }
    };
    let layer = campanile.server("stock-server").build().unwrap().http_layer();
    let app = Router::new().route("/stock/{id}", get(look)).layer(layer);
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// A server of axum that calls the other one by reqwest.
async fn api(campanile: &Campanile) -> String {
    let (listener, address) = listener().await;
    let stock = format!("{}/stock/7", stock(campanile).await);
    let client = campanile.dependency("stock").build().await.unwrap().reqwest(reqwest::Client::new());
    let order = move |_: Path<String>| {
        let (client, stock): (HttpClient, String) = (client.clone(), stock.clone());
        async move { client.send(client.client().get(stock)).await.unwrap().text().await.unwrap() }
    };
    let layer = campanile.server("api").build().unwrap().http_layer();
    let app = Router::new().route("/orders/{id}", post(order)).layer(layer);
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// Name, kind and component, in the order of the calls.
const SPANS: [(&str, &str, &str); 6] = [
    ("POST /orders/{id}", "SPAN_KIND_SERVER", "api"),
    ("GET", "SPAN_KIND_CLIENT", "stock"),
    ("GET /stock/{id}", "SPAN_KIND_SERVER", "stock-server"),
    (METHOD, "SPAN_KIND_CLIENT", "ledger"),
    (METHOD, "SPAN_KIND_SERVER", "ledger-server"),
    ("process", "SPAN_KIND_INTERNAL", "import"),
];

fn one_trace(received: &Received, request: usize) {
    let id = format!("order-{request}");
    let of_request = |span: &&Span| span.attributes.get("correlation_id") == Some(&id);
    let spans: Vec<_> = received.spans.iter().filter(of_request).collect();
    assert_eq!(spans.len(), SPANS.len(), "{id}: {spans:#?}");
    let mut parent: Option<&Span> = None;
    for (name, kind, component) in SPANS {
        let found =
            spans.iter().find(|span| span.attributes.get("component").is_some_and(|it| it == component));
        let span = found.unwrap_or_else(|| panic!("no span of {component}: {spans:#?}"));
        assert_eq!(
            (&*span.name, &*span.kind, &*span.status),
            (name, kind, "STATUS_CODE_UNSET"),
            "{component}"
        );
        let expected =
            parent.map_or((spans[0].trace_id.as_str(), ""), |parent| (&parent.trace_id, &parent.id));
        assert_eq!((&*span.trace_id, &*span.parent_id), expected, "{component}");
        parent = Some(span);
    }
}

/// The number of values of a histogram, by this attribute.
fn counts(received: &Received, metric: &str, by: &str) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for point in &received.metric(metric).unwrap_or_else(|| panic!("no {metric}")).points {
        let key = point.attributes.get(by).cloned().unwrap_or_default();
        *counts.entry(key).or_default() += point.count.unwrap_or_default();
    }
    counts.retain(|_, count| *count > 0);
    counts
}

fn each<const N: usize>(keys: [&str; N]) -> BTreeMap<String, u64> {
    keys.map(|key| (key.to_owned(), REQUESTS as u64)).into()
}

#[test]
fn a_request_through_axum_reqwest_tonic_and_a_worker_is_one_trace_and_counts_once() {
    alone("trace::a_request_through_axum_reqwest_tonic_and_a_worker_is_one_trace_and_counts_once", || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let rotel = Rotel::start().await;
            let campanile = program(&rotel).await;
            assert_eq!(campanile.faults(), []);
            let url = format!("{}/orders/7", api(&campanile).await);
            let client = reqwest::Client::new();
            for request in 0..REQUESTS {
                let sent = client.post(&url).header("x-request-id", format!("order-{request}")).send();
                let answer = sent.await.unwrap();
                assert_eq!((answer.status().as_u16(), &*answer.text().await.unwrap()), (200, "7"));
            }
            assert!(campanile.end().await.unwrap().is_complete());
            let all = |received: &Received| {
                received.spans.len() >= REQUESTS * SPANS.len()
                    && received.metric("campanile.span.duration").is_some()
            };
            let received = rotel.wait_for(all, LIMIT).await;
            assert_eq!(received.spans.len(), REQUESTS * SPANS.len());
            for request in 0..REQUESTS {
                one_trace(&received, request);
            }
            let route = counts(&received, "http.server.request.duration", "http.route");
            assert_eq!(route, each(["/orders/{id}", "/stock/{id}"]));
            assert_eq!(
                counts(&received, "http.client.request.duration", "http.request.method"),
                each(["GET"])
            );
            for metric in ["rpc.client.call.duration", "rpc.server.call.duration"] {
                assert_eq!(counts(&received, metric, "rpc.method"), each([METHOD]), "{metric}");
            }
            let components = SPANS.map(|(_, _, component)| component);
            assert_eq!(counts(&received, "campanile.span.duration", "component"), each(components));
        });
    });
}
