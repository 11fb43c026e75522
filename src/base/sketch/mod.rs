//! Durations counted by size: percentiles with a bounded error, which can be added up.
//!
//! Start with `durations.rs`, the sketch that one thread writes to; `buckets.rs` says which bucket a duration is in.
//! `live.rs` is the sketch that many threads write to, `summary.rs` the figures that snapshots show, and `wire.rs` how a
//! sketch is serialized.

mod buckets;
mod durations;
mod live;
mod summary;
mod wire;

pub(crate) use buckets::{log_bucket, log_middle};
pub use durations::Sketch;
pub(crate) use live::{Counts, LiveSketch};
pub(crate) use summary::Summary;
