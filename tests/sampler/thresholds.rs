//! The health of the host.

use std::time::Duration;

use campanile::Telemetry;
use campanile::health::{Component, HealthSnapshot, ReasonKind, Status};
use campanile::sampler::{Sampler, SamplerSettings, Threshold, Thresholds};

use crate::schedule::until;

#[cfg(feature = "gpu")]
#[path = "../support/settings.rs"]
#[allow(dead_code)] // Other tests use the rest.
mod bad;

/// Limits that every machine exceeds, and limits that none does.
const NOTHING: f64 = 1e-9;
const ALL: f64 = 1.0;

/// A pipeline with these thresholds.
fn with_thresholds(thresholds: Thresholds) -> Telemetry {
    let mut settings = crate::every(Duration::from_millis(100));
    settings.thresholds = thresholds;
    Telemetry::builder("test").variables(|_| None).prometheus().sampler(settings).build().unwrap()
}

/// Waits for a snapshot in which the host has this status.
fn once(telemetry: &Telemetry, status: Status) -> HealthSnapshot {
    let health = telemetry.health();
    let found = until(|| {
        let snapshot = health.snapshot();
        let is = snapshot.component("host").is_some_and(|host| host.status == status);
        is.then_some(snapshot)
    });
    found.unwrap_or_else(|| panic!("the host is not {status}: {:?}", health.snapshot()))
}

#[test]
fn p50_a_host_at_its_limit_is_degraded_with_a_reason() {
    if !crate::in_own_process("thresholds::p50_a_host_at_its_limit_is_degraded_with_a_reason") {
        return;
    }
    let mut thresholds = Thresholds::none();
    let mut memory = Threshold::new(NOTHING, ALL);
    memory.readings = 3;
    thresholds.memory = Some(memory);
    let telemetry = with_thresholds(thresholds);
    let snapshot = once(&telemetry, Status::Degraded);
    let host = snapshot.component("host").unwrap();
    assert_eq!(host.score, 0.75);
    let [reason] = host.reasons.as_slice() else { panic!("{host:?}") };
    assert_eq!((reason.kind, reason.limit, reason.cost), (ReasonKind::MemoryUsage, NOTHING, 0.25));
    assert!(reason.figure > 0.0 && reason.figure < 1.0);
    let text = format!("{:.1} % of the memory is in use; warning from 0.0 %", reason.figure * 100.0);
    assert!(reason.text.starts_with(&text), "{}", reason.text);
    assert_eq!(snapshot.status, Status::Degraded);
    let health = telemetry.health();
    assert!(health.readiness().ready, "a degraded host is ready");
    telemetry.shutdown(Duration::from_secs(5));
    assert!(health.snapshot().component("host").is_none(), "its source ended");
}

#[test]
fn p52_a_host_affects_readiness_only_if_it_is_critical() {
    if !crate::in_own_process("thresholds::p52_a_host_affects_readiness_only_if_it_is_critical") {
        return;
    }
    let mut thresholds = Thresholds::none();
    thresholds.disk = Some(Threshold::new(NOTHING, NOTHING));
    let telemetry = with_thresholds(thresholds);
    let snapshot = once(&telemetry, Status::Unhealthy);
    let host = snapshot.component("host").unwrap();
    assert_eq!((host.score, snapshot.status), (0.5, Status::Degraded));
    // Each file system is named.
    assert!(host.reasons.iter().all(|reason| reason.kind == ReasonKind::DiskUsage), "{host:?}");
    assert!(host.reasons.iter().any(|reason| reason.text.starts_with('/')), "{host:?}");
    assert_eq!(host.reasons.iter().map(|reason| reason.cost).sum::<f64>(), 0.5);
    let health = telemetry.health();
    assert!(health.readiness().ready);
    health.register(Component::new("host").critical(true)).unwrap();
    let readiness = health.readiness();
    assert!(!readiness.ready);
    assert_eq!(&*readiness.missing[0].name, "host");
}

#[test]
fn a_host_below_its_limits_is_healthy_and_without_limits_unknown() {
    if !crate::in_own_process("thresholds::a_host_below_its_limits_is_healthy_and_without_limits_unknown") {
        return;
    }
    let mut thresholds = Thresholds::none();
    thresholds.load = Some(Threshold::new(1e6, 1e6));
    let telemetry = with_thresholds(thresholds);
    let snapshot = once(&telemetry, Status::Healthy);
    assert_eq!(snapshot.component("host").unwrap().score, 1.0);
    drop(telemetry);

    let telemetry = with_thresholds(Thresholds::none());
    let sampled = until(|| telemetry.prometheus_text().contains("\nsystem_memory_usage").then_some(()));
    assert!(sampled.is_some());
    assert!(telemetry.health().snapshot().component("host").is_none());
}

#[cfg(feature = "gpu")]
#[test]
fn bad_settings_are_refused_by_name() {
    let threshold =
        |warn: f64| format!(r#"{{"warn": {warn}, "critical": {}, "clear": 0.1, "readings": 2}}"#, warn + 0.2);
    let good = format!(
        r#"{{"every": "10s", "system": {{}}, "gpu": {{}}, "thresholds": {{"cpu": {share}, "memory": {share},
        "disk": {share}, "load": {}, "temperature": {}, "state": true}}}}"#,
        threshold(2.0),
        threshold(85.0),
        share = threshold(0.5),
    );
    // Empty settings are the default, as a map and as a list.
    let fine: Vec<_> = ["system", "gpu", "thresholds"]
        .into_iter()
        .flat_map(|place| [(place, "{}"), (place, "[]")])
        .collect();
    bad::refuses_bad_values(&good, &fine, |settings: SamplerSettings| {
        Sampler::from_settings(&settings).map(drop)
    });

    for (change, setting, value) in [
        (r#"{"cpu": {"warn": 0.9, "critical": 0.8}}"#, "sampler.thresholds.cpu.critical", "0.8"),
        (r#"{"memory": {"warn": 0.0, "critical": 0.8}}"#, "sampler.thresholds.memory.warn", "0.0"),
        (r#"{"disk": {"warn": 0.9, "critical": 1.1}}"#, "sampler.thresholds.disk.critical", "1.1"),
        (r#"{"load": {"warn": 1, "critical": 2, "clear": 1.0}}"#, "sampler.thresholds.load.clear", "1.0"),
        (
            r#"{"temperature": {"warn": 80, "critical": 90, "readings": 0}}"#,
            "sampler.thresholds.temperature.readings",
            "0",
        ),
    ] {
        let mut settings = SamplerSettings::default();
        settings.thresholds = serde_json::from_str(change).unwrap();
        let error = Sampler::from_settings(&settings).unwrap_err();
        assert_eq!((error.setting(), error.value()), (setting, value));
    }
}
