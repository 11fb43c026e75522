//! `/metrics` and the probes on a port of their own. Start with `server.rs`; `listener.rs` runs on its thread.

mod builder;
mod listener;
mod pages;
mod server;
mod settings;

pub use builder::MetricsServerBuilder;
pub(super) use listener::END_WITHIN;
pub use server::MetricsServer;
pub use settings::MetricsServerSettings;
