//! Items that are parked and processed again.

use std::error::Error;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use campanile::dead_letter::{LetterFilter, Redrive};
use campanile::telemetry::{CorrelationId, SpanExt};
use campanile::{Backoff, FailureKind, Retry, Worker};
use opentelemetry::Context;
use serde::{Deserialize, Serialize};
use tracing::Instrument;

use crate::{Pipeline, worker};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Row {
    id: u32,
    name: String,
}

fn row(id: u32) -> Row {
    Row { id, name: format!("row {id}") }
}

#[derive(Debug)]
struct BadRow(std::io::Error);

impl fmt::Display for BadRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the row cannot be saved")
    }
}

impl Error for BadRow {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

#[tokio::test(start_paused = true)]
async fn a_parked_item_has_the_chain_of_its_error_its_kind_and_its_trace() {
    let pipeline = Pipeline::new();
    let worker = Worker::builder("parks").telemetry(&pipeline.telemetry).build().unwrap();
    let id: CorrelationId = "import-17".parse().unwrap();
    let attached = id.within(&Context::current()).attach();
    let span = tracing::info_span!("import");
    drop(attached);
    let trace_id = span.trace_id().unwrap().to_string();
    let error = BadRow(std::io::Error::from(std::io::ErrorKind::TimedOut));
    worker.park(&row(7), &error).instrument(span).await;
    let letter = &worker.letters().list(LetterFilter::all()).await.unwrap()[0];
    assert_eq!((letter.kind, &*letter.error_type), (FailureKind::Timeout, "BadRow"));
    assert_eq!((&*letter.message, letter.causes.len()), ("the row cannot be saved", 1));
    assert_eq!(letter.trace_id.as_deref(), Some(&*trace_id));
    assert_eq!(letter.correlation_id.as_deref(), Some("import-17"));
    let items = worker.snapshot().items;
    assert_eq!((items.failed, items.failed_by[&FailureKind::Timeout], items.parked), (1, 1, 1));
    let recent = &worker.snapshot().errors.recent[0];
    assert_eq!((recent.trace_id.as_deref(), &*recent.of), (Some(&*trace_id), "item"));
}

#[tokio::test(start_paused = true)]
async fn parked_items_come_back_typed_through_the_retry_and_are_not_ingested_again() {
    let retry = Retry::builder().max_attempts(2).backoff(Backoff::constant(Duration::from_millis(1))).build();
    let worker = Worker::builder("redrives").retry(&retry.unwrap()).build().unwrap();
    for id in 0..4 {
        let failed = worker.run(row(id), |_| async { Err::<(), _>("no connection") }).await;
        assert!(failed.is_err());
    }
    let calls = AtomicU32::new(0);
    let report = worker.redrive(
        |item: Row| {
            let first = calls.fetch_add(1, Ordering::Relaxed) == 0;
            assert_eq!(item, row(item.id));
            async move {
                match item.id {
                    0 if first => Err("busy"),
                    3 => Err("still no connection"),
                    _ => Ok(()),
                }
            }
        },
        Redrive::all(),
    );
    let report = report.await.unwrap();
    assert_eq!((report.redriven, report.failed), (3, 1), "{report:?}");
    assert_eq!(calls.load(Ordering::Relaxed), 1 + 4 + 1, "each failed item was tried twice");
    let letter = &worker.letters().list(LetterFilter::all()).await.unwrap()[0];
    assert_eq!((letter.redrives, letter.tries, &*letter.message), (1, 4, "still no connection"));
    let items = worker.snapshot().items;
    assert_eq!((items.ingested, items.failed, items.ok, items.parked), (4, 4, 0, 4));
}

#[tokio::test(start_paused = true)]
async fn an_item_that_runs_within_a_redrive_of_its_queue_is_not_parked_again() {
    let worker = worker();
    worker.park(&row(1), &"no connection").await;
    let again = worker.clone();
    let report = worker.redrive(
        move |item: Row| {
            let worker = again.clone();
            async move {
                let result = worker.run(item, |_| async { Err::<(), _>("still no connection") }).await;
                result.map_err(|error| error.to_string())
            }
        },
        Redrive::all(),
    );
    assert_eq!(report.await.unwrap().failed, 1);
    assert_eq!(worker.letters().len().await.unwrap(), 1);
}
