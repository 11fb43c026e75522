//! Sends letters again: start at `handle.rs`, which has the methods of the queue, and at `run.rs`, which has the loop.
//!
//! Any number of processes may redrive one queue, and each may end at any moment. So a run claims a page of letters
//! (`claims.rs`), renews its claim while they wait or are sent, and records the result of each (`outcome.rs`, `settler.rs`):
//! delivered, failed, or released.

mod automatic;
mod bring_back;
mod calls;
mod claims;
mod dry_run;
mod handle;
#[cfg(feature = "http")]
mod http;
mod outcome;
mod pace;
mod request;
mod run;
mod settings;
mod settler;
mod state;
mod unreadable;
mod walk;

pub use automatic::RedriveHandle;
#[cfg(feature = "heal")]
pub(crate) use request::Redrivable;
pub use settings::Redrive;
