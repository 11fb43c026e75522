//! Checks: functions and services that health runs at an interval to test one component.
//!
//! Read `check_trait.rs` first, then `registry.rs`, which holds the checks of one health, and `runner.rs`, which runs
//! one of them. `entry.rs` keeps its results, and `measured.rs` what a run measures beside its result. Each other file is one kind of check.
//!
//! # Why
//! A component without calls leaves no vital signs, and the first call to a database that is gone should not be a
//! customer's. A check runs at its own interval and health keeps its last result. A probe never starts a check, and a
//! check that hangs or panics is reported and delays nothing else.

mod blocking;
mod check_trait;
#[cfg(feature = "http")]
mod client;
#[cfg(feature = "dead-letters")]
mod dead_letters;
#[cfg(feature = "http")]
mod endpoint;
mod entry;
mod erased;
mod finding;
mod first_of;
#[cfg(feature = "grpc")]
mod grpc;
mod handle;
#[cfg(feature = "http")]
mod http;
mod limits;
mod measured;
mod poll_timer;
mod pool;
mod pool_state;
#[cfg(feature = "redis")]
mod redis;
mod registry;
mod run_scope;
mod runner;
mod service;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(feature = "http")]
mod tcp;
mod text;
mod timeouts;
mod transitions;

pub use crate::base::every::Every;

#[cfg(feature = "redis")]
pub use self::redis::{RedisCheck, RedisCheckBuilder};
pub use blocking::BlockingCheck;
pub use check_trait::Check;
pub use finding::Finding;
pub use first_of::FirstOf;
#[cfg(feature = "grpc")]
pub use grpc::{GrpcCheck, GrpcCheckSettings};
pub use handle::CheckHandle;
#[cfg(feature = "http")]
pub(crate) use http::status_ranges;
#[cfg(feature = "http")]
pub use http::{HttpCheck, HttpCheckSettings};
pub use pool::PoolCheck;
pub use pool_state::PoolState;
pub(super) use registry::Checks;
pub use service::ServiceCheck;
#[cfg(feature = "sqlite")]
pub use sqlite::{SqliteCheck, SqliteCheckSettings};
#[cfg(feature = "http")]
pub use tcp::{TcpCheck, TcpCheckSettings};
