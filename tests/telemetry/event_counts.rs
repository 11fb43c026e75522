//! Warnings and errors are counted by component, whether or not their trace is sampled.

use campanile::telemetry::{Sampling, TelemetryBuilder};
use log::{Level, Record};
use opentelemetry_sdk::logs::InMemoryLogExporter;
use tracing::{debug, error, info, info_span, warn};
use tracing_subscriber::layer::SubscriberExt;

use crate::support::{LONG, Pipeline};

/// The counts by component and level, without those that are zero.
fn counts(pipeline: &Pipeline) -> Vec<(String, String, f64)> {
    let text = pipeline.telemetry.prometheus_text();
    let lines = text.lines().filter(|line| line.starts_with("campanile_log_events_total{"));
    let label = |line: &str, name: &str| {
        let rest = line.split_once(&format!("{name}=\"")).unwrap().1;
        rest.split('"').next().unwrap().to_owned()
    };
    let mut counts: Vec<_> = lines
        .map(|line| {
            let value: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
            (label(line, "component"), label(line, "level"), value)
        })
        .filter(|(.., value)| *value > 0.0)
        .collect();
    counts.sort_by(|one, other| one.partial_cmp(other).unwrap());
    counts
}

fn expected(counts: &[(&str, &str, f64)]) -> Vec<(String, String, f64)> {
    counts.iter().map(|(component, level, count)| ((*component).into(), (*level).into(), *count)).collect()
}

fn events() {
    info_span!("order", component = "orders").in_scope(|| {
        info!("not counted");
        debug!("not counted");
        warn!("slow");
        error!("failed");
        info_span!("inner").in_scope(|| warn!("the component of the innermost span"));
        error!(component = "payments", "of another component");
        error!(component = "", "of no other component");
    });
    info_span!("plain").in_scope(|| error!(target: "shop::till", "the crate of the span"));
    warn!(target: "shop::till", "the crate of the target");
    warn!(target: "campanile::telemetry::export", "of the pipeline itself");
    let mut record = Record::builder();
    let record = record.level(Level::Error).target("driver::net").args(format_args!("lost")).build();
    tracing_log::format_trace(&record).unwrap();
}

#[test]
fn warnings_and_errors_are_counted_once_in_every_setting() {
    type Configure = fn(TelemetryBuilder) -> TelemetryBuilder;
    let settings: [(&str, Configure); 4] = [
        ("sampled", |builder| builder.sampling(Sampling::AlwaysOn)),
        ("not sampled", |builder| builder.sampling(Sampling::AlwaysOff)),
        ("with log records", |builder| builder.log_exporter(InMemoryLogExporter::default())),
        ("off", |builder| builder.variables(|name| (name == "OTEL_TRACES_EXPORTER").then(|| "none".into()))),
    ];
    for (name, configure) in settings {
        let pipeline = Pipeline::with(|builder| configure(builder.prometheus()));
        pipeline.run(events);
        assert!(pipeline.telemetry.force_flush(LONG));
        assert_eq!(
            counts(&pipeline),
            expected(&[
                ("driver", "error", 1.0),
                ("orders", "error", 2.0),
                ("orders", "warn", 1.0),
                ("payments", "error", 1.0),
                ("shop", "warn", 1.0),
                ("telemetry", "error", 1.0),
                ("telemetry", "warn", 1.0),
            ]),
            "{name}"
        );
    }
}

#[test]
fn a_component_with_spans_is_reported_from_zero_and_clones_of_the_layer_share_the_counts() {
    let pipeline = Pipeline::with(TelemetryBuilder::prometheus);
    pipeline.run(|| info_span!("order", component = "orders").in_scope(|| ()));
    let zero = "campanile_log_events_total{component=\"orders\",level=\"error\"} 0";
    let text = pipeline.telemetry.prometheus_text();
    assert!(text.lines().any(|line| line.starts_with(zero)), "{text}");
    for _subscriber in 0..2 {
        let subscriber = tracing_subscriber::registry().with(pipeline.telemetry.span_layer().clone());
        tracing::subscriber::with_default(subscriber, || {
            info_span!("order", component = "orders").in_scope(|| error!("failed"));
        });
    }
    assert_eq!(counts(&pipeline), expected(&[("orders", "error", 2.0)]));
}

#[test]
fn the_component_of_an_event_has_no_secret_and_a_limited_length() {
    let pipeline = Pipeline::with(TelemetryBuilder::prometheus);
    pipeline.run(|| {
        error!(component = "postgres://ann:hunter2@db", "refused");
        error!(component = "x".repeat(10_000), "too long");
    });
    let counts = counts(&pipeline);
    assert_eq!(counts.len(), 2);
    assert_eq!(counts[0].0, "postgres://[redacted]@db");
    assert!(counts[1].0.starts_with("xxx") && counts[1].0.len() <= 256, "{}", counts[1].0);
}
