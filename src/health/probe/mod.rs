//! How health is asked from outside: over HTTP, and over gRPC.

#[cfg(feature = "grpc")]
mod board;
mod drain;
#[cfg(feature = "grpc")]
mod grpc;
#[cfg(feature = "http")]
mod http;
mod life;
#[cfg(feature = "http")]
mod pages;
mod readiness;
#[cfg(feature = "http")]
mod report;
mod startup;

#[cfg(feature = "grpc")]
pub use grpc::{GrpcHealth, Watching};
#[cfg(feature = "http")]
pub use http::HealthService;
pub(super) use life::Life;
pub use readiness::{Missing, Readiness};
pub use startup::{Startup, StartupGate};
