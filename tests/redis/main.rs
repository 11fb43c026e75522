//! Letters in a real Redis.

mod contract;
#[path = "../support/store.rs"]
mod store_checks;
#[path = "../support/mod.rs"]
mod support;
