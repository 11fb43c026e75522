//! The health of the machine: compares its figures with limits.
//!
//! Start with `settings.rs`, the limits. `watch.rs` compares the figures of a source with them, and `level.rs` keeps the
//! level of one figure.
//!
//! A figure is compared at each reading and not at each health probe, so that the time until a warning does not depend on
//! how often a probe asks. A level that was reached ends only well below its limit, and after as many readings as it took
//! to reach it, so that a figure near its limit does not flap.

mod level;
mod settings;
mod watch;

pub use settings::{Threshold, Thresholds};
pub(super) use watch::Watch;
