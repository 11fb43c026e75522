//! Sketches of durations: percentiles with a bounded error. Sketches can be merged.
//!
//! To read the code, start with `durations.rs`, the sketch for one writer. `buckets.rs` defines the buckets, `live.rs` is the sketch for
//! concurrent writers, `summary.rs` holds the values in snapshots, and `wire.rs` the serialized form.

mod buckets;
mod durations;
mod live;
mod summary;
mod wire;

pub(crate) use buckets::{log_bucket, log_middle};
pub use durations::Sketch;
pub(crate) use live::{Counts, LiveSketch};
pub(crate) use summary::Summary;
