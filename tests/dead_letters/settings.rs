//! Settings are checked, and errors name what is wrong.

use std::time::Duration;

use campanile::DeadLetterQueue;
use campanile::dead_letter::{DeadLetterSettings, Redrive, SpillSettings, StoreSettings, WhenFull};
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
        (builder().max_bytes(1_000), "max_bytes", "1000"),
        (builder().max_parking_bytes(1_000), "max_parking_bytes", "1000"),
        (builder().expire_after(Duration::from_millis(5)), "expire_after", "5ms"),
        (builder().when_full(WhenFull::Spill), "when_full", "Spill"),
        (builder().service("", "1"), "service", "\"\""),
        (builder().service("a", " "), "service_version", "\" \""),
        (
            builder().settings(DeadLetterSettings {
                correlation_headers: vec!["x y".to_owned()],
                ..DeadLetterSettings::default()
            }),
            "correlation_headers",
            "\"x y\"",
        ),
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

#[cfg(feature = "sqlite")]
#[test]
fn each_setting_of_a_spill_is_named_with_its_value() {
    let spill = || SpillSettings::new("spill.db");
    for (broken, setting, value) in [
        (SpillSettings::new(""), "spill.path", "\"\""),
        (spill().after(Duration::ZERO), "spill.after", "0ns"),
        (spill().after(Duration::from_secs(1)), "spill.after", "1s"),
        (spill().capacity(0), "spill.capacity", "0"),
        (spill().max_bytes(10), "spill.max_bytes", "10"),
        // The setting is valid, but `build` cannot open a file.
        (spill(), "spill", "spill.db"),
    ] {
        let error = DeadLetterQueue::builder("orders").spill(broken).build().unwrap_err();
        assert_eq!((error.setting(), error.value()), (setting, value));
    }
}

#[cfg(not(feature = "sqlite"))]
#[test]
fn a_spill_without_its_feature_is_refused() {
    let error = DeadLetterQueue::builder("orders").spill("spill.db").build().unwrap_err();
    assert!(error.setting() == "spill" && error.to_string().contains("feature `sqlite`"), "{error}");
}

#[test]
fn settings_are_read_by_serde_and_unknown_keys_refused() {
    let settings: DeadLetterSettings = serde_json::from_str(
        r#"{ "component": "payments", "capacity": 5, "when_full": "drop_oldest", "park_timeout": "250ms",
             "redact": ["ssn"], "body_cap": 10 }"#,
    )
    .unwrap();
    let spilling: DeadLetterSettings =
        serde_json::from_str(r#"{ "when_full": "spill", "spill": { "path": "spill.db", "after": "50ms" } }"#)
            .unwrap();
    let wanted = SpillSettings::new("spill.db").after(Duration::from_millis(50));
    assert_eq!((spilling.when_full, spilling.spill), (WhenFull::Spill, Some(wanted)));
    let error = serde_json::from_str::<SpillSettings>(r#"{ "path": "a", "size": 5 }"#).unwrap_err();
    assert!(error.to_string().contains("unknown field `size`"), "{error}");
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

#[test]
fn the_store_is_read_by_its_kind() {
    let read = |text: &str| serde_json::from_str::<StoreSettings>(text).map_err(|error| error.to_string());
    assert_eq!(read(r#"{ "kind": "memory" }"#).unwrap(), StoreSettings::Memory);
    for (text, error) in [
        (r#"{ "kind": "memory", "path": "a" }"#, "unknown field `path`"),
        (r#"{ "kind": "sqlite", "path": "a", "size": 1 }"#, "unknown field `size`"),
        (r#"{ "kind": "sqlite" }"#, "missing field `path`"),
        (r#"{ "kind": "redis", "url": "redis://a/", "path": "a" }"#, "unknown field `path`"),
        (r#"{ "kind": "postgres" }"#, "unknown variant `postgres`"),
        (r#"{ "path": "a" }"#, "missing field `kind`"),
    ] {
        let of_feature = [("sqlite", cfg!(feature = "sqlite")), ("redis", cfg!(feature = "redis"))]
            .into_iter()
            .find(|(name, on)| !on && text.contains(name));
        let error = of_feature.map_or_else(|| error.to_owned(), |(name, _)| format!("the feature `{name}`"));
        let found = read(text).unwrap_err();
        assert!(found.contains(&error), "{text}: {found}");
    }
    for store in [
        StoreSettings::Memory,
        #[cfg(feature = "sqlite")]
        StoreSettings::Sqlite { path: "letters.db".into() },
        #[cfg(feature = "redis")]
        StoreSettings::Redis(campanile::store::RedisSettings::default()),
    ] {
        let text = serde_json::to_string(&store).unwrap();
        assert_eq!(read(&text).unwrap(), store, "{text}");
    }
}

#[tokio::test]
async fn a_queue_opens_the_store_of_its_settings() {
    let memory = DeadLetterQueue::from_settings("orders", &DeadLetterSettings::default()).await.unwrap();
    assert_eq!((memory.name(), memory.len().await.unwrap()), ("orders", 0));
    let wrong = DeadLetterSettings { capacity: 0, ..DeadLetterSettings::default() };
    let error = DeadLetterQueue::from_settings("orders", &wrong).await.unwrap_err();
    assert!(error.is_setting() && error.to_string().contains("capacity"), "{error}");
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn a_queue_opens_the_file_and_the_spill_of_its_settings() {
    let folder = tempfile::tempdir().unwrap();
    let (path, spill) = (folder.path().join("letters.db"), folder.path().join("spill.db"));
    let settings = DeadLetterSettings {
        store: StoreSettings::Sqlite { path: path.clone() },
        spill: Some(SpillSettings::new(&spill)),
        ..DeadLetterSettings::default()
    };
    let queue = DeadLetterQueue::from_settings("orders", &settings).await.unwrap();
    crate::support::fail(&queue, 7).await;
    assert!(path.exists() && spill.exists());
    let same = DeadLetterQueue::builder("orders").sqlite(&path).await.unwrap();
    assert_eq!(same.len().await.unwrap(), 1);

    // A builder names its store itself.
    let twice = DeadLetterQueue::builder("orders").settings(settings);
    let error = twice.clone().build().unwrap_err();
    assert!(error.setting() == "store" && error.to_string().contains("from_settings"), "{error}");
    assert!(twice.sqlite(&path).await.unwrap_err().is_setting());
}
