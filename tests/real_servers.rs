//! Tests of the support modules: they start real servers and read their output correctly.

#![cfg(campanile_real_servers)]

mod support;

use std::{net::Ipv4Addr, time::Duration};

use axum::{Router, routing::get};
use http::StatusCode;
use opentelemetry::{
    Context, KeyValue,
    metrics::MeterProvider as _,
    trace::{SpanKind, Status, TraceContextExt as _, Tracer as _, TracerProvider as _},
};
use opentelemetry_otlp::{MetricExporter, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::{
    Resource,
    metrics::{PeriodicReader, SdkMeterProvider},
    trace::SdkTracerProvider,
};
use serde_json::{Value, json};
use support::{Prometheus, Rotel, client, promtool_check_metrics, rotel::Received};
use tokio::{net::TcpListener, task};

const LIMIT: Duration = Duration::from_secs(60);

const METRICS: &str = "# HELP bells_rung_total Strokes of each bell.
# TYPE bells_rung_total counter
bells_rung_total{bell=\"great\"} 5
bells_rung_total{bell=\"small\"} 7
";

#[tokio::test]
async fn a_collector_reports_what_it_received_over_http() {
    let rotel = Rotel::start().await;
    for (path, body) in [("v1/traces", traces()), ("v1/metrics", metrics())] {
        let uri = format!("{}/{path}", rotel.http_endpoint());
        let (status, answer) = client::post(&uri, "application/json", body.to_string()).await.unwrap();
        assert_eq!(status, StatusCode::OK, "{answer}");
    }
    assert_received(&rotel.wait_for(all_there, LIMIT).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_reports_what_it_received_over_grpc() {
    let rotel = Rotel::start().await;
    let spans = SpanExporter::builder().with_tonic().with_endpoint(rotel.grpc_endpoint()).build().unwrap();
    let metrics =
        MetricExporter::builder().with_tonic().with_endpoint(rotel.grpc_endpoint()).build().unwrap();
    task::spawn_blocking(move || export(spans, metrics)).await.unwrap();
    assert_received(&rotel.wait_for(all_there, LIMIT).await);
}

#[tokio::test]
#[should_panic(expected = "did not receive what was wanted")]
async fn waiting_for_a_span_times_out() {
    let rotel = Rotel::start().await;
    rotel.wait_for(|got| got.span("missing").is_some(), Duration::from_millis(100)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_answers_queries_about_scraped_metrics() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = Router::new().route("/metrics", get(async || METRICS));
    let serving = tokio::spawn(async move { axum::serve(listener, service).await });

    let prometheus = Prometheus::start(&[("tower", address)]).await;
    let rung =
        prometheus.wait_for("bells_rung_total{job=\"tower\"}", |series| series.len() == 2, LIMIT).await;
    let value = |bell: &str| rung.iter().find(|(labels, _)| labels["bell"] == bell).unwrap().1;
    assert_eq!((value("great"), value("small")), (5.0, 7.0));

    let sum = prometheus.query("sum(bells_rung_total) + 1").await;
    assert_eq!(sum["resultType"], "vector");
    assert_eq!(sum["result"][0]["value"][1], "13");
    serving.abort();
}

#[test]
fn promtool_checks_an_exposition() {
    promtool_check_metrics(METRICS).unwrap();
    let complaint = promtool_check_metrics("bells_rung 1\n").unwrap_err();
    assert!(complaint.contains("bells_rung"), "{complaint}");
    promtool_check_metrics("no exposition\n").unwrap_err();
}

#[test]
#[should_panic(expected = "run `tests/run install`")]
fn an_error_names_a_missing_program() {
    support::tool("no-such-program");
}

/// Exports a parent span with an error and an event, a child that links to it, a counter, a gauge and a histogram.
fn export(spans: SpanExporter, metrics: MetricExporter) {
    let resource =
        Resource::builder_empty().with_attribute(KeyValue::new("service.name", "bell tower")).build();

    let tracers =
        SdkTracerProvider::builder().with_resource(resource.clone()).with_batch_exporter(spans).build();
    let tracer = tracers.tracer("tests");
    let parent =
        Context::new().with_span(tracer.span_builder("parent").with_kind(SpanKind::Server).start(&tracer));
    let span = parent.span();
    span.set_attribute(KeyValue::new("bells", 3));
    span.set_attribute(KeyValue::new("tune", "a (short) one: C"));
    span.add_event("rang", vec![KeyValue::new("Name", "of no event")]);
    span.set_status(Status::error("out of tune"));
    let child = Context::new().with_span(tracer.start_with_context("child", &parent));
    child.span().add_link(span.span_context().clone(), Vec::new());
    child.span().end();
    span.end();
    tracers.shutdown().unwrap();

    let reader = PeriodicReader::builder(metrics).build();
    let meters = SdkMeterProvider::builder().with_resource(resource).with_reader(reader).build();
    let meter = meters.meter("tests");
    meter.u64_counter("strokes").with_unit("{stroke}").build().add(5, &[KeyValue::new("bell", "great")]);
    meter.f64_gauge("swing").with_unit("1").build().record(0.5, &[]);
    let pause = meter.f64_histogram("pause").with_unit("s").build();
    pause.record(0.25, &[KeyValue::new("bell", "small")]);
    pause.record(0.5, &[KeyValue::new("bell", "small")]);
    meters.shutdown().unwrap();
}

/// The spans that [`export`] exports, as JSON.
fn traces() -> Value {
    let (trace, parent, child) = ("5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b173", "eee19b7ec3c1b174");
    json!({ "resourceSpans": [{ "resource": resource(), "scopeSpans": [{ "scope": { "name": "tests" }, "spans": [
        {
            "traceId": trace, "spanId": child, "parentSpanId": parent, "name": "child", "kind": 1,
            "startTimeUnixNano": "2", "endTimeUnixNano": "3",
            "links": [{ "traceId": trace, "spanId": parent, "attributes": [string("Name", "of no event")] }],
        },
        {
            "traceId": trace, "spanId": parent, "name": "parent", "kind": 2,
            "startTimeUnixNano": "1", "endTimeUnixNano": "4",
            "status": { "code": 2, "message": "out of tune" },
            "attributes": [
                { "key": "bells", "value": { "intValue": "3" } },
                string("tune", "a (short) one: C"),
            ],
            "events": [{ "name": "rang", "timeUnixNano": "2", "attributes": [string("Name", "of no event")] }],
        },
    ] }] }] })
}

fn metrics() -> Value {
    json!({ "resourceMetrics": [{ "resource": resource(), "scopeMetrics": [{ "scope": { "name": "tests" }, "metrics": [
        { "name": "strokes", "unit": "{stroke}", "sum": {
            "aggregationTemporality": 2, "isMonotonic": true,
            "dataPoints": [{ "timeUnixNano": "1", "asDouble": 5, "attributes": [string("bell", "great")] }],
        } },
        { "name": "swing", "unit": "1", "gauge": { "dataPoints": [{ "timeUnixNano": "1", "asDouble": 0.5 }] } },
        { "name": "pause", "unit": "s", "histogram": {
            "aggregationTemporality": 2,
            "dataPoints": [{
                "timeUnixNano": "1", "count": 2, "sum": 0.75, "bucketCounts": [2, 0], "explicitBounds": [1],
                "attributes": [string("bell", "small")],
            }],
        } },
    ] }] }] })
}

fn resource() -> Value {
    json!({ "attributes": [string("service.name", "bell tower")] })
}

fn string(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

fn all_there(got: &Received) -> bool {
    got.spans.len() == 2 && got.metrics.len() == 3
}

fn assert_received(got: &Received) {
    let (parent, child) = (got.span("parent").unwrap(), got.span("child").unwrap());
    assert_eq!((parent.trace_id.len(), parent.id.len(), parent.parent_id.as_str()), (32, 16, ""));
    assert_eq!((&child.trace_id, &child.parent_id), (&parent.trace_id, &parent.id));
    assert_eq!((parent.kind.as_str(), child.kind.as_str()), ("SPAN_KIND_SERVER", "SPAN_KIND_INTERNAL"));
    assert_eq!(
        (parent.status.as_str(), parent.status_message.as_str()),
        ("STATUS_CODE_ERROR", "out of tune")
    );
    assert_eq!(
        (parent.attributes["bells"].as_str(), parent.attributes["tune"].as_str()),
        ("3", "a (short) one: C")
    );
    let events: Vec<_> =
        parent.events.iter().map(|event| (&*event.name, &*event.attributes["Name"])).collect();
    assert_eq!((events, &child.links), (vec![("rang", "of no event")], &vec![parent.id.clone()]));

    let (strokes, swing, pause) =
        (got.metric("strokes").unwrap(), got.metric("swing").unwrap(), got.metric("pause").unwrap());
    assert_eq!((strokes.kind.as_str(), strokes.unit.as_str()), ("Sum", "{stroke}"));
    assert_eq!(
        (strokes.points[0].value, strokes.points[0].attributes["bell"].as_str()),
        (Some(5.0), "great")
    );
    assert_eq!((swing.kind.as_str(), swing.points[0].value), ("Gauge", Some(0.5)));
    assert_eq!((pause.kind.as_str(), pause.points[0].attributes["bell"].as_str()), ("Histogram", "small"));
    assert_eq!((pause.points.len(), pause.points[0].count, pause.points[0].sum), (1, Some(2), Some(0.75)));

    for resource in
        got.spans.iter().map(|span| &span.resource).chain(got.metrics.iter().map(|one| &one.resource))
    {
        assert_eq!(resource["service.name"], "bell tower");
    }
}
