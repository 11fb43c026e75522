//! Settings out of range, settings from text, and the edges of what is allowed.

#[path = "../support/settings.rs"]
mod bad;

use std::time::Duration;

use campanile::breaker::{
    Adaptive, BreakerSettings, Cancelled, CircuitBreakerBuilder, KeyedBreaker, KeyedSettings,
};
use campanile::{Backoff, CircuitBreaker, CircuitState, HalfOpen, Jitter, Window};

use crate::{advance, fail, succeed};

fn builder() -> CircuitBreakerBuilder {
    CircuitBreaker::builder("test")
}

fn from_settings(settings: BreakerSettings) -> Result<(), campanile::ConfigError> {
    CircuitBreaker::from_settings("test", &settings).map(drop)
}

/// Add a row for each bound of a new setting.
fn out_of_range() -> Vec<bad::OutOfRange<CircuitBreakerBuilder>> {
    let second = Duration::from_secs(1);
    let b = builder;
    let probes = |permits, max_wait| b().half_open(HalfOpen { permits, max_wait });
    vec![
        (b().failure_rate(0.0), "failure_rate", "0.0", Some(r#"{"failure_rate": 0}"#)),
        (b().failure_rate(-0.1), "failure_rate", "-0.1", Some(r#"{"failure_rate": -0.1}"#)),
        (b().failure_rate(1.01), "failure_rate", "1.01", Some(r#"{"failure_rate": 1.01}"#)),
        (b().failure_rate(f64::NAN), "failure_rate", "NaN", None),
        (b().failure_rate(f64::INFINITY), "failure_rate", "inf", None),
        (b().failure_rate(f64::NEG_INFINITY), "failure_rate", "-inf", None),
        (b().consecutive_failures(0), "consecutive_failures", "0", Some(r#"{"consecutive_failures": 0}"#)),
        (
            b().slow_call(Duration::ZERO, 0.5),
            "slow_call.limit",
            "0ns",
            Some(r#"{"slow_call": {"limit": 0, "rate": 0.5}}"#),
        ),
        (
            b().slow_call(second, 0.0),
            "slow_call.rate",
            "0.0",
            Some(r#"{"slow_call": {"limit": "1s", "rate": 0.0}}"#),
        ),
        (
            b().slow_call(second, 1.5),
            "slow_call.rate",
            "1.5",
            Some(r#"{"slow_call": {"limit": 1, "rate": 1.5}}"#),
        ),
        (b().slow_call(second, f64::NAN), "slow_call.rate", "NaN", None),
        (b().window(Window::count(0)), "window", "0", Some(r#"{"window": {"count": 0}}"#)),
        (
            b().window(Window::count(1_000_001)),
            "window",
            "1000001",
            Some(r#"{"window": {"count": 1000001}}"#),
        ),
        (
            b().window(Window::count(u32::MAX)),
            "window",
            "4294967295",
            Some(r#"{"window": {"count": 4294967295}}"#),
        ),
        (b().window(Window::time(Duration::ZERO)), "window", "0ns", Some(r#"{"window": {"time": 0}}"#)),
        (
            b().window(Window::time(Duration::from_nanos(9_999_999))),
            "window",
            "9.999999ms",
            Some(r#"{"window": {"time": "9999999ns"}}"#),
        ),
        (
            b().window(Window::time(Duration::from_secs(86_401))),
            "window",
            "86401s",
            Some(r#"{"window": {"time": 86401}}"#),
        ),
        (b().window(Window::time(Duration::MAX)), "window", "18446744073709551615.999999999s", None),
        (b().minimum_calls(0), "minimum_calls", "0", Some(r#"{"minimum_calls": 0}"#)),
        (b().minimum_calls(101), "minimum_calls", "101", Some(r#"{"minimum_calls": 101}"#)),
        (b().window(Window::count(5)), "minimum_calls", "10", Some(r#"{"window": {"count": 5}}"#)),
        (
            b().open_for(Backoff::exponential(Duration::ZERO, second)),
            "open_for.first",
            "0ns",
            Some(r#"{"open_for": {"first": "0s", "max": "1s"}}"#),
        ),
        (
            b().open_for(Backoff::exponential(2 * second, second)),
            "open_for.max",
            "1s",
            Some(r#"{"open_for": {"first": 2, "max": 1}}"#),
        ),
        (
            b().open_for(Backoff::exponential(second, second).factor(0.5)),
            "open_for.factor",
            "0.5",
            Some(r#"{"open_for": {"first": "1s", "max": "1s", "factor": 0.5}}"#),
        ),
        (b().open_for(Backoff::constant(second).factor(f64::NAN)), "open_for.factor", "NaN", None),
        (b().open_for(Backoff::constant(second).factor(f64::INFINITY)), "open_for.factor", "inf", None),
        (
            probes(0, second),
            "half_open.permits",
            "0",
            Some(r#"{"half_open": {"permits": 0, "max_wait": "1s"}}"#),
        ),
        (
            probes(1, Duration::ZERO),
            "half_open.max_wait",
            "0ns",
            Some(r#"{"half_open": {"permits": 1, "max_wait": 0}}"#),
        ),
        (
            b().half_open_queue(1_000_001),
            "half_open_queue",
            "1000001",
            Some(r#"{"half_open_queue": 1000001}"#),
        ),
        (
            b().half_open_queue(u32::MAX),
            "half_open_queue",
            "4294967295",
            Some(r#"{"half_open_queue": 4294967295}"#),
        ),
        (b().adaptive(true), "adaptive", "on", Some(r#"{"adaptive": true}"#)),
        (
            learned(|adaptive| adaptive.floor = Some(Duration::ZERO)),
            "adaptive.floor",
            "0ns",
            Some(r#"{"slow_call": {"limit": 1, "rate": 0.5}, "adaptive": {"floor": 0}}"#),
        ),
        (
            learned(|adaptive| adaptive.floor = Some(2 * second)),
            "adaptive.floor",
            "2s",
            Some(r#"{"slow_call": {"limit": 1, "rate": 0.5}, "adaptive": {"floor": "2s"}}"#),
        ),
        (
            learned(|adaptive| adaptive.ceiling = Some(second / 2)),
            "adaptive.ceiling",
            "500ms",
            Some(r#"{"slow_call": {"limit": 1, "rate": 0.5}, "adaptive": {"ceiling": "500ms"}}"#),
        ),
        (learned(|adaptive| adaptive.factor = 0.9), "adaptive.factor", "0.9", None),
        (learned(|adaptive| adaptive.factor = f64::NAN), "adaptive.factor", "NaN", None),
        (
            learned(|adaptive| adaptive.factor = 101.0),
            "adaptive.factor",
            "101.0",
            Some(r#"{"slow_call": {"limit": 1, "rate": 0.5}, "adaptive": {"factor": 101}}"#),
        ),
        (
            learned(|adaptive| adaptive.warm_up_calls = 19),
            "adaptive.warm_up_calls",
            "19",
            Some(r#"{"slow_call": {"limit": 1, "rate": 0.5}, "adaptive": {"warm_up_calls": 19}}"#),
        ),
        (learned(|adaptive| adaptive.period = second / 2), "adaptive.period", "500ms", None),
        (
            learned(|adaptive| adaptive.period = 3_601 * second),
            "adaptive.period",
            "3601s",
            Some(r#"{"slow_call": {"limit": 1, "rate": 0.5}, "adaptive": {"period": 3601}}"#),
        ),
    ]
}

/// A learned slow-call limit, configured as one second.
fn learned(change: impl Fn(&mut Adaptive)) -> CircuitBreakerBuilder {
    let mut adaptive = Adaptive::default();
    change(&mut adaptive);
    builder().slow_call(Duration::from_secs(1), 0.5).adaptive_limits(adaptive)
}

/// Every setting, turned on. Add new settings here.
const GOOD: &str = r#"{
    "failure_rate": 0.4, "consecutive_failures": 7, "window": {"time": "30s"}, "minimum_calls": 20,
    "slow_call": {"limit": "1s 500ms", "rate": 0.9},
    "adaptive": {"floor": "100ms", "ceiling": "3s", "factor": 1.5, "warm_up_calls": 100, "period": "30s"},
    "open_for": {"first": "1s", "max": "1m", "factor": 1.5, "jitter": "full"},
    "half_open": {"permits": 5, "max_wait": "10s"}, "half_open_queue": 8, "cancelled": {"failure_after": "3s"}
}"#;

/// Values that look bad and are allowed: the path and the value.
const FINE: &[(&str, &str)] = &[
    ("open_for.factor", "4294967296"),
    ("open_for.factor", "1e300"),
    ("open_for.factor", "1000000000000000000000"),
    // An empty table has all defaults. A bool or nothing is allowed too.
    ("adaptive", "{}"),
    ("adaptive", "true"),
    ("adaptive.warm_up_calls", "4294967295"),
];

#[test]
fn every_setting_out_of_range_is_named_with_its_value_and_what_is_allowed() {
    // These allow every value.
    let any = ["cancelled"];
    bad::names_values_out_of_range(out_of_range(), &any, |builder| builder.build().map(drop), from_settings);
}

#[test]
fn a_breaker_keeps_its_settings_when_others_are_refused() {
    let breaker = builder().failure_rate(0.7).build().unwrap();
    let before = breaker.settings();
    for (_, setting, value, text) in out_of_range() {
        if let Some(text) = text {
            let error = breaker.reconfigure(serde_json::from_str(text).unwrap()).expect_err(text);
            assert_eq!((error.setting(), error.value()), (setting, value));
            assert_eq!(breaker.settings(), before);
        }
    }
}

#[test]
fn settings_are_read_from_text_and_written() {
    let settings: BreakerSettings = serde_json::from_str(GOOD).unwrap();
    assert_eq!(settings.window, Window::time(Duration::from_secs(30)));
    assert_eq!(settings.slow_call.unwrap().limit, Duration::from_millis(1_500));
    let again: BreakerSettings = serde_json::from_str(&serde_json::to_string(&settings).unwrap()).unwrap();
    assert_eq!(again, settings);
    assert_eq!(serde_json::from_str::<BreakerSettings>("{}").unwrap(), BreakerSettings::default());
    from_settings(BreakerSettings::default()).unwrap();
}

#[test]
fn bad_values_in_text_are_refused() {
    // A delay with this growth has a cap too.
    bad::refuses_bad_values(GOOD, FINE, from_settings);
    for (text, what) in [
        (r#"{"failure_rat": 0.4}"#, "failure_rat"),
        (r#"{"open_for": {"first": "1s", "max": "1m", "jiter": "full"}}"#, "jiter"),
        (r#"{"half_open": {"permits": 5, "max_wait": "10 sheep"}}"#, "10 sheep"),
        (r#"{"slow_call": {"limit": -1, "rate": 0.9}}"#, "-1"),
        (r#"{"window": {"count": 10, "time": "1s"}}"#, "line 1"),
        (r#"{"cancelled": {"failure_after": "soon"}}"#, "soon"),
    ] {
        let error = serde_json::from_str::<BreakerSettings>(text).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    }
}

fn keyed_from_settings(settings: KeyedSettings) -> Result<(), campanile::ConfigError> {
    KeyedBreaker::from_settings("test", |key: &u64| *key, &settings).map(drop)
}

#[test]
fn every_setting_of_a_keyed_breaker_out_of_range_is_named() {
    let b = || CircuitBreaker::keyed("test", (|key: &u64| *key) as fn(&u64) -> u64);
    let rows: Vec<bad::OutOfRange<_>> = vec![
        (b().max_keys(0), "max_keys", "0", Some(r#"{"max_keys": 0}"#)),
        (b().max_keys(1_000_001), "max_keys", "1000001", Some(r#"{"max_keys": 1000001}"#)),
        (b().max_keys(u32::MAX), "max_keys", "4294967295", Some(r#"{"max_keys": 4294967295}"#)),
        (b().max_ejected(0.0), "max_ejected", "0.0", Some(r#"{"max_ejected": 0}"#)),
        (b().max_ejected(1.01), "max_ejected", "1.01", Some(r#"{"max_ejected": 1.01}"#)),
        (b().max_ejected(f64::NAN), "max_ejected", "NaN", None),
        (b().max_ejected(f64::INFINITY), "max_ejected", "inf", None),
    ];
    // The settings of a circuit are those of a breaker.
    bad::names_values_out_of_range(
        rows,
        &["circuit"],
        |builder| builder.build().map(drop),
        keyed_from_settings,
    );
    let good = format!(r#"{{"circuit": {GOOD}, "max_keys": 5, "max_ejected": 0.1}}"#);
    let inner: Vec<_> = FINE.iter().map(|(place, bad)| (format!("circuit.{place}"), *bad)).collect();
    let mut fine: Vec<_> = inner.iter().map(|(place, bad)| (place.as_str(), *bad)).collect();
    // Without `circuit`, the circuits have their defaults.
    fine.extend([("circuit", "{}"), ("circuit", "[]")]);
    bad::refuses_bad_values(&good, &fine, keyed_from_settings);
}

/// A breaker with settings at the edges of all ranges works, and no time overflows.
#[tokio::test(start_paused = true)]
async fn the_edges_are_allowed() {
    let least = builder()
        .failure_rate(f64::MIN_POSITIVE)
        .consecutive_failures(1)
        .slow_call(Duration::from_nanos(1), f64::MIN_POSITIVE)
        .window(Window::count(1))
        .minimum_calls(1)
        .open_for(Backoff::constant(Duration::from_nanos(1)))
        .half_open(HalfOpen { permits: 1, max_wait: Duration::from_nanos(1) })
        .cancelled(Cancelled::FailureAfter(Duration::ZERO))
        .build()
        .unwrap();
    assert!(fail(&least).await);
    assert_eq!(least.state(), CircuitState::Open);
    advance(Duration::from_millis(1)).await;
    assert!(succeed(&least).await);
    assert_eq!(least.state(), CircuitState::Closed);

    let forever = Backoff::exponential(Duration::MAX, Duration::MAX).factor(f64::MAX).jitter(Jitter::None);
    let most = builder()
        .failure_rate(1.0)
        .consecutive_failures(u32::MAX)
        .slow_call(Duration::MAX, 1.0)
        .window(Window::time(Duration::from_secs(86_400)))
        .minimum_calls(u32::MAX)
        .open_for(forever)
        .half_open(HalfOpen { permits: u32::MAX, max_wait: Duration::MAX })
        .half_open_queue(1_000_000)
        .cancelled(Cancelled::FailureAfter(Duration::MAX))
        .build()
        .unwrap();
    for _ in 0..1_000 {
        assert!(fail(&most).await);
    }
    assert_eq!(most.state(), CircuitState::Closed);

    // Open for ever, and half-open with more permits than callers.
    let most = builder().minimum_calls(1).open_for(forever).build().unwrap();
    assert!(fail(&most).await);
    advance(Duration::from_secs(86_400 * 365 * 100)).await;
    assert!(!fail(&most).await);
    assert_eq!(most.state(), CircuitState::Open);
    let wide = HalfOpen { permits: u32::MAX, max_wait: Duration::MAX };
    let wide = builder().minimum_calls(1).open_for(Backoff::constant(Duration::from_secs(1))).half_open(wide);
    let wide = wide.build().unwrap();
    assert!(fail(&wide).await);
    advance(Duration::from_secs(1)).await;
    for _ in 0..1_000 {
        assert!(succeed(&wide).await);
    }
    assert_eq!((wide.state(), wide.snapshot().calls), (CircuitState::HalfOpen, 1_000));
}

#[tokio::test(start_paused = true)]
async fn any_name_will_do() {
    let long = "ö".repeat(10_000);
    for name in ["", " ", "\0\r\n\u{7f}", "Zürich ☃", &long] {
        let breaker = CircuitBreaker::builder(name).build().unwrap();
        breaker.force_open();
        let error = breaker.call(async { Ok::<_, &str>(()) }).await.unwrap_err();
        assert!(error.to_string().contains(name));
        assert_eq!(breaker.name(), name);
    }
}
