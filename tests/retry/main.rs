//! Retry through its public API, on a paused clock.

#![allow(clippy::disallowed_types)] // The library's own mutex is private.

mod backoff;
#[cfg(feature = "http")]
mod bodies;
mod budget;
#[cfg(feature = "grpc")]
mod grpc;
#[cfg(feature = "http")]
mod http;
mod plain;
mod reconfigure;
mod run;
#[cfg(feature = "http")]
mod server;
mod settings;
mod support;
