//! The open spans.
//!
//! They are kept here and not in the registry's extensions, which allocate for each value and lock for each span. This table
//! is allocated once and split into shards by span, so that threads rarely contend. No lock is held while code outside of
//! this module runs.

mod anchor;
mod finish;
mod layers;
mod live;
mod recording;
mod table;

pub(super) use self::anchor::Anchor;
pub(super) use self::layers::{Key, Layers, Number};
pub(super) use self::live::{Live, Otel};
pub(super) use self::recording::Recording;
pub(super) use self::table::{Inherited, Spans};
