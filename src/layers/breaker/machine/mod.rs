//! The state machine of a circuit. Start with `state_machine.rs`. `closed.rs` decides when a circuit opens, `half_open.rs`
//! which calls are probes and what follows from them.
//!
//! The state machine knows no names, subscribers or clocks: time is an argument, and an [`Observer`] is notified of changes.
//! So `loom` can run its races in every order.

mod atomics;
mod closed;
mod completed;
mod core;
mod half_open;
#[cfg(test)]
mod models;
mod observer;
mod state_machine;
mod word;

pub(super) use observer::{Change, Observer};
pub(super) use state_machine::Machine;
pub(super) use word::{Admission, Refusal};
