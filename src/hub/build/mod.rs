//! The builders of the parts of a program. Start with `dependency.rs`; the others follow it.

mod dependency;
mod names;
mod server;
mod worker;

pub use dependency::DependencyBuilder;
pub use server::ServerBuilder;
pub use worker::HubWorkerBuilder;
