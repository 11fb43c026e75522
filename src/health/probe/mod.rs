//! How health is asked from outside: over HTTP, and over gRPC.

#[cfg(feature = "http")]
mod http;

#[cfg(feature = "http")]
pub use http::HealthService;
