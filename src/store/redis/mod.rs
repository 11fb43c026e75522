//! A store in Redis, for services with many replicas. Start with [`RedisStore`] in `store.rs`.
//!
//! Each change is one Lua script. Redis runs a script as a whole or not at all, and every script may run twice, so a call
//! whose answer was lost is simply repeated.
//!
//! From the bottom up: `scripts.rs` (with `lua/`), `keys.rs`, `rows.rs` and `search.rs` say what Redis holds and runs;
//! `connection.rs` keeps one connection; `client.rs` runs scripts by it; `repair.rs` and `run.rs` repair a queue that lost
//! keys; `queries.rs` and `commands.rs` are the calls of [`Store`](super::Store).

mod builder;
mod client;
mod commands;
mod connection;
mod errors;
mod keys;
#[cfg(feature = "telemetry")]
mod ping;
mod queries;
mod repair;
mod repair_state;
mod rows;
mod run;
mod scripts;
mod search;
mod server;
mod settings;
mod store;
mod target;

pub use builder::RedisStoreBuilder;
#[cfg(feature = "telemetry")]
pub(crate) use ping::{Ping, answered};
pub use settings::RedisSettings;
pub use store::RedisStore;
