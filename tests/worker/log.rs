//! The log lines of failed items.

use std::time::Duration;

use campanile::Worker;
use campanile::worker::{Severity, WorkerSettings};
use tracing_subscriber::prelude::*;

use crate::{Pipeline, Sink, sleep, worker};

async fn fail(worker: &Worker, times: u32, message: &str) {
    for _ in 0..times {
        let message = message.to_owned();
        let _ = worker.run(1_u8, |_| std::future::ready(Err::<(), _>(message.clone()))).await;
    }
}

#[tokio::test(start_paused = true)]
async fn failures_that_repeat_are_summed_up_once_a_minute() {
    let pipeline = Pipeline::new();
    let worker = Worker::builder("repeats").telemetry(&pipeline.telemetry).build().unwrap();
    fail(&worker, 413, "no connection").await;
    assert_eq!(pipeline.messages(), ["item failed: no connection"]);
    sleep(60_001).await;
    let all = pipeline.messages();
    assert_eq!(all[1..], ["item failed, and 412 more like it in the last 1m"]);
    // The failures that go on are in the next summary; there is one line a minute.
    fail(&worker, 3, "no connection").await;
    assert_eq!(pipeline.messages().len(), 2);
    sleep(60_001).await;
    assert_eq!(pipeline.messages()[2..], ["item failed, and 3 more like it in the last 1m"]);
    // After a quiet time, a failure is logged at once.
    sleep(180_000).await;
    fail(&worker, 1, "no connection").await;
    assert_eq!(pipeline.messages()[3..], ["item failed: no connection"]);
    assert_eq!(worker.snapshot().items.failed, 417);
}

#[tokio::test(start_paused = true)]
async fn another_failure_has_a_line_of_its_own() {
    let pipeline = Pipeline::new();
    let settings: WorkerSettings = serde_json::from_str(r#"{ "log_every": "1h" }"#).unwrap();
    let worker = Worker::builder("kinds").settings(settings).build().unwrap();
    fail(&worker, 2, "no connection").await;
    let timeout = || std::future::ready(Err::<(), _>(std::io::Error::from(std::io::ErrorKind::TimedOut)));
    let _ = worker.run(1_u8, |_| timeout()).await;
    assert!(worker.task("sync").run(timeout()).await.is_err());
    let lines = pipeline.lines();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert_eq!(pipeline.messages()[2], "task `sync` failed: timed out");
    // What was not reported is reported by a drain, and when the worker goes.
    worker.drain(Duration::ZERO).await;
    assert_eq!(pipeline.messages()[3], "item failed, and 1 more like it in the last 1h");
    fail(&worker, 2, "no connection").await;
    assert_eq!(pipeline.messages().len(), 4);
    drop(worker);
    assert_eq!(pipeline.messages()[4..], ["item failed, and 2 more like it in the last 1h"]);
}

#[test]
fn without_a_runtime_the_next_line_reports_what_was_counted() {
    let pipeline = Pipeline::new();
    let worker = Worker::builder("plain").build().unwrap();
    let sync = worker.task("sync");
    (0..5).for_each(|_| sync.start().fail(&"no connection"));
    assert_eq!(pipeline.messages(), ["task `sync` failed: no connection"]);
    drop((sync, worker));
    assert_eq!(pipeline.messages()[1], "task `sync` failed, and 4 more like it in the last 1m");
}

#[test]
fn kinds_of_failures_beyond_64_share_one_line() {
    let pipeline = Pipeline::new();
    let worker = Worker::builder("many").build().unwrap();
    (0..100).for_each(|number| worker.task(&format!("task {number}")).start().fail(&"no connection"));
    assert_eq!(pipeline.messages().len(), 65);
    drop(worker);
    assert_eq!(pipeline.messages()[65..], ["_OTHER failed, and 35 more like it in the last 1m"]);
}

#[tokio::test(start_paused = true)]
async fn a_secret_in_an_error_is_not_logged() {
    let pipeline = Pipeline::new();
    let worker = Worker::builder("secret").build().unwrap();
    fail(&worker, 1, "cannot open postgres://ann:hunter2@db/orders").await;
    assert!(!format!("{:?}", pipeline.lines()).contains("hunter2"));
    assert!(!serde_json::to_string(&worker.snapshot()).unwrap().contains("hunter2"));
    assert_eq!(worker.snapshot().errors.recent[0].message, "cannot open postgres://[redacted]@db/orders");
}

/// Other subscribers redact nothing.
#[tokio::test(start_paused = true)]
async fn every_subscriber_gets_texts_without_secrets() {
    let sink = Sink::default();
    let writer = sink.clone();
    let console = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(move || writer.clone());
    let _default = tracing::subscriber::set_default(tracing_subscriber::registry().with(console));
    let (worker, text) = (worker(), "cannot open postgres://ann:hunter2@db/orders");
    fail(&worker, 1, text).await;
    worker.record_error(&text, &[("url", &"postgres://ann:hunter2@db/orders")]);
    worker.event("parser", "failed", Severity::Error, text, &[]);
    let shown = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
    assert!(!shown.contains("hunter2"), "{shown}");
    // In the message of each, in `exception.message` and in a field.
    assert_eq!(shown.matches("postgres://[redacted]@db/orders").count(), 5, "{shown}");
}
