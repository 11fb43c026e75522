//! Start and stop: the order of a shutdown, real processes that get real signals under load, and the metrics server.
#![allow(clippy::disallowed_types, unreachable_pub)] // A poisoned lock fails the test, as it should.

#[cfg(unix)]
mod child;
mod connections;
#[cfg(unix)]
mod killed;
#[cfg(unix)]
mod load;
mod metrics_server;
mod order;
#[cfg(campanile_real_servers)]
mod real;
#[path = "../support/mod.rs"]
mod support;
