//! The open spans.
//!
//! They are kept here and not in the registry's extensions, which allocate for each value and lock for each span. This table
//! is allocated once and split into shards by span, so that threads rarely contend. No lock is held while code outside of
//! this module runs.
//!
//! Start with `table.rs`. `open_span.rs` is an entry of the table, and `finish.rs` makes the exported span of it.

mod clock_pair;
mod finish;
mod layers;
mod open_span;
mod recording;
mod table;

pub(super) use self::clock_pair::ClockPair;
pub(super) use self::layers::{LayerNumber, LayerRegistry, SpanKey};
pub(super) use self::open_span::{ContextState, OpenSpan};
pub(super) use self::recording::Recording;
pub(super) use self::table::{Inherited, Spans};
