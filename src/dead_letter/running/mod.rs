//! The state that the layers and redrives of one queue share in this process: which redrives run, when letters are due,
//! and which letters could not be sent. Start at `redrives.rs`.

mod progress;
mod redrives;
mod report;
mod schedule;
mod skipped;

pub(super) use progress::Progress;
pub(super) use redrives::{ListGuard, Redrives};
pub use report::{RedriveProgress, RedriveReport, RedriveState, StopReason};
pub(super) use schedule::{BackoffGuard, Schedule};
pub(super) use skipped::PassSkips;
