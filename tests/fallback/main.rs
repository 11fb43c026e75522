//! Fallbacks and alternatives through their public API, on a paused clock.

#![allow(clippy::disallowed_types)] // The library's own mutex is private.

mod alternatives;
mod function;
#[cfg(feature = "grpc")]
mod grpc;
#[cfg(feature = "http")]
mod http;
mod last_good;
mod order;
mod plain;
#[cfg(feature = "http")]
mod server;
mod settings;
mod support;
