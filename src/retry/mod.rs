//! Retry: makes a failed call again, later, and knows when not to.
//!
//! # Why
//! Many failures pass: a restart, a dropped connection, a moment of overload. Another attempt hides them. But
//! retries are also how a small outage becomes a large one, so most of this module is about not making them: not
//! too soon, not all together, not more than a share of the traffic, not past the time that the caller has, not
//! for what cannot succeed, not where the work might be done twice.
//!
//! # One handle, many layers
//! A [`Retry`] is configured once and cloned freely; every layer made from it shares one budget.
//!
//! ```
//! use campanile::retry::RetryBudget;
//! use campanile::{Backoff, Retry};
//! use std::sync::atomic::{AtomicU32, Ordering};
//! use std::time::Duration;
//! use tower::{Service, ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), tower::BoxError> {
//! let retry = Retry::builder()
//!     .name("payments")
//!     .max_attempts(4)
//!     .backoff(Backoff::exponential(Duration::from_millis(25), Duration::from_secs(2)))
//!     .budget(RetryBudget::ratio(0.2).min_per_second(10))
//!     .deadline(Duration::from_secs(10))
//!     .build()?;
//!
//! static CALLS: AtomicU32 = AtomicU32::new(0);
//! let mut service = ServiceBuilder::new().layer(retry.layer()).service_fn(|n: u32| async move {
//!     // The first call fails.
//!     if CALLS.fetch_add(1, Ordering::Relaxed) == 0 { Err("busy") } else { Ok(n + 1) }
//! });
//! assert_eq!(service.ready().await?.call(1).await?, 2);
//! assert_eq!(retry.snapshot().retries, 1);
//! # Ok(())
//! # }
//! ```
//!
//! # What it promises
//! - **What is retried**: an outcome of [`Outcome::Failure`](crate::Outcome::Failure), by the classifier of the
//!   layer. Never a refusal by a circuit breaker further in: it said that calling does not help.
//! - **Which HTTP requests**: those with an idempotent method (GET, HEAD, OPTIONS, TRACE, PUT, DELETE) or an
//!   `Idempotency-Key`; any other only when no connection was made, unless
//!   [`Builder::retry_non_idempotent`] says otherwise. And only while the body can be sent again: see
//!   [`ReplayBody`].
//! - **When**: after the backoff, or after the `Retry-After` of a 429 or 503 where that is longer, up to
//!   [`Builder::retry_after_cap`].
//! - **How often**: [`Builder::max_attempts`] for one call, the [`RetryBudget`] for all calls together.
//! - **The deadline** bounds the call with its attempts and waits. A wait that would reach it is not begun: the
//!   caller gets the result at hand, at once. An attempt that hangs is ended there, and so is the wait for a
//!   service to be ready.
//! - **Nothing is held while it waits**: the refused response is dropped first, so that a connection or a permit
//!   it holds is free. Readiness is asked again before each attempt, of the very instance that is called.
//! - **The last attempt gets the request itself**, not a copy.
//! - **Dropping the future** stops everything at once.
//!
//! Waits and limits use tokio's timer: they need a tokio runtime.
//!
//! Put a retry outside of the circuit breaker and of the timing of the single attempts, inside of dead letters.
//!
//! # Why not `tower::retry`
//! A `tower::retry::Policy` is asked when an attempt has ended. So it cannot end one that hangs, nor the wait for
//! a service that is never ready again: it has no deadline to keep. It is not asked about an attempt whose request
//! was not copied: either the last attempt costs a copy too, or the policy never learns how the call ended. It
//! answers with a future of `()`: it cannot put a response of its own in the place of one that did not come. And
//! `TpsBudget` truncates: ratios of 0.6 and 0.7 both allow a retry for every call.

mod budget;
mod course;
mod drive;
mod handle;
#[cfg(feature = "http")]
mod http;
mod layer;
#[cfg(feature = "http")]
mod replay;
mod run;
mod service;
mod settings;
mod snapshot;
mod spare;

pub use budget::RetryBudget;
pub use course::Attempt;
pub use handle::Retry;
#[cfg(feature = "grpc")]
pub use http::{BoxingErrors, BoxingErrorsFuture, GrpcRetryLayer};
#[cfg(feature = "http")]
pub use http::{HttpRetryFuture, HttpRetryLayer, HttpRetrying, RetryBody};
pub use layer::RetryLayer;
#[cfg(feature = "http")]
pub(crate) use replay::Captured;
#[cfg(feature = "http")]
pub use replay::ReplayBody;
pub use run::{ByBox, ByError, ByText, Cause};
pub use service::{RetryFuture, Retrying};
pub use settings::{Builder, DEFAULT_CAP, RetrySettings};
pub use snapshot::{GiveUp, RetrySnapshot};
