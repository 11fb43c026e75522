//! How health is asked from outside: over HTTP, and over gRPC.

mod drain;
#[cfg(feature = "http")]
mod http;
mod life;
#[cfg(feature = "http")]
mod pages;
mod readiness;
#[cfg(feature = "http")]
mod report;
mod startup;

#[cfg(feature = "http")]
pub use http::HealthService;
pub(super) use life::Life;
pub use readiness::{Missing, Readiness};
pub use startup::{Startup, StartupGate};
