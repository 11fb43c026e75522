//! P30 and P35: metrics from every span, within bounds.

use campanile::telemetry::Sampling;
use tracing::{error, info_span};

use crate::support::Pipeline;

/// The value of the series with these labels, whatever their order.
pub(crate) fn value(text: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let mut found = text.lines().filter(|line| {
        let head = line.split(['{', ' ']).next();
        head == Some(name) && labels.iter().all(|(key, value)| line.contains(&format!("{key}=\"{value}\"")))
    });
    let line = found.next()?;
    assert_eq!(found.next(), None, "one series only");
    line.rsplit(' ').next()?.parse().ok()
}

fn calls(pipeline: &Pipeline, component: &str, name: &str, error: &str) -> f64 {
    let labels = [("component", component), ("span_name", name), ("error", error)];
    value(&pipeline.telemetry.prometheus_text(), "campanile_span_duration_seconds_count", &labels)
        .unwrap_or(0.0)
}

#[test]
fn p30_metrics_count_every_span_whatever_the_sampling() {
    for sampling in [Sampling::AlwaysOn, Sampling::AlwaysOff, Sampling::Ratio(0.1)] {
        let pipeline = Pipeline::with(|builder| builder.prometheus().sampling(sampling.clone()));
        pipeline.run(|| {
            for n in 0..100 {
                let _order = info_span!("order", component = "orders").entered();
                let _query = info_span!("query").entered();
                if n % 10 == 0 {
                    error!("no rows");
                }
                if n % 4 == 0 {
                    drop(info_span!(
                        "named",
                        otel.name = format!("job {}", n % 8),
                        otel.status_code = "error"
                    ));
                }
            }
        });
        assert_eq!(calls(&pipeline, "orders", "order", "false"), 100.0, "{sampling:?}");
        assert_eq!(
            calls(&pipeline, "telemetry", "query", "false"),
            90.0,
            "the crate of the target: {sampling:?}"
        );
        assert_eq!(calls(&pipeline, "telemetry", "query", "true"), 10.0, "{sampling:?}");
        assert_eq!(calls(&pipeline, "telemetry", "job 0", "true"), 13.0, "{sampling:?}");
        assert_eq!(calls(&pipeline, "telemetry", "job 4", "true"), 12.0, "{sampling:?}");
        let exported = pipeline.spans().len();
        assert!(match sampling {
            Sampling::AlwaysOn => exported == 225,
            Sampling::AlwaysOff => exported == 0,
            _ => exported < 225,
        });
        let text = pipeline.telemetry.prometheus_text();
        assert_eq!(value(&text, "campanile_telemetry_spans_started_total", &[]), Some(225.0));
        assert_eq!(value(&text, "campanile_telemetry_spans_sampled_total", &[]), Some(exported as f64));
    }
}

#[test]
fn p30_a_name_or_component_that_comes_late_counts() {
    let pipeline = Pipeline::with(|builder| builder.prometheus().sampling(Sampling::AlwaysOff));
    pipeline.run(|| {
        let span = info_span!("early", otel.name = tracing::field::Empty, component = tracing::field::Empty);
        span.record("component", "late");
        span.record("otel.name", "renamed");
    });
    assert_eq!(calls(&pipeline, "late", "renamed", "false"), 1.0);
    // What it was called at first is no component and no series.
    let text = pipeline.telemetry.prometheus_text();
    assert!(!text.contains("span_name=\"early\""), "{text}");
    assert!(pipeline.telemetry.health().snapshot().component(env!("CARGO_CRATE_NAME")).is_none());
}

#[test]
fn p35_names_without_end_share_a_series_that_says_so() {
    let pipeline = Pipeline::with(|builder| builder.prometheus().span_names(50));
    pipeline.run(|| drop(info_span!("first")));
    assert!(!pipeline.telemetry.prometheus_text().contains("otel_metric_overflow"));
    pipeline.run(|| {
        for n in 0..5_000 {
            drop(info_span!("request", otel.name = format!("GET /orders/{n}")));
            drop(info_span!("job", component = format!("tenant {n}")));
        }
    });
    let text = pipeline.telemetry.prometheus_text();
    let series = |wanted: &str| {
        let count = text.lines().filter(|line| {
            line.starts_with("campanile_span_duration_seconds_count") && line.contains(wanted)
        });
        count.count()
    };
    assert!(series("") <= 2 * 50 + 2, "{}", series(""));
    assert_eq!(series("otel_metric_overflow=\"true\""), 1, "none of them failed");
    let sum: f64 = text
        .lines()
        .filter(|line| line.starts_with("campanile_span_duration_seconds_count"))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum();
    assert_eq!(sum, 10_001.0, "none is lost");
}

#[test]
fn prometheus_text_has_the_target_and_no_scopes() {
    let pipeline =
        Pipeline::with(|builder| builder.prometheus().attribute("deployment.environment.name", "test"));
    let text = pipeline.telemetry.prometheus_text();
    assert_eq!(
        value(&text, "target_info", &[("service_name", "test"), ("deployment_environment_name", "test")]),
        Some(1.0)
    );
    assert!(!text.contains("otel_scope"), "{text}");
    let without = Pipeline::new();
    assert_eq!(without.telemetry.prometheus_text(), "");
}
