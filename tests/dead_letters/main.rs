//! Dead letters through their public API; on a paused clock wherever no file is involved.

#![allow(clippy::disallowed_types)] // The library's own mutex is not public.

#[cfg(feature = "sqlite")]
mod crash;
#[cfg(feature = "grpc")]
mod grpc;
#[cfg(feature = "http")]
mod http;
mod letters;
mod memory;
mod parking;
mod redaction;
mod redrive;
mod redrive_claims;
#[cfg(feature = "http")]
mod server;
mod settings;
#[cfg(feature = "sqlite")]
mod sqlite;
#[path = "../support/store.rs"]
mod store_checks;
mod support;
