//! Work that is no request: items, tasks and loops of a program that imports, syncs or polls.
//!
//! To read the code, start with `run.rs`, which processes one item, and `watch.rs`, which counts it. `inner.rs` holds what a
//! worker counts. `park.rs` parks items, `track.rs` tracks operations, `task.rs` and `loops.rs` run tasks and loops, and
//! `failure_log.rs` sums up what repeats in the log.
//!
//! # Why
//! A program that processes items writes the same code each time: counters, timing, retries, a place for what failed, a
//! loop that survives an error and ends cleanly. A [`Worker`] has all of it under one name.
//!
//! ```
//! use campanile::{Every, Retry, Worker};
//! use std::time::Duration;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
#![cfg_attr(feature = "retry", doc = "let retry = Retry::builder().max_attempts(3).build()?;")]
#![cfg_attr(feature = "retry", doc = "let worker = Worker::builder(\"import\").retry(&retry).build()?;")]
#![cfg_attr(not(feature = "retry"), doc = "let worker = Worker::builder(\"import\").build()?;")]
//! # async fn save(row: u32) -> Result<(), std::io::Error> { Ok(()) }
//! // One item: a span, a duration, retries. If it fails for good, it is parked.
//! worker.run(17_u32, |row| save(row)).await?;
//!
//! // A loop. Its runs never overlap, and it survives errors and panics.
//! let importer = worker.clone();
//! let poll = worker.run_loop("poll", Every::seconds(30), move || {
//!     let importer = importer.clone();
//!     async move {
//!         let rows = importer.track("fetch", 100, async { Ok::<_, std::io::Error>(vec![1_u32]) }).await?;
//!         for row in rows {
//!             // A failure is counted, logged and parked.
//!             let _ = importer.run(row, |row| save(row)).await;
//!         }
//!         Ok::<_, std::io::Error>(())
//!     }
//! })?;
//!
//! // At the end: no new work, and a bounded wait for what runs.
//! let drained = worker.drain(Duration::from_secs(5)).await;
//! assert!(drained.is_complete());
//! # drop(poll);
//! println!("{}", serde_json::to_string(&worker.snapshot())?);
//! # Ok(())
//! # }
//! ```
//!
//! # What it promises
//! - **Each item counts once.** Of the items that [`run`](Worker::run) processes, `ingested` is `ok` + `failed` + `cancelled` +
//!   `active`. A panic is a failure. A future that is dropped is a cancelled item.
//! - **What failed for good is parked** before the caller gets the error, with its attempts, its trace and its correlation
//!   id. [`redrive`](Worker::redrive) processes it again.
//! - **The log has at most one line for each failed item.** Those that fail in the same way are summed up: "and 412 more
//!   like it in the last 1m".
//! - **A loop survives** errors and panics, and its runs never overlap. [`drain`](Worker::drain) stops it cleanly.
//! - **Names are bounded.** Operations, tasks, reasons and types beyond a bound are counted as `_OTHER`.
//! - **Secrets are removed** from errors, events and their fields.
//!
//! # Health
//! Items, operations and runs of tasks have spans whose component is the worker. So
//! [health](crate::health) sees them like any other calls, and `campanile.span.duration` has their durations.
//!
//! # Cost
//! An item that succeeds costs its span, two readings of the clock and a few atomic counters; and the copy of the item that
//! is kept for its letter.

mod builder;
mod control;
mod errors;
mod event_counts;
mod events;
mod failure;
mod failure_log;
mod handle;
mod inner;
mod item_counts;
mod items;
mod loop_handle;
mod loops;
mod metrics;
mod operation;
mod overview;
mod park;
mod record_error;
mod run;
mod settings;
mod snapshot;
mod table;
mod tally;
mod task;
mod task_state;
mod texts;
mod track;
mod watch;

pub use builder::WorkerBuilder;
pub use control::Drained;
pub use errors::RecordedError;
pub use event_counts::Severity;
pub use handle::Worker;
pub use items::Items;
pub use loop_handle::LoopHandle;
pub use operation::MemoryUse;
pub use settings::WorkerSettings;
pub use snapshot::{
    DurationsSnapshot, ErrorsSnapshot, EventSnapshot, ItemsSnapshot, LoopSnapshot, OperationSnapshot,
    TaskSnapshot, WorkerSnapshot,
};
pub use task::{Task, TaskRun};
pub use task_state::TaskStatus;
pub use texts::Fields;
pub use track::Tracked;
