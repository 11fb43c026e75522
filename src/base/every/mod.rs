//! Work at an interval: the checks of health, the loops of workers.
//!
//! Start with `interval.rs`, which holds the settings. `schedule.rs` computes the times of the runs.

mod interval;
mod schedule;

pub use interval::Every;
pub(crate) use schedule::Schedule;
