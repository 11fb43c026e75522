//! Settings out of range, and settings from JSON.

use std::time::Duration;

use campanile::CircuitBreaker;
use campanile::health::{Component, Health, HealthSettings, PredictSettings, Status, Thresholds, Weights};

#[test]
fn every_setting_out_of_range_is_named_with_its_value() {
    let weights = |weight| HealthSettings {
        weights: Weights { letters: weight, ..Weights::default() },
        ..HealthSettings::default()
    };
    let thresholds = |healthy, degraded, unhealthy| HealthSettings {
        thresholds: Thresholds { healthy, degraded, unhealthy, ..Thresholds::default() },
        ..HealthSettings::default()
    };
    let margin = |margin| HealthSettings {
        thresholds: Thresholds { margin, ..Thresholds::default() },
        ..HealthSettings::default()
    };
    let predict = |predict| HealthSettings { predict, ..HealthSettings::default() };
    let usual = PredictSettings::default;
    let new = HealthSettings::default;
    let cases = [
        (HealthSettings { minimum_calls: 0, ..new() }, "health.minimum_calls", "0"),
        (HealthSettings { error_share: 0.0, ..new() }, "health.error_share", "0.0"),
        (HealthSettings { error_share: 1.1, ..new() }, "health.error_share", "1.1"),
        (HealthSettings { error_share: f64::NAN, ..new() }, "health.error_share", "NaN"),
        (HealthSettings { consecutive_failures: 0, ..new() }, "health.consecutive_failures", "0"),
        (HealthSettings { mean_duration: Duration::ZERO, ..new() }, "health.mean_duration", "0ns"),
        (HealthSettings { letters: 0, ..new() }, "health.letters", "0"),
        (HealthSettings { unwell_components: Some(0), ..new() }, "health.unwell_components", "Some(0)"),
        (HealthSettings { oldest_letter: Duration::ZERO, ..new() }, "health.oldest_letter", "0ns"),
        (HealthSettings { cached_for: Duration::from_secs(61), ..new() }, "health.cached_for", "61s"),
        (weights(-0.1), "health.weights.letters", "-0.1"),
        (weights(1.5), "health.weights.letters", "1.5"),
        (weights(f64::NAN), "health.weights.letters", "NaN"),
        (thresholds(1.0, 0.5, 0.2), "health.thresholds.healthy", "1.0"),
        (thresholds(0.5, 0.5, 0.2), "health.thresholds.healthy", "0.5"),
        (thresholds(f64::NAN, 0.5, 0.2), "health.thresholds.healthy", "NaN"),
        (thresholds(0.75, 0.2, 0.2), "health.thresholds.degraded", "0.2"),
        (thresholds(0.75, 0.5, -0.1), "health.thresholds.unhealthy", "-0.1"),
        (thresholds(0.95, 0.5, 0.2), "health.thresholds.margin", "0.05"),
        (margin(-0.1), "health.thresholds.margin", "-0.1"),
        (margin(0.25), "health.thresholds.margin", "0.25"),
        (margin(f64::NAN), "health.thresholds.margin", "NaN"),
        (HealthSettings { slower_than_usual: 0.0, ..new() }, "health.slower_than_usual", "0.0"),
        (HealthSettings { slower_than_usual: f64::NAN, ..new() }, "health.slower_than_usual", "NaN"),
        (HealthSettings { round: Duration::from_millis(999), ..new() }, "health.round", "999ms"),
        (HealthSettings { round: Duration::from_secs(61), ..new() }, "health.round", "61s"),
        (
            predict(PredictSettings { warm_up: Duration::from_secs(59), ..usual() }),
            "health.predict.warm_up",
            "59s",
        ),
        (predict(PredictSettings { deviations: 2.9, ..usual() }), "health.predict.deviations", "2.9"),
        (predict(PredictSettings { deviations: f64::NAN, ..usual() }), "health.predict.deviations", "NaN"),
        (
            predict(PredictSettings { settled_after: Duration::ZERO, ..usual() }),
            "health.predict.settled_after",
            "0ns",
        ),
        (
            predict(PredictSettings { horizon: Duration::from_secs(30), ..usual() }),
            "health.predict.horizon",
            "30s",
        ),
    ];
    let health = Health::standalone();
    for (settings, setting, value) in cases {
        let error = health.configure(settings).expect_err(setting);
        assert_eq!((error.setting(), error.value()), (setting, value));
    }
    health.configure(new()).unwrap();
}

#[test]
fn settings_of_components_out_of_range_are_named() {
    let health = Health::standalone();
    for (component, setting) in [
        (Component::new(""), "component.name"),
        (Component::new("c").weight(0.0), "component.c.weight"),
        (Component::new("c").weight(f64::INFINITY), "component.c.weight"),
        (Component::new("c").weight(f64::NAN), "component.c.weight"),
        (Component::new("c").critical(true).optional(true), "component.c.optional"),
    ] {
        assert_eq!(health.register(component).unwrap_err().setting(), setting);
    }
    assert!(health.snapshot().component("c").is_none());
}

#[test]
fn settings_are_read_from_json_and_unknown_keys_are_refused() {
    let text = r#"{
        "minimum_calls": 20, "error_share": 0.02, "mean_duration": "800ms", "oldest_letter": "1day",
        "weights": {"circuit_open": 1.0}, "thresholds": {"healthy": 0.9}, "cached_for": 0
    }"#;
    let settings: HealthSettings = serde_json::from_str(text).unwrap();
    assert_eq!(settings.mean_duration, Duration::from_millis(800));
    assert_eq!((settings.weights.circuit_open, settings.weights.letters), (1.0, 0.5));
    Health::from_settings(&settings).unwrap();
    let again: HealthSettings = serde_json::from_str(&serde_json::to_string(&settings).unwrap()).unwrap();
    assert_eq!(again, settings);
    for (text, what) in [
        (r#"{"error_shar": 0.4}"#, "error_shar"),
        (r#"{"weights": {"leters": 0.4}}"#, "leters"),
        (r#"{"thresholds": {"sick": 0.4}}"#, "sick"),
        (r#"{"mean_duration": "3 sheep"}"#, "3 sheep"),
    ] {
        let error = serde_json::from_str::<HealthSettings>(text).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    }
}

#[test]
fn new_settings_count_at_once() {
    let health = Health::standalone();
    let breaker = CircuitBreaker::builder("reconfigured").build().unwrap();
    health.register(Component::new("reconfigured").critical(true)).unwrap();
    breaker.force_open();
    assert!(!health.readiness().ready);
    let mut settings = HealthSettings::default();
    settings.weights.circuit_open = 0.0;
    health.configure(settings).unwrap();
    assert!(health.readiness().ready);
    let snapshot = health.snapshot();
    assert_eq!(snapshot.component("reconfigured").unwrap().status, Status::Unknown);
}

#[test]
fn the_number_of_components_that_are_not_well_counts_if_it_has_a_limit() {
    // Components of other tests can only add to the number, and none is critical here.
    let breaker = CircuitBreaker::builder("counted").build().unwrap();
    let health = Health::standalone();
    breaker.force_open();
    let limit = |unwell_components| {
        health.configure(HealthSettings { unwell_components, ..HealthSettings::default() }).unwrap();
        let snapshot = health.snapshot();
        (snapshot.status, snapshot.reason.unwrap().to_string(), health.readiness().ready)
    };
    let (status, reason, ready) = limit(None);
    assert_eq!((status, ready), (Status::Degraded, true));
    assert!(!reason.contains("not well"), "{reason}");
    let (status, reason, ready) = limit(Some(1));
    assert_eq!((status, ready), (Status::Unhealthy, true), "the number does not change the readiness");
    assert!(reason.ends_with("not well, and from 1 on the process is unhealthy"), "{reason}");
    assert_eq!(limit(Some(1_000)).0, Status::Degraded);
    // A critical component decides alone.
    health.register(Component::new("counted").critical(true)).unwrap();
    let (status, reason, ready) = limit(Some(1));
    assert_eq!((status, ready), (Status::Unhealthy, false));
    assert!(reason.starts_with("the critical component `counted` is unhealthy"), "{reason}");
}
