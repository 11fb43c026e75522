//! Settings are checked, and say what is wrong.

use std::time::Duration;

use campanile::DeadLetterQueue;
use campanile::dead_letter::{DeadLetterSettings, Redrive, WhenFull};
use tower::{BoxError, service_fn};

#[test]
fn each_setting_out_of_range_is_named_with_its_value() {
    let builder = || DeadLetterQueue::builder("orders");
    for (broken, setting, value) in [
        (DeadLetterQueue::builder(" "), "name", "\" \""),
        (builder().component(""), "component", "\"\""),
        (builder().capacity(0), "capacity", "0"),
        (builder().capacity(u64::MAX), "capacity", "18446744073709551615"),
        (builder().park_timeout(Duration::ZERO), "park_timeout", "0ns"),
        (builder().park_timeout(Duration::from_secs(31)), "park_timeout", "31s"),
        (builder().body_cap(65 * 1024 * 1024), "body_cap", "68157440"),
        (builder().redact(["--"]), "redact", "\"--\""),
        (builder().service("", "1"), "service", "\"\""),
        (builder().service("a", " "), "service_version", "\" \""),
        (builder().correlation_headers(["x y"]), "correlation_headers", "\"x y\""),
    ] {
        let error = broken.build().unwrap_err();
        assert_eq!((error.setting(), error.value()), (setting, value));
    }
}

#[tokio::test(start_paused = true)]
async fn a_redrive_out_of_range_is_refused() {
    let queue = DeadLetterQueue::in_memory(1);
    for (broken, setting) in [
        (Redrive::all().rate(0), "rate"),
        (Redrive::all().rate(f64::NAN), "rate"),
        (Redrive::all().concurrency(0), "concurrency"),
        (Redrive::all().concurrency(2_000), "concurrency"),
        (Redrive::all().stop_after(0), "stop_after"),
    ] {
        let service = service_fn(|n: u32| async move { Ok::<_, BoxError>(n) });
        let error = queue.redrive(service, broken).await.unwrap_err();
        assert!(error.is_setting() && error.to_string().contains(setting), "{error}");
    }
}

#[test]
fn settings_are_read_by_serde_and_unknown_keys_refused() {
    let settings: DeadLetterSettings = serde_json::from_str(
        r#"{ "component": "payments", "capacity": 5, "when_full": "drop_oldest", "park_timeout": "250ms",
             "redact": ["ssn"], "body_cap": 10 }"#,
    )
    .unwrap();
    assert_eq!(
        (settings.when_full, settings.park_timeout),
        (WhenFull::DropOldest, Duration::from_millis(250))
    );
    assert_eq!(
        DeadLetterQueue::builder("orders").settings(settings).build().unwrap().component(),
        "payments"
    );

    let error = serde_json::from_str::<DeadLetterSettings>(r#"{ "capacty": 5 }"#).unwrap_err();
    assert!(error.to_string().contains("unknown field `capacty`"), "{error}");
    let error = serde_json::from_str::<Redrive>(r#"{ "filter": { "age": 5 } }"#).unwrap_err();
    assert!(error.to_string().contains("unknown field `age`"), "{error}");
    let redrive: Redrive =
        serde_json::from_str(r#"{ "filter": { "older_than": "1h" }, "rate": 50, "max_pause": "5s" }"#)
            .unwrap();
    assert_ne!(redrive, Redrive::all());
}
