//! The hub: start, parts by name, calls, reload, scopes, and the end of a program.
//!
//! `cargo test` runs all tests in one process, which has one global subscriber. A test that needs it runs itself in a process
//! of its own: see [`alone`].
#![allow(clippy::disallowed_types, unreachable_pub)] // A poisoned lock fails the test, as it should.

mod alone;
mod calls;
mod ending;
mod grpc;
mod http;
mod parts;
mod program;
#[cfg(unix)]
mod reload;
mod start;
#[path = "../support/mod.rs"]
mod support;
#[cfg(campanile_real_servers)]
mod trace;
mod watching;
