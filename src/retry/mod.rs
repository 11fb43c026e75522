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
//! - **When no connection was made** is told by the causes of the error, whatever its type: a name without an address, a
//!   refused connection, a failed handshake of TLS. It is known of all clients that stand on `hyper-util`, such as
//!   reqwest and tonic; of any other client only a refused connection is. A client that follows redirects by itself may
//!   have sent the request before it found no connection: let it follow none where a POST must not be done twice.
//! - **Which gRPC calls**: those that end with one of [`Builder::grpc_codes`] before an answer has begun, by the
//!   same rule otherwise: see [`Retry::grpc_layer`].
//! - **When**: after the backoff, or after the `Retry-After` of a 429 or 503 where that is longer, or after exactly
//!   the time by which a gRPC server pushes back; each up to [`Builder::retry_after_cap`].
//! - **How often**: [`Builder::max_attempts`] for one call, the [`RetryBudget`] for all calls together. What is left
//!   of it stands in the [snapshot](RetrySnapshot::budget_left) and in the metrics.
//! - **The deadline** bounds the call with its attempts and waits. A wait that would reach it is not begun: the
//!   caller gets the result at hand, at once. An attempt that hangs is ended there, and so is the wait for a
//!   service to be ready. Over HTTP and gRPC a call ends with the *head* of its response, and so do its deadline and
//!   the [time of an attempt](Builder::attempt_timeout): the body is its reader's. A `BodyTimeoutLayer` bounds that.
//! - **An attempt that is ended for time is a time-out to all**: circuit breakers and timings inside of the retry
//!   count it as [`Timeout`](crate::FailureKind::Timeout), however short the time was. Those behind a spawned task,
//!   such as tower's `Buffer`, do not learn of it.
//! - **An answer that comes before the body of the request was read to its end** is judged like any other, and the
//!   request is sent again if the rules above allow it: what was read is replayed, and the next attempt goes on with
//!   the stream where it stands. The earlier attempt reads no more of it from the moment that there is to be another.
//!   linkerd's proxy does not retry such requests; here a stream that reached a server which is not ready is worth
//!   another server.
//! - **Nothing is held while it waits**: the refused response is dropped first, so that a connection or a permit
//!   it holds is free. Readiness is asked again before each attempt, of the very instance that is called.
//! - **A call that succeeds at once pays for none of it**: it is made by the service itself, which is copied when
//!   there is something to retry and not before, and it reads no clock unless a limit needs one.
//! - **The last attempt gets the request itself**, not a copy.
//! - **Dropping the future** stops everything at once.
//!
//! Waits and limits use tokio's timer: they need a tokio runtime.
//!
//! Put a retry outside of the circuit breaker and of the timing of the single attempts, inside of dead letters. Those
//! tell of each attempt that failed: the retry writes it down where a dead letter layer watches the same task.
//!
//! # Spans
//! OpenTelemetry has `http.request.resend_count` for the span of a request that was sent again. The layers for HTTP
//! and gRPC make no spans; they record it on the [current one](tracing::Span::current) before each resend, where
//! that declares the field. So it works with `#[instrument(fields(http.request.resend_count =
//! tracing::field::Empty))]` on the function that makes the call, and such a span ends with the number of resends.
//! Who wants a span for each attempt makes it inside of the retry, and finds its number by
//! [`Attempt::resend_count`]: the [`Attempt`] is among the extensions of the request.
//!
//! # Why not `tower::retry`
//! It was to be a `tower::retry::Policy` where that can keep what is promised above. It cannot:
//! - **The deadline**, and the limit of an attempt. A policy is asked when an attempt has ended; it cannot end one
//!   that hangs, nor the wait for a service that never is ready again.
//! - **The last attempt gets the request itself.** A policy that makes no copy is not asked how the attempt ended.
//!   Then a call that fails there, or is made once only, is missing from the counts, and from what the budget has
//!   earned.
//! - **No allocation, and no copy of the service, for a call that succeeds.** `tower::retry` clones the service, and
//!   the policy with it, for every call.
//! - **A cancelled call is counted.** A policy is not told.
//! - **The budget is exact.** `TpsBudget` truncates: ratios of 0.6 and 0.7 both allow a retry for every call. One's
//!   own budget is possible there, but not one that is paid for a call that made no copy.

mod budget;
mod course;
mod drive;
mod handle;
#[cfg(feature = "http")]
mod http;
mod layer;
mod run;
mod service;
mod settings;
mod snapshot;
mod spare;

pub use budget::RetryBudget;
pub use course::Attempt;
pub use handle::Retry;
#[cfg(feature = "grpc")]
pub use http::GrpcRetryLayer;
#[cfg(feature = "http")]
pub use http::{
    BodyTimeout, BodyTimeoutFuture, BodyTimeoutLayer, HttpRetryFuture, HttpRetryLayer, HttpRetrying,
    RetryBody, TimedBody,
};
pub use layer::RetryLayer;
pub use service::{RetryFuture, Retrying};
pub use settings::{Builder, DEFAULT_CAP, RetrySettings};
pub use snapshot::{GiveUp, RetrySnapshot};

#[cfg(feature = "http")]
pub use crate::replay::ReplayBody;
