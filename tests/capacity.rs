//! At every limit that the crate documents, all series are reported, and none is merged into the overflow series.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use campanile::health::{Component, Every};
use campanile::{CircuitBreaker, DeadLetterQueue, Telemetry, Timing};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Empty;
use tower::{Layer, ServiceExt, service_fn};
use tracing_subscriber::layer::SubscriberExt;

const OVERFLOW: &str = "otel_metric_overflow";

fn pipeline() -> Telemetry {
    Telemetry::builder("test").variables(|_| None).prometheus().build().unwrap()
}

/// The number of series of a metric whose labels contain this text.
fn series(text: &str, metric: &str, label: &str) -> usize {
    let start = format!("{metric}{{");
    text.lines().filter(|line| line.starts_with(&start) && line.contains(label)).count()
}

/// Waits until `wanted` holds for the metrics, because health updates them at an interval.
fn until(telemetry: &Telemetry, wanted: impl Fn(&str) -> bool) -> String {
    let mut text = String::new();
    for _ in 0..600 {
        text = telemetry.prometheus_text();
        if wanted(&text) {
            assert!(!text.contains(OVERFLOW), "series were merged into the overflow series");
            return text;
        }
        std::thread::park_timeout(Duration::from_millis(50));
    }
    let counted: BTreeSet<_> = text.lines().filter(|line| line.contains(OVERFLOW)).collect();
    panic!("the expected metrics did not appear: {counted:?}")
}

#[tokio::test(flavor = "multi_thread")]
async fn p35_components_and_checks_are_all_reported() {
    const COMPONENTS: usize = 1_000;
    const CHECKS: usize = 1_024;
    let telemetry = pipeline();
    let health = telemetry.health();
    for number in 0..COMPONENTS {
        health.register(Component::new(format!("p16-{number}"))).unwrap();
    }
    for number in 0..CHECKS {
        let (component, check) = (format!("p16-{}", number % COMPONENTS), format!("check-{number}"));
        health.check_named(component, check, Every::seconds(3_600), || async {}).unwrap();
    }
    let one_more = health.check_named("p16-0", "one more", Every::seconds(3_600), || async {});
    assert!(one_more.is_err(), "the limit of checks is reached");
    for number in 0..COMPONENTS {
        health.run_check(&format!("p16-{number}")).await;
    }
    let statuses = "status=\"healthy\"";
    let text = until(&telemetry, |text| {
        series(text, "campanile_health_status", statuses) == COMPONENTS
            && series(text, "campanile_health_check_passing_ratio", "check-") == CHECKS
            && series(text, "campanile_health_check_runs_total", "outcome=\"pass\"") == CHECKS
    });
    assert!(series(&text, "campanile_health_status", "p16-") > 2_000);
    assert_eq!(series(&text, "campanile_health_score_ratio", "p16-"), COMPONENTS);
}

#[test]
fn p35_every_span_name_is_reported_with_each_of_its_failures() {
    // The name in the source code takes one of the 900 places.
    const NAMES: usize = 899;
    const KINDS: usize = 4;
    let telemetry = pipeline();
    let subscriber = tracing_subscriber::registry().with(telemetry.span_layer());
    tracing::subscriber::with_default(subscriber, || {
        for number in 0..NAMES {
            let name = format!("span {number}");
            for kind in 0..KINDS {
                let error = format!("kind{kind}");
                drop(
                    tracing::info_span!("p16", otel.name = name, otel.status_code = "error", error.type = error),
                );
            }
        }
    });
    let text = until(&telemetry, |text| series(text, "campanile_span_duration_seconds_count", "") > 0);
    assert_eq!(series(&text, "campanile_span_duration_seconds_count", "error_type=\"kind"), NAMES * KINDS);
}

#[tokio::test]
async fn p35_every_method_with_every_code_and_every_route_is_reported() {
    let telemetry = Telemetry::builder("test").variables(|_| None).prometheus().env_filter("off");
    let telemetry = telemetry.install().unwrap();
    let (by_code, by_route) = (Timing::new("codes"), Timing::new("routes"));
    let answer = |request: Request<Empty<Bytes>>| async move {
        let mut response = Response::new(Empty::<Bytes>::new());
        *response.status_mut() = *request.extensions().get::<StatusCode>().unwrap();
        Ok::<_, std::convert::Infallible>(response)
    };
    let methods = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
    let codes = || (200..600).step_by(4).filter_map(|code| StatusCode::from_u16(code).ok());
    let service = by_code.http_server_layer().layer(service_fn(answer));
    for method in methods {
        for code in codes() {
            let mut request = Request::new(Empty::new());
            *request.method_mut() = Method::from_bytes(method.as_bytes()).unwrap();
            request.extensions_mut().insert(code);
            service.clone().oneshot(request).await.unwrap();
        }
    }
    let route = |request: &http::request::Parts| request.extensions.get::<String>().cloned();
    let service = by_route.http_server_layer().route(route).layer(service_fn(answer));
    for number in 0..3_000 {
        let mut request = Request::new(Empty::new());
        request.extensions_mut().insert(format!("/route/{number}"));
        request.extensions_mut().insert(StatusCode::OK);
        service.clone().oneshot(request).await.unwrap();
    }
    let metric = "http_server_request_duration_seconds_count";
    let text = until(&telemetry, |text| series(text, metric, "http_route") > 0);
    assert_eq!(
        series(&text, metric, "") - series(&text, metric, "http_route"),
        methods.len() * codes().count()
    );
    assert_eq!(series(&text, metric, "http_route"), 1_000 + 1);
    assert_eq!(
        series(&text, metric, "http_route=\"_OTHER\""),
        1,
        "the routes beyond a thousand share one series"
    );
}

#[test]
fn p35_circuits_and_queues_are_all_reported() {
    let telemetry = pipeline();
    let circuits: Vec<_> =
        (0..1_000).map(|number| CircuitBreaker::builder(format!("p16-{number}")).build().unwrap()).collect();
    let queues: Vec<_> =
        (0..500).map(|number| DeadLetterQueue::in_memory(1).named(format!("p16-{number}"))).collect();
    let text = until(&telemetry, |text| series(text, "campanile_breaker_state", "p16-") > 0);
    assert!(series(&text, "campanile_breaker_state", "p16-") >= 3 * circuits.len());
    assert_eq!(series(&text, "campanile_breaker_state", "state=\"open\""), circuits.len());
    assert_eq!(series(&text, "campanile_dead_letter_depth", "p16-"), queues.len());
    assert!(series(&text, "campanile_dead_letter_dropped_total", "p16-") > 2_000);
}
