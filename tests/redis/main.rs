//! Letters in a real Redis: what every store does, and what only a server can go through.

mod access;
mod cluster;
mod contract;
mod crash;
mod flow;
mod orders;
mod outage;
mod secrets;
#[path = "../support/store.rs"]
mod store_checks;
#[path = "../support/mod.rs"]
mod support;
