//! Retry: repeats a failed call after a delay, within limits.
//!
//! To read the code, start with `attempt_loop.rs`, which makes the attempts of a call, and `decision.rs`, which decides
//! whether and when another one follows. `http/idempotent.rs` decides which HTTP requests may be sent again, and
//! `base/outcome/retry_after.rs` parses `Retry-After`.
//!
//! # Why
//! Many failures are temporary: a restart, a dropped connection, a moment of overload. A second attempt hides them.
//! But retries can also turn a small outage into a large one. So most of this module limits them: they are delayed,
//! spread over time, a bounded share of the traffic, never past the deadline of the caller, never for permanent errors, and
//! never if the work might be done twice.
//!
//! # One handle, many layers
//! A [`Retry`] is configured once and is cheap to clone. All layers made from it share one budget.
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
//!   layer. A refusal by an inner circuit breaker is never retried.
//! - **Which HTTP requests**: those with an idempotent method (GET, HEAD, OPTIONS, TRACE, PUT, DELETE) or an
//!   `Idempotency-Key`. Any other request is retried only if no connection was made, or with
//!   [`RetryBuilder::retry_non_idempotent`]. All are retried only while the body can be sent again: see [`ReplayBody`].
//! - **Whether a connection was made** is read from the causes of the error, of any type. There was none if the name has no
//!   address, if the connection was refused, or if the TLS handshake failed. This works for all clients that are built on
//!   `hyper-util`, such as reqwest and tonic; with other clients only a refused connection is recognised. A client that
//!   follows redirects may have sent the request before the connection failed: turn redirects off if a POST must not be
//!   processed twice.
//! - **Which gRPC calls**: those that end with one of [`RetryBuilder::grpc_codes`] before the response has begun. The rule
//!   for HTTP holds for other calls: see [`Retry::grpc_layer`].
//! - **When**: after the backoff; after the `Retry-After` of a 429 or 503, if that is longer; or after exactly the pushback
//!   of a gRPC server. The last two are bounded by [`RetryBuilder::retry_after_cap`].
//! - **How often**: [`RetryBuilder::max_attempts`] bounds one call, the [`RetryBudget`] all calls together. The
//!   [snapshot](RetrySnapshot::budget_left) and the metrics show the rest of the budget.
//! - **The deadline** bounds the call with its attempts and waits. A wait that would reach it is not started: the
//!   caller gets the last result at once. An attempt that hangs is ended at the deadline, and so is the wait for
//!   readiness. Over HTTP and gRPC a call ends with the *head* of its response, and so do its deadline and
//!   the [time of an attempt](RetryBuilder::attempt_timeout): a `BodyTimeoutLayer` bounds the body.
//! - **An attempt that a time limit ends is a timeout for all inner layers**: circuit breakers and timings count it as
//!   [`Timeout`](crate::FailureKind::Timeout), however short the limit is. Layers behind a spawned task, such as tower's
//!   `Buffer`, cannot see it.
//! - **A response that comes before the request body was read to its end** is judged like any other, and the request is
//!   sent again if the rules above allow it: the chunks that were read are replayed, and the next attempt continues the
//!   stream. From then on the earlier attempt cannot read the stream. linkerd's proxy does not retry such requests; here a
//!   stream that reached a server which is not ready may try another server.
//! - **Nothing is held during a wait**: the failed response is dropped first, which frees its connection or permit.
//!   Before each attempt, the service must be ready again.
//! - **A call that succeeds at once costs little**: the service itself makes it. The service is cloned only for a retry,
//!   and the clock is read only if a limit needs it.
//! - **The last attempt gets the request itself**, not a copy.
//! - **Dropping the future** stops the call at once. Polling it after its end panics.
//!
//! Waits and limits use tokio's timer: they need a tokio runtime.
//!
//! Put a retry outside of the circuit breaker and of the timing of single attempts, and inside of dead letters. A dead
//! letter lists each failed attempt: the retry records them if a dead-letter layer runs in the same task.
//!
//! # Spans
//! OpenTelemetry has the attribute `http.request.resend_count` for the span of a request that was sent again. The
//! layers of retries make no spans. They record the count on the [current span](tracing::Span::current) before
//! each resend, if that span declares the field: a client span of telemetry outside of the retry, or
//! `#[instrument(fields(http.request.resend_count = tracing::field::Empty))]` on the function that makes the call. Such a
//! span ends with the number of resends. Inside of the retry, the client span of telemetry is one of each attempt; the
//! extension [`Attempt`] of the request has the number.
//!
//! # Why not `tower::retry`
//! A `tower::retry::Policy` cannot keep the promises above:
//! - **The deadline**, and the limit of an attempt. A policy of tower is called when an attempt has ended. It cannot end an
//!   attempt that hangs, nor the wait for a service that never becomes ready.
//! - **The last attempt gets the request itself.** A policy of tower that makes no copy does not learn how the attempt ended. Then
//!   the call is missing from the counts, and earns nothing for the budget.
//! - **No allocation, and no copy of the service, for a call that succeeds.** `tower::retry` clones the service, and
//!   the policy with it, for every call.
//! - **A cancelled call is counted.** A policy of tower does not learn of it.
//! - **The budget is exact.** `TpsBudget` truncates: ratios of 0.6 and 0.7 both allow a retry for every call. A custom
//!   budget is possible, but it cannot count a call that made no copy.

mod attempt;
mod attempt_loop;
mod attempt_result;
mod budget;
mod builder;
mod call_state;
mod counters;
mod decision;
mod handle;
#[cfg(feature = "http")]
mod http;
mod layer;
mod policy;
mod prototype;
mod run;
mod service;
mod settings;
mod snapshot;
mod target;

pub use attempt::Attempt;
pub use budget::RetryBudget;
pub use builder::RetryBuilder;
pub use handle::Retry;
#[cfg(feature = "http")]
pub use http::{BodyTimeout, BodyTimeoutLayer, HttpRetryLayer, HttpRetrying};
pub use layer::RetryLayer;
pub use service::Retrying;
pub use settings::RetrySettings;
pub use snapshot::{GiveUp, RetrySnapshot};

#[cfg(feature = "http")]
pub use crate::layers::replay::ReplayBody;
