//! Dead letters through their public API; on a paused clock wherever no file is involved.

#![allow(clippy::disallowed_types)] // The library's own mutex is not public.

#[cfg(feature = "sqlite")]
mod crash;
mod handle;
#[cfg(feature = "http")]
mod http;
mod letters;
mod memory;
mod parking;
mod redaction;
mod redrive;
mod redrive_automatic;
mod redrive_care;
mod redrive_claims;
#[cfg(feature = "http")]
mod redrive_http;
mod redrive_stack;
mod settings;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(feature = "sqlite")]
mod sqlite_contract;
#[path = "../support/store.rs"]
mod store_checks;
mod support;
