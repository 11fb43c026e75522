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
mod full;
#[path = "../support/kill.rs"]
mod kill;
#[path = "../support/long.rs"]
mod long;
mod losses;
mod orders;
mod outage;
mod secrets;
#[path = "../support/store.rs"]
mod store_checks;
#[path = "../support/mod.rs"]
mod support;
mod unreadable;
#[path = "../support/unreadable.rs"]
mod unreadable_checks;
#[path = "../support/wall.rs"]
mod wall;
