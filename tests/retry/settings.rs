//! Settings out of range, settings read by serde, and the edges of what is allowed.

#[path = "../support/settings.rs"]
mod bad;

use std::time::Duration;

use campanile::retry::{GiveUp, RetryBuilder, RetrySettings};
use campanile::{Backoff, Jitter, Retry, RetryBudget};
use tokio::time::Instant;

use crate::support::{millis, secs};

fn from_settings(settings: RetrySettings) -> Result<(), campanile::ConfigError> {
    Retry::from_settings("test", &settings).map(drop)
}

/// Add a row for each bound of a new setting.
fn out_of_range() -> Vec<bad::OutOfRange<RetryBuilder>> {
    let b = Retry::builder;
    let ratio = |ratio| b().budget(RetryBudget::ratio(ratio));
    let reserve = |retries| b().budget(RetryBudget::ratio(0.1).min_per_second(retries));
    vec![
        (b().max_attempts(0), "max_attempts", "0", Some(r#"{"max_attempts": 0}"#)),
        (b().max_attempts(1_001), "max_attempts", "1001", Some(r#"{"max_attempts": 1001}"#)),
        (b().max_attempts(u32::MAX), "max_attempts", "4294967295", Some(r#"{"max_attempts": 4294967295}"#)),
        (
            b().backoff(Backoff::exponential(secs(0), secs(1))),
            "backoff.first",
            "0ns",
            Some(r#"{"backoff": {"first": 0, "max": 1}}"#),
        ),
        (
            b().backoff(Backoff::exponential(secs(2), secs(1))),
            "backoff.max",
            "1s",
            Some(r#"{"backoff": {"first": "2s", "max": "1s"}}"#),
        ),
        (
            b().backoff(Backoff::exponential(secs(1), secs(2)).factor(0.5)),
            "backoff.factor",
            "0.5",
            Some(r#"{"backoff": {"first": "1s", "max": "2s", "factor": 0.5}}"#),
        ),
        (b().backoff(Backoff::constant(secs(1)).factor(f64::NAN)), "backoff.factor", "NaN", None),
        (b().backoff(Backoff::constant(secs(1)).factor(f64::INFINITY)), "backoff.factor", "inf", None),
        (ratio(-0.1), "budget.ratio", "-0.1", Some(r#"{"budget": {"ratio": -0.1}}"#)),
        (ratio(10.1), "budget.ratio", "10.1", Some(r#"{"budget": {"ratio": 10.1}}"#)),
        (ratio(f64::NAN), "budget.ratio", "NaN", None),
        (ratio(f64::INFINITY), "budget.ratio", "inf", None),
        (
            reserve(1_000_001),
            "budget.min_per_second",
            "1000001",
            Some(r#"{"budget": {"min_per_second": 1000001}}"#),
        ),
        (
            reserve(u32::MAX),
            "budget.min_per_second",
            "4294967295",
            Some(r#"{"budget": {"min_per_second": 4294967295}}"#),
        ),
        (b().deadline(secs(0)), "deadline", "0ns", Some(r#"{"deadline": 0}"#)),
        (b().attempt_timeout(secs(0)), "attempt_timeout", "0ns", Some(r#"{"attempt_timeout": "0s"}"#)),
        (
            b().deadline(secs(1)).attempt_timeout(secs(2)),
            "attempt_timeout",
            "2s",
            Some(r#"{"deadline": "1s", "attempt_timeout": "2s"}"#),
        ),
        (
            b().retry_after_cap(secs(86_401)),
            "retry_after_cap",
            "86401s",
            Some(r#"{"retry_after_cap": 86401}"#),
        ),
        (b().retry_after_cap(Duration::MAX), "retry_after_cap", "18446744073709551615.999999999s", None),
        (b().body_cap((1 << 30) + 1), "body_cap", "1073741825", Some(r#"{"body_cap": 1073741825}"#)),
        (
            b().body_cap(usize::MAX),
            "body_cap",
            "18446744073709551615",
            Some(r#"{"body_cap": 18446744073709551615}"#),
        ),
        (b().grpc_codes([0]), "grpc_codes", "0", Some(r#"{"grpc_codes": [0]}"#)),
        (b().grpc_codes([14, 17]), "grpc_codes", "17", Some(r#"{"grpc_codes": [14, 17]}"#)),
        (b().grpc_codes([i32::MIN]), "grpc_codes", "-2147483648", Some(r#"{"grpc_codes": [-2147483648]}"#)),
    ]
}

/// Every setting, turned on. Add new settings here.
const GOOD: &str = r#"{
    "max_attempts": 3, "backoff": {"first": "50ms", "max": "1s", "factor": 3.0, "jitter": "full"},
    "budget": {"ratio": 0.1, "min_per_second": 5}, "deadline": "5s", "attempt_timeout": "2s",
    "retry_after_cap": "1m", "body_cap": 1024, "retry_non_idempotent": true,
    "grpc_codes": [10, 14]
}"#;

#[test]
fn a_setting_out_of_its_range_is_named_with_its_value() {
    // These allow every value.
    let any = ["retry_non_idempotent"];
    bad::names_values_out_of_range(out_of_range(), &any, |builder| builder.build().map(drop), from_settings);
}

#[test]
fn settings_are_read_and_written_by_serde() {
    let settings: RetrySettings = serde_json::from_str(GOOD).unwrap();
    assert_eq!(settings.deadline, Some(secs(5)));
    assert_eq!(settings.budget, Some(RetryBudget::ratio(0.1).min_per_second(5)));
    assert_eq!(settings.grpc_codes, [10, 14]);
    let again: RetrySettings = serde_json::from_str(&serde_json::to_string(&settings).unwrap()).unwrap();
    assert_eq!(settings, again);
    from_settings(settings).unwrap();

    let defaults: RetrySettings = serde_json::from_str("{}").unwrap();
    assert_eq!(defaults, RetrySettings::default());
    from_settings(defaults).unwrap();
    let unbounded: RetrySettings = serde_json::from_str(r#"{ "budget": null }"#).unwrap();
    assert_eq!(unbounded.budget, None);
    let by_number: RetrySettings = serde_json::from_str(r#"{ "deadline": 1.5 }"#).unwrap();
    assert_eq!(by_number.deadline, Some(millis(1_500)));
}

#[test]
fn bad_values_in_text_are_refused() {
    let fine = [
        // A delay with this growth has a cap too.
        ("backoff.factor", "4294967296"),
        ("backoff.factor", "1e300"),
        ("backoff.factor", "1000000000000000000000"),
        // An empty budget is the default.
        ("budget", "{}"),
        ("budget", "[]"),
        // An empty list of codes is allowed.
        ("grpc_codes", "[]"),
    ];
    bad::refuses_bad_values(GOOD, &fine, from_settings);
    for (text, what) in [
        (r#"{"max_atempts": 3}"#, "max_atempts"),
        (r#"{"budget": {"ration": 0.1}}"#, "ration"),
        (r#"{"backoff": {"first": "1s"}}"#, "max"),
        (r#"{"deadline": "tomorrow"}"#, "tomorrow"),
    ] {
        let error = serde_json::from_str::<RetrySettings>(text).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    }
}

/// A retry with settings at the edges of all ranges works, and no time overflows.
#[tokio::test(start_paused = true)]
async fn the_edges_are_allowed() {
    let least = Retry::builder()
        .name("edges")
        .max_attempts(1)
        .budget(RetryBudget::ratio(0.0).min_per_second(0))
        .deadline(Duration::from_nanos(1))
        .attempt_timeout(Duration::from_nanos(1))
        .retry_after_cap(secs(0))
        .body_cap(0)
        .grpc_codes([])
        .build()
        .unwrap();
    least.run(|| async { Ok::<_, &str>(()) }).await.unwrap();
    least.run(|| async { Err::<(), _>("broken") }).await.unwrap_err();
    assert!(least.run(std::future::pending::<Result<(), &str>>).await.unwrap_err().is_timed_out());

    let most = Retry::builder()
        .max_attempts(1_000)
        .backoff(
            Backoff::exponential(Duration::from_nanos(1), Duration::MAX)
                .factor(f64::MAX)
                .jitter(Jitter::None),
        )
        .budget(RetryBudget::ratio(10.0).min_per_second(1_000_000))
        .deadline(Duration::MAX)
        .attempt_timeout(Duration::MAX)
        .retry_after_cap(secs(86_400))
        .body_cap(1 << 30)
        .grpc_codes(1..=16)
        .build()
        .unwrap();
    assert_eq!(most.name(), "default");
    let began = Instant::now();
    // The second wait would end at the deadline, so it is not started.
    most.run(|| async { Err::<(), _>("broken") }).await.unwrap_err();
    assert_eq!((most.snapshot().retries, most.snapshot().given_up[&GiveUp::Deadline]), (1, 1));
    assert!(began.elapsed() < secs(1));

    let often = Retry::builder()
        .max_attempts(1_000)
        .backoff(Backoff::constant(Duration::from_nanos(1)))
        .budget(None)
        .build()
        .unwrap();
    often.run(|| async { Err::<(), _>("broken") }).await.unwrap_err();
    assert_eq!(often.snapshot().retries, 999);
}
