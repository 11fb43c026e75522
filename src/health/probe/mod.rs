//! How health is queried from outside: over HTTP and over gRPC.

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

#[cfg(feature = "grpc")]
pub use grpc::GrpcHealth;
#[cfg(feature = "http")]
pub use http::HealthService;
pub use readiness::{Missing, Readiness};
pub use startup::{Startup, StartupGate};
