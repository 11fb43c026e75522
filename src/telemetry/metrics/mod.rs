//! Collects metrics and pushes them to exporters.
//!
//! The SDK aggregates every measurement once for each reader, so a pipeline that is scraped and also pushes would pay twice.
//! Therefore the scrape and all exporters of cumulative sums share one reader. An exporter of deltas has a reader of its own,
//! because each collection resets the deltas.
//!
//! The crate pushes from threads of its own. The SDK's periodic reader (0.33.1) waits for a flush without a limit, ignores
//! the limit of a shutdown and takes up to five seconds, and its thread ends with the first callback that panics.
//!
//! Start with `reader.rs`, which collects. `pending.rs` and `push.rs` export.

mod guard;
mod overflow;
mod pending;
mod push;
mod reader;
mod view;

pub use self::guard::Meters;
pub(super) use self::pending::{PendingPush, PendingPushes};
pub(super) use self::push::{Push, PushSettings};
pub(super) use self::reader::SharedReader;
pub(super) use self::view::view;
