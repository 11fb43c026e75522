//! Checks of real servers and files that work, slow down, break, send nonsense and disappear.
#![cfg(feature = "telemetry")]

mod blocking;
#[cfg(feature = "http")]
mod end_to_end;
#[cfg(feature = "grpc")]
mod grpc;
#[cfg(feature = "http")]
mod http;
mod pool;
#[cfg(all(campanile_real_servers, feature = "full"))]
mod redis;
#[cfg(feature = "http")]
mod server;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(all(campanile_real_servers, feature = "full"))]
#[path = "../support/mod.rs"]
mod support;
#[cfg(feature = "http")]
mod tcp;
#[cfg(all(campanile_real_servers, feature = "full"))]
mod tls;

use std::time::Duration;

use campanile::health::{Check, Finding};

/// Runs a check. Ends a test that hangs.
async fn find(check: &impl Check) -> Finding {
    tokio::time::timeout(Duration::from_secs(60), check.check()).await.expect("hangs")
}

/// The reason of a failure.
#[track_caller]
fn why(finding: Finding) -> String {
    match finding {
        Finding::Fail(why) => why,
        other => panic!("{other:?}"),
    }
}
