//! Dead letters through their public API. Tests without files run on a paused clock.

#![allow(clippy::disallowed_types)] // The library's own mutex is not public.

#[cfg(feature = "http")]
mod bodies;
#[cfg(target_os = "linux")]
mod clock;
#[cfg(target_os = "linux")]
#[path = "../support/clock_checks.rs"]
mod clock_checks;
#[cfg(feature = "sqlite")]
mod crash;
#[cfg(all(feature = "sqlite", target_os = "linux"))]
mod disk;
#[cfg(all(feature = "sqlite", target_os = "linux"))]
mod disk_emptied;
mod faithful;
mod groups;
#[cfg(feature = "grpc")]
mod grpc;
mod handle;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "sqlite")]
#[path = "../support/kill.rs"]
mod kill;
mod letters;
#[path = "../support/long.rs"]
mod long;
mod memory;
mod model;
mod needs_person;
mod parking;
mod redaction;
#[cfg(feature = "http")]
mod redaction_http;
mod redrive;
mod redrive_automatic;
mod redrive_care;
mod redrive_claims;
#[cfg(feature = "http")]
mod redrive_http;
#[cfg(feature = "sqlite")]
mod redrive_sqlite;
mod redrive_stack;
mod redrive_unrecorded;
#[cfg(all(feature = "http", feature = "sqlite"))]
mod secrets;
#[cfg(feature = "http")]
mod server;
mod settings;
#[cfg(feature = "sqlite")]
mod spill;
#[cfg(feature = "sqlite")]
mod spill_identity;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(feature = "sqlite")]
mod sqlite_contract;
#[cfg(feature = "sqlite")]
mod sqlite_files;
#[cfg(feature = "sqlite")]
mod sqlite_migration;
#[cfg(feature = "sqlite")]
mod sqlite_model;
#[cfg(all(feature = "sqlite", unix))]
mod sqlite_moved;
#[cfg(feature = "sqlite")]
mod sqlite_processes;
#[cfg(all(feature = "sqlite", unix))]
mod sqlite_replaced;
#[cfg(all(feature = "sqlite", unix))]
mod sqlite_rights;
#[cfg(all(feature = "sqlite", unix))]
mod sqlite_visitors;
#[path = "../support/store.rs"]
mod store_checks;
mod support;
mod unreadable;
#[path = "../support/unreadable.rs"]
mod unreadable_checks;
#[path = "../support/wall.rs"]
mod wall;
