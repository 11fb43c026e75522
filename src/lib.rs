#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]
// Which parts of the lower floors are in use depends on the features; with all of them on, nothing may be left over.
#![cfg_attr(
    not(feature = "full"),
    allow(dead_code, unused_imports, unused_macros, unused_mut, unused_variables, unreachable_pub)
)]
//! Tower layers that survive failure, and a tracing layer that turns every span into a trace, metrics and health.
//!
//! For people who run axum and tonic services: a few `.layer()` lines and one `start()`. A request that failed for good
//! is parked, within stated bounds, and each one that is dropped is counted.
//!
//! ```
//! use campanile::{CircuitBreaker, DeadLetterQueue, Retry, Timing};
//! use tower::{BoxError, Service, ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let queue = DeadLetterQueue::in_memory(1_000);
//! let retry = Retry::builder().max_attempts(3).build()?;
//! let breaker = CircuitBreaker::builder("payments").build()?;
//! let timing = Timing::new("payments");
//!
//! // From the outside in. Each handle also makes layers for HTTP and gRPC, such as `breaker.http_layer()`.
//! let mut service = ServiceBuilder::new()
//!     .layer(queue.layer()) // parks what failed for good, before the caller gets the error
//!     .layer(retry.layer()) // tries again, within a budget
//!     .layer(breaker.layer()) // stops calling what does not answer
//!     .layer(timing.layer()) // times each attempt
//!     .service_fn(|amount: u32| async move { Ok::<_, BoxError>(amount * 2) });
//! assert_eq!(service.ready().await?.call(21).await?, 42);
//! # Ok(())
//! # }
//! ```
//!
//! # Where to look
//! - [`breaker`], [`retry`], [`timing`], [`dead_letter`]: the layers, each with its handle.
#![cfg_attr(
    feature = "fallback",
    doc = "- [`fallback`]: another answer when a call fails, and connections in order."
)]
//! - [`outcome`]: what counts as a failure, in one place for all of them.
//! - [`guide`]: which layer goes where, also among those of tower, tower-http, axum and tonic.
#![cfg_attr(
    feature = "telemetry",
    doc = "- [`telemetry`]: spans, metrics and logs in one call.\n- [`health`]: scores that explain themselves, and probes."
)]
#![cfg_attr(feature = "worker", doc = "- [`worker`]: items, tasks and loops that are no request.")]
#![cfg_attr(feature = "reqwest", doc = "- [`reqwest`]: all layers around a client of reqwest.")]
#![cfg_attr(
    feature = "serve",
    doc = "- [`serve`]: signals, an ordered shutdown, and a port for metrics and probes."
)]
#![cfg_attr(
    feature = "hub",
    doc = "- [`hub`]: all of it under one name per service, with one file of settings."
)]
#![cfg_attr(feature = "system", doc = "- [`sampler`]: the machine, its GPUs, this process and its runtime.")]
//! - [`store`]: where dead letters are kept, and how to keep them elsewhere.
//! - [`redact`]: secrets, taken out before anything leaves.
//! - [`signal`]: the table of metrics.
//! - [`backoff`], [`error`]: delays, and the errors of calls and settings.
//!
//! The README lists the features; `docs/metrics.md` lists every metric.

#[macro_use]
mod base;
#[cfg(feature = "dead-letters")]
pub mod dead_letter;
#[cfg(any(feature = "reqwest", feature = "serve"))]
mod edge;
#[cfg(feature = "telemetry")]
pub mod health;
#[cfg(feature = "hub")]
pub mod hub;
mod layers;
#[cfg(any(feature = "system", feature = "gpu"))]
pub mod sampler;
pub mod signal;
#[cfg(feature = "dead-letters")]
pub mod store;
#[cfg(feature = "telemetry")]
pub mod telemetry;
#[cfg(feature = "worker")]
pub mod worker;

#[cfg(any(feature = "dead-letters", feature = "telemetry"))]
pub use base::redact;
#[cfg(any(feature = "redis", feature = "telemetry"))]
pub use base::tls::TlsSettings;
pub use base::{
    backoff::{self, Backoff, Jitter},
    bounds,
    error::{self, CallError, ConfigError, RejectReason, Rejected, TimedOut},
    every::Every,
    outcome::{self, Classify, FailureKind, Outcome},
    window::Window,
};
#[cfg(feature = "dead-letters")]
pub use dead_letter::{DeadLetterQueue, Redrive};
#[cfg(feature = "reqwest")]
pub use edge::reqwest;
#[cfg(feature = "serve")]
pub use edge::serve::{self, shutdown_signal};
#[cfg(feature = "telemetry")]
pub use health::Health;
#[cfg(feature = "hub")]
pub use hub::Campanile;
#[cfg(feature = "breaker")]
pub use layers::breaker::{self, CircuitBreaker, CircuitState, HalfOpen, KeyedBreaker};
#[cfg(feature = "fallback")]
pub use layers::fallback::{self, Fallback};
pub use layers::guide;
#[cfg(feature = "retry")]
pub use layers::retry::{self, Retry, RetryBudget};
#[cfg(feature = "timing")]
pub use layers::timing::{self, Timing, TimingSnapshot};
#[cfg(feature = "dead-letters")]
pub use store::LetterFilter;
#[cfg(feature = "telemetry")]
pub use telemetry::Telemetry;
#[cfg(feature = "worker")]
pub use worker::Worker;

/// The examples of the documents, compiled.
#[cfg(all(doctest, feature = "full"))]
mod documents {
    #[doc = include_str!("../README.md")]
    struct Readme;
    #[doc = include_str!("../docs/dead-letters.md")]
    struct DeadLetters;
    #[doc = include_str!("../docs/health.md")]
    struct Health;
    #[doc = include_str!("../docs/layers.md")]
    struct Layers;
    #[doc = include_str!("../docs/samplers.md")]
    struct Samplers;
    #[doc = include_str!("../docs/telemetry.md")]
    struct Telemetry;
}
