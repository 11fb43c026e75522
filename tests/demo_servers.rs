//! `campanile demo` with a real collector and a real Prometheus.

#![cfg(campanile_real_servers)]

mod support;

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use support::{Prometheus, Rotel, promtool_check_metrics};
use tokio::io::{AsyncBufReadExt, BufReader};

const LIMIT: Duration = Duration::from_secs(60);

async fn export_and_follow_a_trace(protocol: &str, endpoint: String, rotel: &Rotel) {
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_campanile"))
        .args(["demo", "--seconds", "4", "--json"])
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
        .env("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=tests")
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let wanted = |got: &support::rotel::Received| {
        got.spans.iter().filter(|span| span.name == "order").count() > 10
            && got.metric("campanile.span.duration").is_some()
    };
    let got = rotel.wait_for(wanted, LIMIT).await;

    // checkout's handler → its call of payments → that request at the client → at the server → the handler of payments.
    let of = |component: &'static str| {
        move |span: &&support::rotel::Span| {
            span.attributes.get("component").is_some_and(|value| value == component)
        }
    };
    let served =
        got.spans.iter().filter(of("payments")).find(|span| span.name == "charge").expect("payments' span");
    let parent = |span: &support::rotel::Span| {
        let found = got.spans.iter().find(|other| other.id == span.parent_id);
        found.cloned().unwrap_or_else(|| panic!("the parent of {span:?}"))
    };
    let request = parent(served);
    assert_eq!((request.name.as_str(), request.kind.as_str()), ("POST /charge", "SPAN_KIND_SERVER"));
    let call = parent(&request);
    assert_eq!((call.name.as_str(), call.kind.as_str()), ("POST", "SPAN_KIND_CLIENT"));
    let charge = parent(&call);
    assert_eq!((charge.name.as_str(), charge.kind.as_str()), ("charge", "SPAN_KIND_INTERNAL"));
    let order = parent(&charge);
    assert_eq!(order.name, "order");
    assert!(of("checkout")(&&order));
    assert!([&request, &call, served].iter().all(|span| span.trace_id == order.trace_id));
    assert!(got.spans.iter().any(|span| span.status == "STATUS_CODE_ERROR"), "no span has an error");

    for resource in
        [&order.resource, &got.metric("campanile.breaker.calls").expect("the breaker's metrics").resource]
    {
        assert_eq!(resource.get("service.name").map(String::as_str), Some("campanile-demo"));
        assert_eq!(resource.get("deployment.environment.name").map(String::as_str), Some("tests"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_gets_traces_across_both_services_and_metrics_over_http() {
    let rotel = Rotel::start().await;
    export_and_follow_a_trace("http/protobuf", rotel.http_endpoint(), &rotel).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_gets_traces_across_both_services_and_metrics_over_grpc() {
    let rotel = Rotel::start().await;
    export_and_follow_a_trace("grpc", rotel.grpc_endpoint(), &rotel).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_answers_queries_about_it() {
    let mut demo = tokio::process::Command::from(Command::new(env!("CARGO_BIN_EXE_campanile")))
        .args(["demo", "--seconds", "120", "--json"])
        .env_remove("OTEL_EXPORTER_OTLP_ENDPOINT")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(demo.stderr.take().unwrap()).lines();
    let address: SocketAddr = loop {
        let line = stderr.next_line().await.unwrap().expect("it printed its address");
        if let Some(url) = line.strip_prefix("metrics") {
            break url.trim().trim_start_matches("http://").trim_end_matches("/metrics").parse().unwrap();
        }
    };
    tokio::spawn(async move { while let Ok(Some(_)) = stderr.next_line().await {} });

    let prometheus = Prometheus::start(&[("checkout", address)]).await;
    let positive = |series: &[(serde_json::Value, f64)]| series.iter().any(|(_, value)| *value > 0.0);
    for query in [
        r#"sum(rate(http_server_request_duration_seconds_count{http_route="/orders/{id}"}[10s]))"#,
        r#"histogram_quantile(0.95, sum by (le) (rate(http_server_request_duration_seconds_bucket[10s])))"#,
        r#"campanile_breaker_state{breaker="payments",state="open"} + on (breaker) campanile_breaker_state{breaker="payments",state="closed"} == 1"#,
        r#"campanile_dead_letter_depth{queue="orders"}"#,
        r#"sum(rate(campanile_span_duration_seconds_count{component="checkout"}[10s]))"#,
        "process_memory_usage_bytes",
        r#"campanile_health_score_ratio{component="checkout"}"#,
    ] {
        prometheus.wait_for(query, positive, LIMIT).await;
    }

    let text = scrape(address).await;
    promtool_check_metrics(&text).unwrap_or_else(|complaint| panic!("{complaint}\n{text}"));
    demo.kill().await.unwrap();
}

async fn scrape(address: SocketAddr) -> String {
    use http_body_util::BodyExt;
    let client =
        hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build_http();
    let request = http::Request::get(format!("http://{address}/metrics"))
        .body(http_body_util::Empty::<bytes::Bytes>::new())
        .unwrap();
    let response = client.request(request).await.unwrap();
    assert_eq!(response.status(), 200);
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}
