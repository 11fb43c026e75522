//! P30 and P35: metrics of every span, within bounds.

use campanile::telemetry::Sampling;
use tracing::{error, info_span};

use crate::support::Pipeline;

/// The value of the series with these labels, in any order.
pub(crate) fn value(text: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let mut found = text.lines().filter(|line| {
        let head = line.split(['{', ' ']).next();
        head == Some(name) && labels.iter().all(|(key, value)| line.contains(&format!("{key}=\"{value}\"")))
    });
    let line = found.next()?;
    assert_eq!(found.next(), None, "there are several such series");
    line.rsplit(' ').next()?.parse().ok()
}

fn calls(pipeline: &Pipeline, component: &str, name: &str, failure: &str) -> f64 {
    let wanted = [("component", component), ("span_name", name)];
    let text = pipeline.telemetry.prometheus_text();
    let lines = text.lines().filter(|line| line.starts_with("campanile_span_duration_seconds_count"));
    lines
        .filter(|line| wanted.iter().all(|(key, value)| line.contains(&format!("{key}=\"{value}\""))))
        .filter(|line| match failure {
            "" => !line.contains("error_type="),
            kind => line.contains(&format!("error_type=\"{kind}\"")),
        })
        .map(|line| line.rsplit(' ').next().and_then(|count| count.parse::<f64>().ok()).expect("a number"))
        .sum()
}

#[test]
fn p30_metrics_count_every_span_at_any_sampling() {
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
        assert_eq!(calls(&pipeline, "orders", "order", ""), 100.0, "{sampling:?}");
        assert_eq!(calls(&pipeline, "telemetry", "query", ""), 90.0, "the crate of the target: {sampling:?}");
        assert_eq!(calls(&pipeline, "telemetry", "query", "_OTHER"), 10.0, "{sampling:?}");
        assert_eq!(calls(&pipeline, "telemetry", "job 0", "_OTHER"), 13.0, "{sampling:?}");
        assert_eq!(calls(&pipeline, "telemetry", "job 4", "_OTHER"), 12.0, "{sampling:?}");
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

#[cfg(feature = "retry")]
#[test]
fn p30_a_span_of_work_that_timed_out_has_failed() {
    use std::time::Duration;

    use campanile::Retry;
    use tracing::Instrument;

    // The real clock: a paused one would apply to all threads of the process.
    let limit = Duration::from_millis(1);
    let pipeline = Pipeline::with(|builder| builder.prometheus());
    pipeline.run(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.unwrap().block_on(async {
            let retry = Retry::builder().max_attempts(2).attempt_timeout(limit).build().unwrap();
            let hangs = || {
                let span = info_span!("attempt", component = "payments");
                std::future::pending::<Result<(), String>>().instrument(span)
            };
            let call = info_span!("call", component = "payments");
            retry.run(hangs).instrument(call).await.unwrap_err();
            assert!(tokio::time::timeout(limit, hangs()).await.is_err());
        });
    });
    assert_eq!(calls(&pipeline, "payments", "attempt", "campanile::TimedOut"), 2.0);
    assert_eq!(
        calls(&pipeline, "payments", "attempt", ""),
        1.0,
        "another call's timeout counts as this one's failure"
    );
    assert_eq!(calls(&pipeline, "payments", "call", ""), 1.0);
}

#[test]
fn p30_a_late_name_or_component_counts() {
    let pipeline = Pipeline::with(|builder| builder.prometheus().sampling(Sampling::AlwaysOff));
    pipeline.run(|| {
        let span = info_span!("early", otel.name = tracing::field::Empty, component = tracing::field::Empty);
        span.record("component", "late");
        span.record("otel.name", "renamed");
    });
    assert_eq!(calls(&pipeline, "late", "renamed", ""), 1.0);
    // The first name and component have no series.
    let text = pipeline.telemetry.prometheus_text();
    assert!(!text.contains("span_name=\"early\""), "{text}");
    assert!(pipeline.telemetry.health().snapshot().component(env!("CARGO_CRATE_NAME")).is_none());
}

#[derive(Debug)]
struct Broke(std::io::Error);

impl std::fmt::Display for Broke {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("broke")
    }
}

impl std::error::Error for Broke {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

#[test]
fn failures_are_counted_by_kind() {
    let pipeline = Pipeline::with(|builder| builder.prometheus().sampling(Sampling::AlwaysOff));
    pipeline.run(|| {
        let late = std::io::Error::other("late");
        info_span!("call").in_scope(|| error!(error = &late as &dyn std::error::Error, "it failed"));
        info_span!("call").in_scope(|| error!(error.type = "timeout", "it took too long"));
        // The kind comes from the causes of an error, else from its own type.
        let late = Broke(std::io::Error::from(std::io::ErrorKind::TimedOut));
        info_span!("chain").in_scope(|| error!(error = &late as &dyn std::error::Error, "it failed"));
        let broke = Broke(std::io::Error::other("full"));
        info_span!("chain").in_scope(|| error!(error = &broke as &dyn std::error::Error, "it failed"));
        drop(info_span!("call", error.type = "429"));
        let span = info_span!("call", error.type = tracing::field::Empty);
        span.record("error.type", "503");
        drop(span);
        let span = info_span!("call", otel.status_code = "ok");
        span.in_scope(|| error!(error.type = "timeout", "an error in a successful call"));
        for n in 0..100 {
            drop(info_span!("flood", error.type = format!("E{n}")));
        }
    });
    let own = env!("CARGO_CRATE_NAME");
    for kind in ["std::io::error::Error", "timeout", "429", "503", ""] {
        assert_eq!(calls(&pipeline, own, "call", kind), 1.0, "{kind}");
    }
    for kind in ["timeout", "Broke"] {
        assert_eq!(calls(&pipeline, own, "chain", kind), 1.0, "{kind}");
    }
    assert_eq!(calls(&pipeline, own, "call", "_OTHER"), 0.0);
    let other = calls(&pipeline, own, "flood", "_OTHER");
    assert!((50.0..100.0).contains(&other), "p35: kinds beyond the limit do not share one series: {other}");
}

#[test]
fn configured_fields_are_labels() {
    let pipeline = Pipeline::with(|builder| {
        builder.prometheus().sampling(Sampling::AlwaysOff).configure(|settings| {
            settings.span_metric_fields = ["tenant", "shard"].map(String::from).to_vec()
        })
    });
    pipeline.run(|| {
        drop(info_span!("call", tenant = "a", shard = 7, other = "x"));
        let span = info_span!("call", tenant = tracing::field::Empty);
        span.record("tenant", "a");
        drop(span);
        drop(info_span!("call"));
        for n in 0..5_000 {
            drop(info_span!("flood", tenant = n));
        }
    });
    let text = pipeline.telemetry.prometheus_text();
    let series = |labels: &str| {
        let start = format!("campanile_span_duration_seconds_count{{{labels}}} 1");
        text.lines().filter(|line| *line == start).count()
    };
    let own = env!("CARGO_CRATE_NAME");
    assert_eq!(
        series(&format!("component=\"{own}\",shard=\"7\",span_name=\"call\",tenant=\"a\"")),
        1,
        "{text}"
    );
    assert_eq!(series(&format!("component=\"{own}\",span_name=\"call\",tenant=\"a\"")), 1);
    assert_eq!(series(&format!("component=\"{own}\",span_name=\"call\"")), 1);
    let all = text.lines().filter(|line| line.starts_with("campanile_span_duration_seconds_count"));
    assert!(all.count() <= 901, "p35: values beyond the limit do not share a series");
    assert!(text.contains("otel_metric_overflow=\"true\""));
}

#[test]
fn p35_names_beyond_the_limit_share_an_overflow_series() {
    let pipeline =
        Pipeline::with(|builder| builder.prometheus().configure(|settings| settings.span_names = 50));
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
    assert_eq!(series("otel_metric_overflow=\"true\""), 1, "there is more than one overflow series");
    let sum: f64 = text
        .lines()
        .filter(|line| line.starts_with("campanile_span_duration_seconds_count"))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum();
    assert_eq!(sum, 10_001.0, "some calls are not counted");
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

#[test]
fn names_from_fields_are_cut_at_256_bytes() {
    let pipeline = Pipeline::with(|builder| builder.prometheus());
    let name = |letter: &str, bytes: usize| letter.repeat(bytes);
    pipeline.run(|| {
        for more in 0..5 {
            drop(info_span!(
                "call",
                component = name("c", 256 + more),
                otel.name = name("n", 256 + more),
                error.type = name("e", 256 + more),
                otel.status_code = "error"
            ));
        }
    });
    assert_eq!(calls(&pipeline, &name("c", 256), &name("n", 256), &name("e", 256)), 5.0);
}
