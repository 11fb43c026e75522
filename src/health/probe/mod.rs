//! How health is queried from outside: over HTTP and over gRPC.
//!
//! Start with `readiness.rs`, which decides whether the process is ready. `http.rs` and `grpc.rs` are the two services, and
//! `report.rs` writes what they answer.

mod drain;
#[cfg(feature = "grpc")]
mod grpc;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "http")]
mod pages;
mod readiness;
#[cfg(feature = "http")]
mod report;
mod startup;
#[cfg(feature = "grpc")]
mod updates;

#[cfg(feature = "http")]
pub use http::HealthService;
pub use readiness::Readiness;
pub use startup::StartupGate;
