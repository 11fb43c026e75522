//! The layers that a request passes: circuit breaker, retries, timing. [`dead_letter`](crate::dead_letter) is built on
//! them.
//!
//! Start with the `mod.rs` of a layer. Each has a handle, settings, layers, a service and a future.

pub(crate) mod attempts;
#[cfg(feature = "breaker")]
pub mod breaker;
#[cfg(feature = "fallback")]
pub mod fallback;
pub mod guide;
#[cfg(all(feature = "http", any(feature = "retry", feature = "dead-letters")))]
pub(crate) mod replay;
#[cfg(feature = "retry")]
pub mod retry;
#[cfg(feature = "timing")]
pub mod timing;
