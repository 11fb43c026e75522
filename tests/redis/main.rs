//! Letters in a real Redis: what every store does, and what only a server can go through.

#![cfg(campanile_real_servers)]
#![allow(clippy::disallowed_types)] // The library's own mutex is not public.

mod access;
mod clock;
#[path = "../support/clock_checks.rs"]
mod clock_checks;
mod cluster;
mod contract;
mod crash;
mod flow;
mod format;
#[path = "../support/long.rs"]
mod long;
mod orders;
mod outage;
mod secrets;
#[path = "../support/store.rs"]
mod store_checks;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/wall.rs"]
mod wall;
