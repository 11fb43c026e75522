//! The spill: a SQLite file that takes letters while their store cannot. Start with [`SpillStore`] in `store.rs`.
//!
//! A server can be down, or a disk full. Letters then go to a separate file, and their callers do not wait
//! for the store. Letters in the spill are as durable as in any SQLite store. When the store answers again,
//! `drain.rs` moves them there, oldest first; `circuit.rs` decides who asks the store meanwhile, and when.

#[cfg(feature = "sqlite")]
mod circuit;
#[cfg(feature = "sqlite")]
mod drain;
mod settings;
#[cfg(feature = "sqlite")]
mod shared;
#[cfg(feature = "sqlite")]
mod store;

pub use settings::SpillSettings;
#[cfg(feature = "sqlite")]
pub use store::SpillStore;
