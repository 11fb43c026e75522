//! How health is asked from outside: over HTTP, and over gRPC.

mod drain;
#[cfg(feature = "http")]
mod http;
mod life;
mod readiness;
mod startup;

#[cfg(feature = "http")]
pub use http::HealthService;
pub(super) use life::Life;
pub use readiness::{Missing, Readiness};
pub use startup::{Startup, StartupGate};
