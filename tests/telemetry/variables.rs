//! Effects of `OTEL_*` variables.

use campanile::Telemetry;
use campanile::telemetry::{TelemetryBuilder, TelemetryError, TelemetrySettings};
use opentelemetry_sdk::trace::InMemorySpanExporter;
use tracing::info_span;
use tracing_subscriber::prelude::*;

use crate::support::LONG;

fn with(
    set: &'static [(&'static str, &'static str)],
) -> (Result<Telemetry, TelemetryError>, InMemorySpanExporter) {
    let exporter = InMemorySpanExporter::default();
    let find = |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    (Telemetry::builder("test").span_exporter(exporter.clone()).variables(find).build(), exporter)
}

fn traced(set: &'static [(&'static str, &'static str)]) -> usize {
    let (telemetry, exporter) = with(set);
    let telemetry = telemetry.unwrap();
    let subscriber = tracing_subscriber::registry().with(telemetry.span_layer());
    tracing::subscriber::with_default(subscriber, || (0..100).for_each(|_| drop(info_span!("span"))));
    assert!(telemetry.force_flush(LONG));
    exporter.get_finished_spans().unwrap().len()
}

#[test]
fn variables_choose_the_sampler() {
    assert_eq!(traced(&[]), 100);
    assert_eq!(traced(&[("OTEL_TRACES_SAMPLER", "always_off")]), 0);
    assert_eq!(
        traced(&[("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0")]),
        0
    );
    assert_eq!(traced(&[("OTEL_TRACES_SAMPLER", "")]), 100, "an empty variable counts as set");
}

#[test]
fn a_variable_disables_the_sdk() {
    assert_eq!(traced(&[("OTEL_SDK_DISABLED", "True")]), 0);
    assert_eq!(traced(&[("OTEL_SDK_DISABLED", "yes")]), 100, "a value other than `true` disables the SDK");
}

#[test]
fn variables_choose_the_propagators() {
    let fields = |set| {
        let (telemetry, _) = with(set);
        let propagator = telemetry.unwrap().propagator();
        let mut fields: Vec<String> = propagator.fields().map(ToOwned::to_owned).collect();
        fields.sort();
        fields
    };
    assert_eq!(fields(&[]), ["baggage", "traceparent", "tracestate"]);
    assert_eq!(fields(&[("OTEL_PROPAGATORS", "baggage")]), ["baggage"]);
    assert_eq!(fields(&[("OTEL_PROPAGATORS", "none")]), [""; 0]);
    assert_eq!(fields(&[("OTEL_PROPAGATORS", "b3, B3,baggage,b3")]), ["b3", "baggage"]);
    let multi = ["x-b3-flags", "x-b3-sampled", "x-b3-spanid", "x-b3-traceid"];
    assert_eq!(fields(&[("OTEL_PROPAGATORS", "b3multi")]), multi);
}

#[test]
fn an_error_names_an_unknown_value() {
    for (name, value) in [
        ("OTEL_PROPAGATORS", "carrier_pigeon"),
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        ("OTEL_METRICS_EXPORTER", "statsd"),
        ("OTEL_TRACES_SAMPLER", "sometimes"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "-1"),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "many"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "1m"),
        ("OTEL_RESOURCE_ATTRIBUTES", "half"),
    ] {
        let set: &'static [_] = Box::leak(Box::new([(name, value)]));
        let Err(TelemetryError::Setting(error)) = with(set).0 else { panic!("{name} must fail") };
        assert_eq!((error.setting(), error.value()), (name, value));
    }
}

#[test]
fn none_is_an_exporter() {
    let (telemetry, _) = with(&[("OTEL_TRACES_EXPORTER", "none"), ("OTEL_METRICS_EXPORTER", "none")]);
    assert!(telemetry.unwrap().shutdown(LONG));
}

#[test]
fn the_console_exporter_needs_its_feature() {
    for name in ["OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER", "OTEL_LOGS_EXPORTER"] {
        let set: &'static [_] = Box::leak(Box::new([(name, "console")]));
        match with(set).0 {
            Ok(telemetry) => assert!(cfg!(feature = "stdout") && telemetry.shutdown(LONG)),
            Err(error) => {
                assert!(!cfg!(feature = "stdout") && error.to_string().contains("stdout"), "{error}")
            }
        }
    }
}

#[cfg(feature = "prometheus")]
#[test]
fn a_variable_turns_prometheus_on() {
    let (telemetry, _) = with(&[("OTEL_METRICS_EXPORTER", "prometheus")]);
    assert!(telemetry.unwrap().prometheus_text().contains("target_info"));
}

#[test]
fn a_variable_renames_the_service() {
    let (telemetry, _) = with(&[("OTEL_SERVICE_NAME", "other")]);
    let key = opentelemetry::Key::from_static_str("service.name");
    assert_eq!(telemetry.unwrap().resource().get(&key), Some("other".into()));
}

#[test]
fn settings_are_checked_and_unknown_keys_refused() {
    let build = |json: &str| {
        let settings: TelemetrySettings = serde_json::from_str(json).unwrap();
        TelemetryBuilder::from_settings(&settings).variables(|_| None).build()
    };
    for (json, setting) in [
        (r#"{"service_name": " "}"#, "service_name"),
        (r#"{"service_name": "a", "sampling": {"ratio": 1.5}}"#, "sampling"),
        (r#"{"service_name": "a", "batch": {"queue": 0}}"#, "batch.queue"),
        (r#"{"service_name": "a", "batch": {"delay": 0}}"#, "batch.delay"),
        (r#"{"service_name": "a", "span_names": 0}"#, "span_names"),
        (r#"{"service_name": "a", "metrics_every": 0}"#, "metrics_every"),
    ] {
        let Err(TelemetryError::Setting(error)) = build(json) else { panic!("{json} must fail") };
        assert_eq!(error.setting(), setting);
    }
    let error =
        serde_json::from_str::<TelemetrySettings>(r#"{"service_name": "a", "colour": 1}"#).unwrap_err();
    assert!(error.to_string().contains("unknown field `colour`"), "{error}");
    let settings = TelemetrySettings::new("a");
    let json = serde_json::to_string(&settings).unwrap();
    assert_eq!(serde_json::from_str::<TelemetrySettings>(&json).unwrap(), settings);
}
