//! Letters that their store did not take.
//!
//! A server can be away, a disk can be full. The letter of such a moment goes to a file of its own, and its caller
//! is not kept waiting. Letters there are as safe as those in any SQLite store, but they are on their way: a task takes
//! them to the store as soon as it answers, the oldest first.

#[cfg(feature = "sqlite")]
mod circuit;
#[cfg(feature = "sqlite")]
mod drain;
mod settings;
#[cfg(feature = "sqlite")]
mod wrapper;

pub use settings::SpillSettings;
#[cfg(feature = "sqlite")]
pub use wrapper::SpillStore;
