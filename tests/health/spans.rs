//! Health from spans, with a real pipeline.

use std::time::Duration;

use campanile::health::{Component, ReasonKind, Status};
use campanile::{CircuitBreaker, Telemetry};
use tracing::instrument::WithSubscriber;
use tracing_subscriber::prelude::*;

fn pipeline(telemetry: &Telemetry) -> impl tracing::Subscriber + Send + Sync + 'static {
    tracing_subscriber::registry().with(telemetry.span_layer())
}

/// One call of a component: a span of `millis` milliseconds.
async fn call(component: &str, millis: u64, failed: bool) {
    let span = tracing::info_span!("call", component, otel.status_code = tracing::field::Empty);
    tokio::time::advance(Duration::from_millis(millis)).await;
    if failed {
        span.record("otel.status_code", "ERROR");
    }
}

#[tokio::test(start_paused = true)]
async fn p50_spans_give_a_component_its_score() {
    let telemetry = Telemetry::builder("test").build().unwrap();
    let health = telemetry.health();
    telemetry.health().register(Component::new("spanned").critical(true)).unwrap();
    async {
        for _ in 0..8 {
            call("spanned", 100, false).await;
        }
        let good = health.snapshot().component("spanned").cloned().unwrap();
        assert_eq!((good.status, good.score), (Status::Healthy, 1.0));
        assert!(good.critical, "each pipeline has one health");
        assert!(health.readiness().ready);
        let calls = good.calls.unwrap();
        assert_eq!((calls.total, calls.recent, calls.failed), (8, 8, 0));
        assert_eq!(calls.recent_mean, Duration::from_millis(100));

        // Two failures of ten calls may be chance.
        for _ in 0..2 {
            call("spanned", 100, true).await;
        }
        assert_eq!(health.snapshot().component("spanned").unwrap().status, Status::Healthy);
        for _ in 0..4 {
            call("spanned", 100, true).await;
        }
        let bad = health.snapshot().component("spanned").cloned().unwrap();
        assert_eq!(bad.calls.as_ref().unwrap().consecutive_failures, 6);
        let kinds: Vec<ReasonKind> = bad.reasons.iter().map(|reason| reason.kind).collect();
        assert_eq!(kinds, [ReasonKind::ErrorShare, ReasonKind::ConsecutiveFailures]);
        assert!((bad.reasons[0].figure - 0.1865).abs() < 1e-4 && bad.reasons[0].limit == 0.1);
        assert_eq!(
            bad.reasons[0].text,
            "42.9 % of the calls of the last 60 s failed (6 of 14, at least 18.6 % with 99 % confidence); the limit is 10.0 %"
        );
        let lost: f64 = bad.reasons.iter().map(|reason| reason.cost).sum();
        assert_eq!(lost, 1.0 - bad.score);
        assert_eq!(bad.status, Status::Unhealthy);

        for _ in 0..10 {
            call("spanned", 100, true).await;
        }
        let broken = health.snapshot().component("spanned").cloned().unwrap();
        assert_eq!((broken.status, broken.score), (Status::Critical, 0.0));
        assert!(!health.readiness().ready);

        // It recovers with successful calls, and is unknown after a minute without calls.
        for _ in 0..200 {
            call("spanned", 1, false).await;
        }
        assert_eq!(health.snapshot().component("spanned").unwrap().status, Status::Healthy);
        tokio::time::advance(Duration::from_secs(70)).await;
        assert_eq!(health.snapshot().component("spanned").unwrap().status, Status::Unknown);
    }
    .with_subscriber(pipeline(&telemetry))
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_costs_of_slow_calls_and_circuits_of_the_same_name_add_up() {
    let telemetry = Telemetry::builder("test").build().unwrap();
    let breaker = CircuitBreaker::builder("slow").build().unwrap();
    async {
        for _ in 0..5 {
            call("slow", 6_000, false).await;
        }
        breaker.force_open();
        let slow = telemetry.health().snapshot().component("slow").cloned().unwrap();
        let kinds: Vec<ReasonKind> = slow.reasons.iter().map(|reason| reason.kind).collect();
        assert_eq!(kinds, [ReasonKind::CircuitForcedOpen, ReasonKind::MeanDuration]);
        assert_eq!(
            slow.reasons[1].text,
            "the calls of the last 60 s took 6.0s on average (at least 6.0s with 99 % confidence); the limit is 5s"
        );
        assert_eq!((slow.status, slow.score), (Status::Critical, 0.0));
    }
    .with_subscriber(pipeline(&telemetry))
    .await;
}

#[cfg(feature = "prometheus")]
#[tokio::test(start_paused = true)]
async fn health_is_exported_as_metrics() {
    let telemetry = Telemetry::builder("test").prometheus().build().unwrap();
    let health = telemetry.health();
    let _breaker = CircuitBreaker::builder("measured-closed").build().unwrap();
    let breaker = CircuitBreaker::builder("measured-open").build().unwrap();
    breaker.force_open();
    health.register(Component::new("measured-unknown")).unwrap();
    let text = telemetry.prometheus_text();
    let of = |component: &str, metric: &str| -> Vec<&str> {
        let label = format!("component=\"{component}\"");
        text.lines().filter(|line| line.starts_with(metric) && line.contains(&label)).collect()
    };
    let [score] = of("measured-open", "campanile_health_score")[..] else { panic!("{text}") };
    assert!(score.ends_with(" 0.25"), "{score}");
    let statuses = of("measured-open", "campanile_health_status");
    assert_eq!(statuses.len(), 5, "{statuses:?}");
    for status in statuses {
        assert!(status.ends_with(if status.contains("\"unhealthy\"") { " 1" } else { " 0" }), "{status}");
    }
    // Readiness is exported once, however many pipelines there are.
    let other = Telemetry::builder("other").build().unwrap();
    let _other = other.health();
    let text_of_both = telemetry.prometheus_text();
    let ready = text_of_both.lines().filter(|line| line.starts_with("campanile_health_ready"));
    assert_eq!(ready.count(), 1, "{text_of_both}");
    // An unknown component has a status and no score.
    for unknown in ["measured-unknown", "measured-closed"] {
        assert!(of(unknown, "campanile_health_score").is_empty());
        assert!(
            of(unknown, "campanile_health_status")
                .iter()
                .any(|line| line.contains("unknown") && line.ends_with(" 1"))
        );
    }
}
