//! Circuit breaker: stops calling a service that does not answer, and finds out by itself when it does again.
//!
//! # Why
//! Calls to a broken service cost their callers time and threads, and cost the service the quiet it needs to
//! recover. A breaker counts how calls end. When too many fail it opens: calls are refused at once, with a word
//! on how long to wait. After a while it lets a few probes through and decides by them.
//!
//! # One handle, many layers
//! A [`CircuitBreaker`] is configured once and cloned freely; every layer made from it shares one circuit.
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
//! - **Admission is decided in `poll_ready`, before the inner service is asked.** A refusal therefore takes
//!   nothing from a concurrency limit further in. If the circuit opens between `poll_ready` and `call`, the
//!   call is refused and the inner service replaced by a fresh clone, which gives back whatever it had
//!   reserved; that is why the inner service must be `Clone`.
//! - **Epochs.** Each change of state starts a new epoch. A call that was let through in an older one changes
//!   nothing when it ends.
//! - **Half-open ends.** It admits [`HalfOpen::permits`] probes and decides by their outcomes. A probe that is
//!   dropped gives its permit back. When probes still hang after [`HalfOpen::max_wait`], the next caller finds
//!   the circuit open again. Callers in excess are refused, or wait in a bounded queue
//!   ([`Builder::half_open_queue`]) where the verdict wakes them; no timer polls.
//! - **Slowness counts where it was the cause**: slow probes do not close the circuit.
//! - **The slow-call limit can be learned** from healthy traffic, and an outage is not taken for that: see
//!   [`Adaptive`].
//! - **A panic is a failure. A cancelled call** is one when it had run longer than the slow-call limit (one
//!   second where none is set); see [`Cancelled`]. A layer of this crate that gave it up for time makes it a time-out.
//! - **A response ends with its body.** One that its reader drops midway is a cancelled call, and a failure where it
//!   had stalled; see [streams](crate::outcome#streams).
//! - **Nobody waits under the lock.** Subscribers are told of transitions after the new state is visible, in
//!   order.
//!
//! Time passes only when somebody looks: an open circuit turns half-open with the first call after its wait. With a
//! [health probe](Builder::health_probe) a check decides that instead, and no caller's request is spent on it.
//!
//! # What an operator can do
//! [`CircuitBreaker::named`] finds every breaker of the process by its name, for an admin page or a test.
//!
//! | state | calls | window | left by |
//! |---|---|---|---|
//! | [`Closed`](CircuitState::Closed) | pass | counts | a trip wire |
//! | [`Open`](CircuitState::Open) | refused | | the wait, or the health probe |
//! | [`HalfOpen`](CircuitState::HalfOpen) | probes pass | the probes | their verdict |
//! | [`ForcedOpen`](CircuitState::ForcedOpen) | refused | | an operator |
//! | [`Disabled`](CircuitState::Disabled) | pass | left alone | an operator |
//! | [`MetricsOnly`](CircuitState::MetricsOnly) | pass | counts, and what would have opened it | an operator |
//!
//! [`CircuitBreaker::reconfigure`] replaces the settings of every layer at once. To try settings on live
//! traffic, begin with [`CircuitBreaker::metrics_only`] and look at [`Totals::would_open`].
//!
//! # Many of a kind
//! [`CircuitBreaker::keyed`] makes a breaker with a circuit for each host, tenant or whatever a request tells: see
//! [`keyed`].

mod adaptive;
mod builder;
mod circuit;
mod ejections;
mod future;
mod gate;
mod handle;
mod health_probe;
#[cfg(feature = "http")]
mod http;
pub mod keyed;
mod layer;
mod learner;
mod machine;
mod permit;
mod service;
mod settings;
mod snapshot;
mod tally;
mod transition;
mod wait;

pub use adaptive::Adaptive;
pub use builder::{Builder, One};
pub use future::ResponseFuture;
pub use handle::CircuitBreaker;
#[cfg(feature = "http")]
pub use http::{HttpBreaker, HttpBreakerLayer, HttpResponseFuture, ResponseBody};
pub use keyed::{KeyedBreaker, KeyedBuilder, KeyedSettings, KeyedSnapshot};
pub use layer::BreakerLayer;
pub use permit::Permit;
pub use service::Breaker;
pub use settings::{BreakerSettings, Cancelled, HalfOpen, SlowCall};
pub use snapshot::{BreakerSnapshot, CircuitState, Totals};
pub use transition::{Cause, Transition, Transitions};
