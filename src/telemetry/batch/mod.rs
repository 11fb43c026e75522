//! Queues of spans and log records to export.
//!
//! A thread that ends a span pushes it on a bounded queue. If the queue is full, the span is dropped and counted. A worker
//! thread takes the whole queue and waits for the exporter.
//!
//! The batch processors of `opentelemetry_sdk` 0.33.1 cost a span the same, but:
//! - An exporter that panics ends their thread. Of 55 spans in batches of 10, of which the first panics, they export
//!   none and this exports 45. Their metric counts 10 of them as processed and 5 as late, and 40 not at all.
//! - An export that never ends blocks their thread forever: without an asynchronous runtime they have no timeout.
//! - They count (`otel.sdk.processor.span.processed`) with the meter that is global when they are made. A pipeline is
//!   made before it becomes global, and may never be. They do not count failed exports or waiting items.
//! - A log record takes some 500 bytes in their queue. Here it takes them only while it is exported.
//!
//! Start with `processor.rs`. `worker.rs` is the other end of the queue.

mod export;
mod processor;
mod queue;
mod settings;
mod shared;
mod spans;
mod worker;

pub(super) use self::export::{BatchExporter, BatchItem, FLUSH, sdk_result};
pub(super) use self::processor::BatchProcessor;
pub use self::settings::BatchSettings;
