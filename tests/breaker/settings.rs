//! Settings out of range, and settings from text.

use std::time::Duration;

use campanile::breaker::BreakerSettings;
use campanile::{Backoff, CircuitBreaker, HalfOpen, Window};

#[test]
fn every_setting_out_of_range_is_named_with_its_value_and_what_is_allowed() {
    let second = Duration::from_secs(1);
    let new = || CircuitBreaker::builder("test");
    let cases = [
        (new().failure_rate(0.0), "failure_rate", "0.0"),
        (new().failure_rate(1.01), "failure_rate", "1.01"),
        (new().failure_rate(f64::NAN), "failure_rate", "NaN"),
        (new().consecutive_failures(0), "consecutive_failures", "0"),
        (new().slow_call(Duration::ZERO, 0.5), "slow_call.limit", "0ns"),
        (new().slow_call(second, 0.0), "slow_call.rate", "0.0"),
        (new().slow_call(second, 1.5), "slow_call.rate", "1.5"),
        (new().window(Window::count(0)), "window", "0"),
        (new().window(Window::count(2_000_000)), "window", "2000000"),
        (new().window(Window::time(Duration::from_millis(1))), "window", "1ms"),
        (new().minimum_calls(0), "minimum_calls", "0"),
        (new().minimum_calls(101), "minimum_calls", "101"),
        (new().open_for(Backoff::exponential(Duration::ZERO, second)), "open_for.first", "0ns"),
        (new().open_for(Backoff::exponential(2 * second, second)), "open_for.max", "1s"),
        (new().open_for(Backoff::exponential(second, second).factor(0.5)), "open_for.factor", "0.5"),
        (new().half_open(HalfOpen { permits: 0, max_wait: second }), "half_open.permits", "0"),
        (new().half_open(HalfOpen { permits: 1, max_wait: Duration::ZERO }), "half_open.max_wait", "0ns"),
    ];
    for (builder, setting, value) in cases {
        let error = builder.build().expect_err(setting);
        assert_eq!((error.setting(), error.value()), (setting, value));
        let message = error.to_string();
        assert!(message.contains(setting) && message.contains(value), "{message}");
    }
}

#[test]
fn settings_are_read_from_text_and_unknown_keys_refused() {
    let text = r#"{
        "failure_rate": 0.4, "consecutive_failures": 7, "window": {"time": "30s"}, "minimum_calls": 20,
        "slow_call": {"limit": 1.5, "rate": 0.9},
        "open_for": {"first": "1s", "max": "1m", "jitter": "full"},
        "half_open": {"permits": 5, "max_wait": "10s"}, "cancelled": {"failure_after": "3s"}
    }"#;
    let settings: BreakerSettings = serde_json::from_str(text).unwrap();
    assert_eq!(settings.window, Window::time(Duration::from_secs(30)));
    assert_eq!(settings.slow_call.unwrap().limit, Duration::from_millis(1_500));
    assert!(CircuitBreaker::from_settings("test", settings.clone()).is_ok());
    let again: BreakerSettings = serde_json::from_str(&serde_json::to_string(&settings).unwrap()).unwrap();
    assert_eq!(again, settings);

    for (text, what) in [
        (r#"{"failure_rat": 0.4}"#, "failure_rat"),
        (r#"{"open_for": {"first": "1s", "max": "1m", "jiter": "full"}}"#, "jiter"),
        (r#"{"half_open": {"permits": 5, "max_wait": "10 sheep"}}"#, "10 sheep"),
        (r#"{"slow_call": {"limit": -1, "rate": 0.9}}"#, "-1"),
    ] {
        let error = serde_json::from_str::<BreakerSettings>(text).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    }
}
