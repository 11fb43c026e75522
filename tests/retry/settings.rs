//! Settings out of their range, and settings read by serde.

use campanile::retry::{Builder, RetrySettings};
use campanile::{Backoff, Retry, RetryBudget};

use crate::support::{millis, secs};

/// The builder with one setting out of its range, the name and the value that the error must tell.
fn bad() -> Vec<(Builder, &'static str, &'static str)> {
    let builder = Retry::builder;
    vec![
        (builder().max_attempts(0), "max_attempts", "0"),
        (builder().max_attempts(1_001), "max_attempts", "1001"),
        (builder().backoff(Backoff::exponential(secs(0), secs(1))), "backoff.first", "0ns"),
        (builder().backoff(Backoff::exponential(secs(2), secs(1))), "backoff.max", "1s"),
        (builder().backoff(Backoff::exponential(secs(1), secs(2)).factor(0.5)), "backoff.factor", "0.5"),
        (builder().budget(RetryBudget::ratio(-0.1)), "budget.ratio", "-0.1"),
        (builder().budget(RetryBudget::ratio(10.1)), "budget.ratio", "10.1"),
        (builder().budget(RetryBudget::ratio(f64::NAN)), "budget.ratio", "NaN"),
        (
            builder().budget(RetryBudget::ratio(0.1).min_per_second(1_000_001)),
            "budget.min_per_second",
            "1000001",
        ),
        (builder().deadline(secs(0)), "deadline", "0ns"),
        (builder().attempt_timeout(secs(0)), "attempt_timeout", "0ns"),
        (builder().deadline(secs(1)).attempt_timeout(secs(2)), "attempt_timeout", "2s"),
        (builder().retry_after_cap(secs(86_401)), "retry_after_cap", "86401s"),
        (builder().body_cap((1 << 30) + 1), "body_cap", "1073741825"),
    ]
}

#[test]
fn a_setting_out_of_its_range_is_named_with_its_value() {
    for (builder, setting, value) in bad() {
        let error = builder.build().unwrap_err();
        assert_eq!((error.setting(), error.value()), (setting, value), "{error}");
        assert!(error.to_string().starts_with(&format!("setting `{setting}` cannot be {value}: ")));
    }
}

#[test]
fn the_edges_are_allowed() {
    Retry::builder()
        .name("edges")
        .max_attempts(1)
        .budget(RetryBudget::ratio(0.0).min_per_second(0))
        .deadline(millis(1))
        .attempt_timeout(millis(1))
        .retry_after_cap(secs(0))
        .body_cap(0)
        .build()
        .unwrap();
    let retry = Retry::builder().max_attempts(1_000).budget(None).body_cap(1 << 30).build().unwrap();
    assert_eq!(retry.name(), "default");
}

#[test]
fn settings_are_read_and_written_by_serde() {
    let settings: RetrySettings = serde_json::from_str(
        r#"{ "max_attempts": 3, "backoff": { "first": "50ms", "max": "1s", "jitter": "full" },
             "budget": { "ratio": 0.1 }, "deadline": 5, "attempt_timeout": "2s", "retry_after_cap": "1m",
             "body_cap": 1024, "retry_non_idempotent": true }"#,
    )
    .unwrap();
    assert_eq!(settings.deadline, Some(secs(5)));
    assert_eq!(settings.budget, Some(RetryBudget::ratio(0.1)));
    let again = serde_json::from_str(&serde_json::to_string(&settings).unwrap()).unwrap();
    assert_eq!(settings, again);
    Retry::from_settings("payments", settings).unwrap();

    let defaults: RetrySettings = serde_json::from_str("{}").unwrap();
    assert_eq!(defaults, RetrySettings::default());
    let unbounded: RetrySettings = serde_json::from_str(r#"{ "budget": null }"#).unwrap();
    assert_eq!(unbounded.budget, None);
}

#[test]
fn unknown_keys_and_values_out_of_range_are_refused() {
    for text in [
        r#"{ "max_atempts": 3 }"#,
        r#"{ "budget": { "ration": 0.1 } }"#,
        r#"{ "backoff": { "first": "1s" } }"#,
    ] {
        let error = serde_json::from_str::<RetrySettings>(text).unwrap_err().to_string();
        assert!(
            error.contains("max_atempts") || error.contains("ration") || error.contains("max"),
            "{error}"
        );
    }
    let settings: RetrySettings = serde_json::from_str(r#"{ "max_attempts": 0 }"#).unwrap();
    assert_eq!(Retry::from_settings("x", settings).unwrap_err().setting(), "max_attempts");
}
