//! The builder of a breaker.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tower::BoxError;

use super::adaptive::Adaptive;
use super::handle::CircuitBreaker;
use super::health_probe::{HealthProbe, answer};
use super::settings::{BreakerSettings, Cancelled, HalfOpen, SlowCall};
use crate::base::backoff::Backoff;
use crate::base::error::ConfigError;
use crate::base::window::Window;

/// Makes a [`CircuitBreaker`], or a [`KeyedBreaker`](super::KeyedBreaker). Every setting has a default; see
/// [`BreakerSettings`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct CircuitBreakerBuilder<T = One> {
    pub(super) name: Arc<str>,
    pub(super) settings: BreakerSettings,
    pub(super) of: T,
}

/// Makes a single circuit.
#[derive(Clone, Debug, Default)]
pub struct One {
    health_probe: Option<HealthProbe>,
}

impl<T> CircuitBreakerBuilder<T> {
    pub(super) fn of(name: Arc<str>, of: T) -> Self {
        Self { name, settings: BreakerSettings::default(), of }
    }

    setters! {
        /// Replaces all settings, such as by those of a file.
        pub fn settings(settings: BreakerSettings) { settings = settings; }
        /// Sets the share of failures in the window at which the circuit opens: more than 0, at most 1.
        pub fn failure_rate(rate: f64) { settings.failure_rate = rate; }
        /// Sets the number of failures in a row at which the circuit also opens: at least 1.
        pub fn consecutive_failures(failures: u32) { settings.consecutive_failures = Some(failures); }
        /// The circuit also opens when the share `rate` of the calls takes longer than `limit`.
        pub fn slow_call(limit: Duration, rate: f64) { settings.slow_call = Some(SlowCall { limit, rate }); }
    }

    /// Learns the slow-call limit from healthy traffic. Until then, the limit of [`CircuitBreakerBuilder::slow_call`] holds.
    pub fn adaptive(mut self, on: bool) -> Self {
        self.settings.adaptive = on.then(|| self.settings.adaptive.unwrap_or_default());
        self
    }

    setters! {
        /// [`CircuitBreakerBuilder::adaptive`] with settings.
        pub fn adaptive_limits(adaptive: Adaptive) { settings.adaptive = Some(adaptive); }
        /// Sets the window of calls that count.
        pub fn window(window: Window) { settings.window = window; }
        /// Sets the number of calls in the window from which on the rates decide.
        pub fn minimum_calls(calls: u32) { settings.minimum_calls = calls; }
        /// Sets how long the circuit stays open.
        pub fn open_for(backoff: Backoff) { settings.open_for = backoff; }
        /// Sets how a half-open circuit decides.
        pub fn half_open(half_open: HalfOpen) { settings.half_open = half_open; }
        /// Sets the number of callers that may wait for the decision of a half-open circuit; the others are refused.
        pub fn half_open_queue(callers: u32) { settings.half_open_queue = callers; }
        /// Sets how a cancelled call counts.
        pub fn cancelled(cancelled: Cancelled) { settings.cancelled = cancelled; }
    }
}

impl CircuitBreakerBuilder {
    /// Sets a check that decides when an open circuit becomes half-open. It runs after each wait, in a task of its own,
    /// until it succeeds, so no caller's request is spent. A check that runs while the circuit changes otherwise, such as
    /// by an operator, is dropped.
    ///
    /// A check that panics, or takes longer than [`HalfOpen::max_wait`], has failed. If the circuit opens outside a tokio
    /// runtime, callers decide as without a check.
    ///
    /// # Example
    /// ```
    /// # use campanile::CircuitBreaker;
    /// # async fn ping() -> std::io::Result<()> { Ok(()) }
    /// # fn main() -> Result<(), campanile::ConfigError> {
    /// let breaker = CircuitBreaker::builder("db").health_probe(|| async { ping().await }).build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn health_probe<F, Fut, T, E>(mut self, check: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        self.of.health_probe = Some(HealthProbe::new(move || answer(check()), None));
        self
    }

    /// Builds the breaker.
    ///
    /// # Errors
    /// Returns an error that names the setting that is out of range, its value and what is allowed.
    pub fn build(self) -> Result<CircuitBreaker, ConfigError> {
        CircuitBreaker::make(self.name, self.settings, self.of.health_probe)
    }
}
