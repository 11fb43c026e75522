//! The snapshot and the metrics.

use std::collections::BTreeSet;
use std::task::Poll;

use campanile::Worker;
use campanile::worker::{Severity, WorkerSnapshot};
use serde_json::Value;

use crate::Pipeline;

async fn busy(worker: &Worker) {
    worker.run(1_u32, |_| std::future::ready(Ok::<_, String>(()))).await.unwrap();
    let _ = worker.run(2_u32, |_| std::future::ready(Err::<(), _>("no connection"))).await;
    worker.items().converted(3).skipped("duplicate", 4);
    worker.track("fetch", 5, std::future::ready(Ok::<_, String>(()))).await.unwrap();
    worker.task("sync").run(std::future::ready(Ok::<_, String>(()))).await.unwrap();
    worker.record_error(&std::io::Error::other("damaged"), &[("file", &"a.csv")]);
    worker.event("parser", "started", Severity::Info, "started", &[]);
}

/// The keys of all objects in `value`, by their path.
fn keys(path: &str, value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| {
            found.insert(format!("{path}{key}"));
            keys(&format!("{path}{key}."), value, found);
        }),
        Value::Array(values) => values.iter().for_each(|value| keys(path, value, found)),
        _ => {}
    }
}

#[tokio::test(start_paused = true)]
async fn the_keys_of_a_snapshot_stay_the_same() {
    let worker = Worker::builder("shown").build().unwrap();
    busy(&worker).await;
    let poll = worker.run_loop("poll", campanile::Every::seconds(9), || async { Ok::<_, String>(()) });
    let snapshot = worker.snapshot();
    let json = serde_json::to_value(&snapshot).unwrap();
    let mut found = BTreeSet::new();
    keys("", &json, &mut found);
    let top: Vec<_> = found.iter().filter(|key| !key.contains('.')).map(String::as_str).collect();
    assert_eq!(top, ["errors", "events", "items", "loops", "name", "operations", "tasks"]);
    let of = |start: &str| -> Vec<String> {
        let inside = found.iter().filter_map(|key| key.strip_prefix(start)).filter(|key| !key.contains('.'));
        inside.map(str::to_owned).collect()
    };
    assert_eq!(
        of("items.").join(" "),
        "active cancelled converted dropped durations failed failed_by ingested ok parked skipped skipped_by"
    );
    assert_eq!(of("items.durations.").join(" "), "max mean min p50 p95 p99");
    assert_eq!(
        of("operations.").join(" "),
        "active calls durations failed failed_by items items_per_second memory name"
    );
    assert_eq!(
        of("tasks.").join(" "),
        "active durations failed failed_by last_ended last_started last_took name runs status"
    );
    assert_eq!(of("loops.").join(" "), "name running stopping");
    assert_eq!(of("errors.").join(" "), "by_type recent total");
    assert_eq!(
        of("errors.recent.").join(" "),
        "at backtrace causes context correlation_id error_type kind message of span_id trace_id"
    );
    assert_eq!(of("events.").join(" "), "component count event severity");
    assert_eq!(serde_json::from_value::<WorkerSnapshot>(json).unwrap(), snapshot);
    drop(poll);
}

#[tokio::test(start_paused = true)]
async fn every_count_is_a_metric() {
    let pipeline = Pipeline::new();
    let worker = Worker::builder("metered").telemetry(&pipeline.telemetry).build().unwrap();
    busy(&worker).await;
    let _running = worker.task("sync").start();
    let mut item = Box::pin(worker.run(3_u32, |_| std::future::pending::<Result<(), String>>()));
    assert!(std::future::poll_fn(|cx| Poll::Ready(item.as_mut().poll(cx).is_pending())).await);
    let text = pipeline.telemetry.prometheus_text();
    let value = |name: &str, labels: &[&str]| {
        let line = text.lines().find(|line| {
            line.starts_with(name)
                && line.contains(r#"worker="metered""#)
                && labels.iter().all(|it| line.contains(it))
        });
        line.and_then(|line| line.rsplit(' ').next()).and_then(|value| value.parse::<f64>().ok())
    };
    let items = |labels: &[&str]| value("campanile_worker_items_total", labels);
    assert_eq!(items(&[r#"state="ingested""#]), Some(3.0), "{text}");
    assert_eq!(items(&[r#"state="ok""#]), Some(1.0));
    assert_eq!(items(&[r#"state="converted""#]), Some(3.0));
    assert_eq!(items(&[r#"state="failed""#, r#"reason="error""#]), Some(1.0));
    assert_eq!(items(&[r#"state="skipped""#, r#"reason="duplicate""#]), Some(4.0));
    assert_eq!(value("campanile_worker_active_items", &[]), Some(1.0));
    assert_eq!(value("campanile_worker_operation_items_total", &[r#"operation="fetch""#]), Some(5.0));
    assert_eq!(value("campanile_worker_task_active", &[r#"task="sync""#]), Some(1.0));
    assert_eq!(value("campanile_worker_errors_total", &[r#"error_type="io::Other""#]), Some(1.0));
    assert_eq!(
        value("campanile_worker_events_total", &[r#"component="parser""#, r#"event="started""#]),
        Some(1.0)
    );
}
