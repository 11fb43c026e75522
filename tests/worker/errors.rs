//! Errors that are recorded, and events.

use std::fmt::Display;
use std::sync::Arc;

use campanile::telemetry::{CorrelationId, SpanExt};
use campanile::worker::{RecordedError, Severity, WorkerSettings};
use campanile::{FailureKind, Worker};
use opentelemetry::Context;
use serde_json::Value;

use crate::{Pipeline, message, worker};

#[test]
fn a_recorded_error_is_one_event_with_its_sources_context_and_ids() {
    let pipeline = Pipeline::new();
    let worker = Worker::builder("records").telemetry(&pipeline.telemetry).build().unwrap();
    let id: CorrelationId = "job-17".parse().unwrap();
    let _attached = id.within(&Context::current()).attach();
    let span = tracing::info_span!("job").entered();
    let error = std::io::Error::other(std::fmt::Error);
    worker.record_error(&error, &[("file", &"a.csv"), ("line", &17), ("api_key", &"hunter2")]);
    let lines = pipeline.lines();
    let [line] = &lines[..] else { panic!("{lines:?}") };
    let text = line.to_string();
    assert_eq!((&line["level"], &line["correlation_id"]), (&"ERROR".into(), &"job-17".into()), "{text}");
    assert!(text.contains(&span.trace_id().unwrap().to_string()) && !text.contains("hunter2"), "{text}");
    assert!(text.contains("exception.type") && text.contains(r#"\"line\":\"17\""#), "{text}");
    let snapshot = worker.snapshot();
    let recent = &snapshot.errors.recent[0];
    assert_eq!((recent.kind, &*recent.error_type), (FailureKind::Error, "io::Other"));
    assert_eq!(
        (recent.context["file"].as_str(), recent.context["api_key"].as_str()),
        ("a.csv", "[redacted]")
    );
    assert_eq!(recent.correlation_id.as_deref(), Some("job-17"));
    assert_eq!(recent.trace_id, span.trace_id().map(|id| id.to_string()));
    assert_eq!((snapshot.errors.total, snapshot.errors.by_type["io::Other"]), (1, 1));
    assert_eq!(snapshot.items.failed, 0, "no item failed");
    let asks = |variable| std::env::var(variable).ok().map(|value| value != "0");
    let asked = asks("RUST_LIB_BACKTRACE").or_else(|| asks("RUST_BACKTRACE")).unwrap_or_default();
    assert_eq!((recent.backtrace.is_some(), text.contains("exception.stacktrace")), (asked, asked));
}

#[test]
fn an_error_whose_code_panics_is_recorded() {
    #[derive(Debug)]
    struct Broken;
    impl Display for Broken {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("on purpose")
        }
    }
    impl std::error::Error for Broken {}
    let worker = worker();
    worker.record_error(&Broken, &[("field", &Broken)]);
    let recent = &worker.snapshot().errors.recent[0];
    assert_eq!(
        (&*recent.message, &*recent.context["field"]),
        ("its Display panicked", "its Display panicked")
    );
}

#[test]
fn the_newest_errors_are_kept_within_bounds_and_all_are_counted() {
    let build = |json: &str| {
        let settings: WorkerSettings = serde_json::from_str(json).unwrap();
        Worker::from_settings("bounded", &settings).unwrap()
    };
    let worker = build(r#"{ "recent_errors": 3 }"#);
    for n in 0..5 {
        worker.record_error(&format!("error {n}"), &[]);
    }
    let errors = worker.snapshot().errors;
    let messages: Vec<_> = errors.recent.iter().map(|error| &*error.message).collect();
    assert_eq!((errors.total, messages), (5, vec!["error 4", "error 3", "error 2"]));
    let worker = build(r#"{ "recent_errors_bytes": 20000 }"#);
    let long = "x ".repeat(4_000);
    (0..50).for_each(|_| worker.record_error(&long, &[]));
    let errors = worker.snapshot().errors;
    let bytes =
        |error: &Arc<RecordedError>| error.message.len() + error.backtrace.as_ref().map_or(0, String::len);
    let kept: usize = errors.recent.iter().map(bytes).sum();
    assert!(errors.recent[0].message.len() == 4_096 && (8_000..20_000).contains(&kept), "{kept}");
    assert_eq!(errors.total, 50);
    // One that is too large is counted, and removes none.
    let before = errors.recent.len();
    let value = "x ".repeat(500);
    let names: Vec<_> = (0..40).map(|n| format!("field {n}")).collect();
    let fields: Vec<(&str, &dyn Display)> = names.iter().map(|name| (&**name, &value as _)).collect();
    worker.record_error(&"large", &fields);
    let errors = worker.snapshot().errors;
    assert_eq!((errors.total, errors.recent.len()), (51, before));
    let worker = build("{}");
    worker.record_error(&"large", &fields);
    assert_eq!(worker.snapshot().errors.recent[0].context.len(), 32);
    for (json, wrong) in [
        (
            r#"{ "recent_errors": 1001 }"#,
            "setting `recent_errors` of worker `w` cannot be 1001; allowed: at most 1000",
        ),
        (
            r#"{ "log_every": "10ms" }"#,
            "setting `log_every` of worker `w` cannot be 10ms; allowed: at least 1 s and at most a day",
        ),
    ] {
        let error = Worker::from_settings("w", &serde_json::from_str(json).unwrap()).unwrap_err();
        assert_eq!(error.to_string(), wrong);
    }
    assert!(serde_json::from_str::<WorkerSettings>(r#"{ "log_evry": "1m" }"#).is_err());
    assert_eq!(Worker::builder("").build().unwrap_err().setting(), "name");
}

#[test]
fn an_event_reaches_the_log_with_its_fields_and_the_correlation_id() {
    let pipeline = Pipeline::new();
    let worker = Worker::builder("events").build().unwrap();
    let id: CorrelationId = "job-18".parse().unwrap();
    let _attached = id.within(&Context::current()).attach();
    let fields: &[(&str, &dyn Display)] = &[("rows", &12), ("token", &"hunter2")];
    for severity in [Severity::Info, Severity::Warning, Severity::Error, Severity::Critical, Severity::Info] {
        worker.event("parser", "file_imported", severity, "a file was imported", fields);
    }
    worker.event("loader", "started", Severity::Info, "started", &[]);
    let lines = pipeline.lines();
    let levels: Vec<_> = lines.iter().map(|line| line["level"].as_str().unwrap()).collect();
    assert_eq!(levels, ["INFO", "WARN", "ERROR", "ERROR", "INFO", "INFO"]);
    let first = lines[0].to_string();
    assert_eq!(
        (message(&lines[0]), &lines[0]["correlation_id"]),
        ("a file was imported", &Value::from("job-18"))
    );
    for part in ["parser", "file_imported", "info", r#"\"rows\":\"12\""#] {
        assert!(first.contains(part), "{part} in {first}");
    }
    assert!(!first.contains("hunter2") && !lines[5].to_string().contains("rows"));
    let events = worker.snapshot().events;
    let of =
        |severity| events.iter().find(|event| event.severity == severity && &*event.component == "parser");
    assert_eq!(of(Severity::Info).map(|event| event.count), Some(2));
    assert_eq!(events.len(), 5);
    // Bounded by number.
    (0..400).for_each(|n| worker.event("parser", &format!("event {n}"), Severity::Info, "", &[]));
    let events = worker.snapshot().events;
    assert_eq!(events.len(), 257);
    assert_eq!(events.iter().map(|event| event.count).sum::<u64>(), 406);
    let other = events.iter().find(|event| &*event.component == "_OTHER");
    assert_eq!(other.map(|other| (&*other.event, other.count)), Some(("_OTHER", 149)));
}
