//! Retry through its public API, on a paused clock.

mod budget;
#[cfg(feature = "http")]
mod http;
mod plain;
mod run;
#[cfg(feature = "http")]
mod server;
mod settings;
mod support;
