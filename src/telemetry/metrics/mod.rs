//! Metrics on their way out.
//!
//! The SDK aggregates every measurement once for each reader: a pipeline that is scraped and also pushes would pay
//! twice for each of them. So all who want totals share one reader, which is asked by whoever needs the numbers.
//! Only an exporter that wants differences has a reader of its own, for those begin anew with every question.
//!
//! Exporters are sent to from threads of ours: the SDK's periodic reader (0.33.1) waits for a flush without a limit, at its
//! end for five seconds whatever the limit is, and its thread ends with the first callback that panics.

mod guard;
mod outlets;
mod overflow;
mod push;
mod reader;
mod view;

pub use self::guard::Meters;
pub(super) use self::outlets::{Outlet, Outlets};
pub(super) use self::push::{Push, PushSettings};
pub(super) use self::reader::Shared;
pub(super) use self::view::view;
