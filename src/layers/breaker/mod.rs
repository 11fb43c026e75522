//! Circuit breaker: stops calls to a service that fails, and detects when the service works again.
//!
//! To read the code, start with `handle.rs`, then `gate.rs` for the way of a call. `machine/closed.rs` decides when a circuit
//! opens, and `machine/half_open.rs` which calls are probes and whether they close it.
//!
//! # Why
//! Calls to a broken service cost their callers time and threads, and keep the service from recovering. A breaker counts
//! the outcomes of calls. When too many fail, it opens: calls are refused at once, and the refusal says how long to wait.
//! After that time a few calls pass as probes, and their outcomes decide.
//!
//! # One handle, many layers
//! A [`CircuitBreaker`] is configured once and is cheap to clone. All layers made from it share one circuit.
//!
//! ```
//! use campanile::{Backoff, CircuitBreaker, CircuitState, HalfOpen, Window};
//! use std::time::Duration;
//! use tower::{Service, ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), tower::BoxError> {
//! let breaker = CircuitBreaker::builder("payments")
//!     .failure_rate(0.5)
//!     .window(Window::count(100))
//!     .minimum_calls(10)
//!     .open_for(Backoff::exponential(Duration::from_secs(5), Duration::from_secs(300)))
//!     .half_open(HalfOpen { permits: 3, max_wait: Duration::from_secs(30) })
//!     .build()?;
//!
//! let mut service = ServiceBuilder::new()
//!     .layer(breaker.layer())
//!     .service_fn(|n: u32| async move { Ok::<_, tower::BoxError>(n + 1) });
//! assert_eq!(service.ready().await?.call(1).await?, 2);
//! assert_eq!(breaker.state(), CircuitState::Closed);
//! # Ok(())
//! # }
//! ```
//!
//! # What it promises
//! - **Admission is decided in `poll_ready`, before the inner service is polled.** So a refused call takes no
//!   permit of an inner concurrency limit. If the circuit opens between `poll_ready` and `call`, the call is refused and the
//!   inner service is replaced by a fresh clone, which releases what the old one had reserved. That is why the inner
//!   service must be `Clone`.
//! - **Epochs.** Each change of state starts a new epoch. The end of a call that was admitted in an older epoch changes
//!   only the totals.
//! - **Half-open ends.** It admits [`HalfOpen::permits`] probes and decides by their outcomes. A probe that is
//!   dropped releases its permit. If probes still run after [`HalfOpen::max_wait`], the next caller finds the circuit
//!   open again. Other callers are refused, or wait in a bounded queue ([`CircuitBreakerBuilder::half_open_queue`]) until the
//!   decision wakes them; no timer polls.
//! - **Slow probes do not close the circuit.**
//! - **The slow-call limit can be learned** from healthy traffic; outages are not learned: see [`Adaptive`].
//! - **A panic is a failure. A cancelled call** is a failure if it had run longer than the slow-call limit (one second if
//!   none is set): see [`Cancelled`]. A call that a time limit of this crate ended is a timeout.
//! - **A response ends with its body.** If its reader drops it midway, the call is cancelled. It is a failure if the stream
//!   had stalled: see [streams](crate::base::outcome#streams).
//! - **Subscribers are called outside the lock**, in order, after the new state is visible.
//!
//! There is no timer: an open circuit becomes half-open with the first call after its wait. With a
//! [health probe](CircuitBreakerBuilder::health_probe) a check decides instead, and no caller's request is spent on it.
//! The future of a call panics if it is polled after its end.
//!
//! # What an operator can do
//! [`CircuitBreaker::named`] finds the breakers of the process by name, for an admin page or a test.
//!
//! | state | calls | window | left by |
//! |---|---|---|---|
//! | [`Closed`](CircuitState::Closed) | pass | counts | a limit that is reached |
//! | [`Open`](CircuitState::Open) | refused | | the end of the wait, or the health probe |
//! | [`HalfOpen`](CircuitState::HalfOpen) | probes pass | counts the probes | their outcomes |
//! | [`ForcedOpen`](CircuitState::ForcedOpen) | refused | | an operator |
//! | [`Disabled`](CircuitState::Disabled) | pass | unchanged | an operator |
//! | [`MetricsOnly`](CircuitState::MetricsOnly) | pass | counts, also how often it would have opened | an operator |
//!
//! [`CircuitBreaker::reconfigure`] replaces the settings of all layers at once. To try settings on live traffic, start
//! with [`CircuitBreaker::metrics_only`] and read [`Totals::would_open`].
//!
//! # Many of a kind
//! [`CircuitBreaker::keyed`] makes a [`KeyedBreaker`], which has a circuit for each host, tenant or other key of a request.

mod adaptive;
mod builder;
mod call;
mod circuit;
mod counters;
mod ejections;
mod future;
mod gate;
mod group;
mod handle;
mod health_probe;
#[cfg(feature = "http")]
mod http;
mod keyed;
mod layer;
mod learner;
mod lookup;
mod machine;
mod permit;
mod service;
mod settings;
mod snapshot;
mod transition;
mod wait;

pub use adaptive::Adaptive;
pub use builder::CircuitBreakerBuilder;
pub use handle::CircuitBreaker;
#[cfg(feature = "http")]
pub use http::{HttpBreaker, HttpBreakerLayer};
pub use keyed::{
    AnyKeyedBreaker, KeyedBreaker, KeyedBreakerBuilder, KeyedLayer, KeyedService, KeyedSettings,
    KeyedSnapshot, States,
};
#[cfg(feature = "http")]
pub use keyed::{KeyedHttpLayer, KeyedHttpService};
pub use layer::BreakerLayer;
pub use service::Breaker;
pub use settings::{BreakerSettings, Cancelled, HalfOpen, SlowCall};
pub use snapshot::{BreakerSnapshot, CircuitState, Totals};
pub use transition::{Cause, Transition, Transitions};
