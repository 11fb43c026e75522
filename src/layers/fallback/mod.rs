//! Fallback: another answer when a call fails, and another connection when one does not work.
//!
//! To read the code, start with `call.rs`, the fallback of a function, and `falling.rs`, the future of the layers: the first
//! try, then the fallback. `substitute.rs` holds what a layer can answer with. `http/cacheable.rs` decides which responses may
//! be kept. `alternatives/call.rs` tries connections in order.
//!
//! # Why
//! When a dependency is down and its circuit is open, an error is often the worst answer. A price of five minutes ago, an empty
//! list, or the same question to a replica serves the user better. But a fallback must not hide the failure: the circuit
//! breaker, the retry and the timing inside of it still count it, and the fallback counts each answer that it gave.
//!
//! # A function
//! ```
//! use campanile::{CircuitBreaker, Fallback};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), campanile::ConfigError> {
//! let breaker = CircuitBreaker::builder("prices").build()?;
//! let prices = Fallback::new("prices");
//! breaker.force_open();
//! let work = breaker.call(async { Ok::<u32, std::io::Error>(42) });
//! // The circuit is open, so the fallback answers.
//! assert_eq!(prices.call_or(work, |_| async { 40 }).await.ok(), Some(40));
//! # Ok(())
//! # }
//! ```
//!
//! # A service
//! [`Fallback::layer`] takes what to answer with: [`value`], [`service`] or [`last_good`].
//! ```
//! use campanile::{Fallback, fallback};
//! use std::time::Duration;
//! use tower::{BoxError, ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let prices = Fallback::builder("prices").max_age(Duration::from_secs(600)).build()?;
//! let client = ServiceBuilder::new()
//!     .layer(prices.layer(fallback::last_good(|item: &&str| item.to_string())))
//!     .service_fn(|item: &str| {
//!         let answer = if item == "broken" { Err("no answer") } else { Ok(item.len()) };
//!         async move { answer.map_err(BoxError::from) }
//!     });
//! assert_eq!(client.clone().oneshot("apple").await?, 5);
//! assert_eq!(client.oneshot("broken").await.unwrap_err().to_string(), "no answer");
//! assert_eq!(prices.snapshot().missing, 1); // it has never had a price of this item
//! # Ok(())
//! # }
//! ```
//!
//! # What it promises
//! - **What leads to the fallback**: an outcome of [`Failure`](crate::Outcome::Failure) or
//!   [`Permanent`](crate::Outcome::Permanent), by the classifier: errors, timeouts, refusals by an open circuit, and over HTTP
//!   5xx and 429. A 404 is an answer. `when` takes another classifier.
//! - **The first error wins**: if the fallback fails too, the caller gets the result of the first try. The fallback's failure is
//!   counted, logged, and attached: see [`FallbackError`] and [`FallbackFailed`].
//! - **A panic** of a fallback is a failure of the fallback. A panic of the work is passed on.
//! - **A call that succeeds** allocates nothing, and boxes nothing. The request is cloned only for [`service`], and the answer
//!   only for [`last_good`].
//! - **Dropping the future** stops the call at once; it counts as cancelled.
//! - **A fallback has no time limit of its own.** Put a retry with a deadline inside of a fallback service.
//! - **Logs**: one line a minute at most for answers of the fallback, and one for its failures. A span with the field
//!   `campanile.fallback` gets the kind of fallback that answered.
//!
//! # Connections
//! [`Alternatives`] holds connections in order: a primary, a replica, a local file. It uses the first that works.

mod alternatives;
mod answer;
mod builder;
mod call;
mod counters;
mod error;
mod falling;
mod handle;
#[cfg(feature = "http")]
mod http;
mod kinds;
mod last_good;
mod layer;
mod policy;
mod settings;
mod snapshot;
mod store;
mod substitute;

pub use alternatives::{
    AlternativeFailure, AlternativeSnapshot, Alternatives, AlternativesBuilder, AlternativesError,
    AlternativesSettings, AlternativesSnapshot, Infrastructure,
};
pub use answer::{Answer, FromResult, FromValue};
pub use builder::FallbackBuilder;
pub use error::{FallbackError, FallbackFailed};
pub use handle::Fallback;
#[cfg(feature = "http")]
pub use http::{FallbackBody, HttpFallbackLayer, HttpSubstitute, HttpWithFallback};
pub use kinds::{FallbackKind, NotKept};
pub use last_good::{LastGood, last_good};
pub use layer::{FallbackLayer, WithFallback};
pub use settings::FallbackSettings;
pub use snapshot::FallbackSnapshot;
pub use substitute::{Other, Substitute, Value, service, value};
