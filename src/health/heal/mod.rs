//! Healing: actions that may help, as seldom as they must be.
//!
//! # Why
//! Some failures go away when a worker is restarted, a circuit reset or a queue sent again, and somebody is woken at
//! night to do it. A program that does it by itself can do harm as well: one that restarts what is slow because its
//! database is down makes two outages of one, and one that restarts for ever hides the failure. So an action is
//! held to limits, is looked after, and leaves a record. What it promises is written at [`Healing`].

mod action;
mod command;
mod context;
mod counts;
mod course;
mod floor;
mod handle;
mod healers;
mod healing;
mod hour;
mod memory;
mod record;
mod run;
mod settings;
mod strays;
mod when;

pub use action::Action;
pub(super) use context::HealContext;
pub use course::HealingStatus;
pub use handle::HealingHandle;
pub(super) use healers::Healers;
pub use healing::Healing;
pub use record::{HealingOutcome, HealingRecord, Withheld};
pub use settings::{HealingLimits, HealingSettings};
pub use when::When;
