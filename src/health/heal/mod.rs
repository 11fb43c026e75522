//! Healing: actions that repair a component, within limits.
//!
//! Read `healing.rs` first, which says what a healing promises. `healers.rs` holds the healings of one health,
//! `trigger.rs` decides when one starts, and `run.rs` is one action from its start to its record.
//!
//! # Why
//! Some failures go away when a worker is restarted, a circuit is reset or dead letters are sent again, and an operator is
//! woken at night to do it. A program that does it by itself can do harm too: one that restarts a service because its
//! database is slow makes two outages of one, and one that restarts it again and again hides the failure. So an action has
//! limits, is verified, and leaves a record.

mod action;
mod command;
mod context;
mod counters;
mod descendants;
mod done;
mod handle;
mod healer;
mod healers;
mod healing;
mod pacing;
mod record;
mod rolling_hour;
mod run;
mod settings;
mod shared;
mod starts_file;
mod status;
mod trigger;
mod when;

pub use action::Action;
pub(super) use context::HealContext;
pub use handle::HealingHandle;
pub(super) use healers::Healers;
pub use healing::Healing;
pub use record::{HealingOutcome, HealingRecord, Withheld};
pub use settings::{HealingLimits, HealingSettings};
pub use status::HealingStatus;
pub use when::When;
