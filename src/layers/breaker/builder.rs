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
pub struct CircuitBreakerBuilder<T = SingleCircuit> {
    pub(super) name: Arc<str>,
    pub(super) settings: BreakerSettings,
    pub(super) kind: T,
}

/// The part of the builder for a single circuit.
#[derive(Clone, Debug, Default)]
pub struct SingleCircuit {
    health_probe: Option<HealthProbe>,
}

impl CircuitBreaker {
    /// Returns a builder. `name` is the component in health and the attribute in metrics.
    pub fn builder(name: impl Into<Arc<str>>) -> CircuitBreakerBuilder {
        CircuitBreakerBuilder::new(name.into(), SingleCircuit::default())
    }
}

impl<T> CircuitBreakerBuilder<T> {
    pub(super) fn new(name: Arc<str>, kind: T) -> Self {
        Self { name, settings: BreakerSettings::default(), kind }
    }

    setters! {
        /// Replaces all settings of a circuit, such as by those of a file, for a breaker that also needs a health
        /// probe. Other breakers are made by [`CircuitBreaker::from_settings`] or [`KeyedBreaker::from_settings`].
        ///
        /// [`KeyedBreaker::from_settings`]: super::KeyedBreaker::from_settings
        pub fn settings(settings: BreakerSettings) { settings = settings; }
        /// Sets the share of failures in the window at which the circuit opens: more than 0, at most 1.
        pub fn failure_rate(rate: f64) { settings.failure_rate = rate; }
        /// Sets the number of failures in a row at which the circuit also opens: at least 1.
        pub fn consecutive_failures(failures: u32) { settings.consecutive_failures = Some(failures); }
        /// The circuit also opens when the share `rate` of the calls takes longer than `limit`.
        pub fn slow_call(limit: Duration, rate: f64) { settings.slow_call = Some(SlowCall { limit, rate }); }
    }

    /// Learns the slow-call limit from healthy traffic. Until then, the limit of [`CircuitBreakerBuilder::slow_call`]
    /// holds.
    pub fn adaptive(mut self, on: bool) -> Self {
        self.settings.adaptive = on.then(|| self.settings.adaptive.unwrap_or_default());
        self
    }

    setters! {
        /// [`CircuitBreakerBuilder::adaptive`] with settings.
        pub fn adaptive_limits(adaptive: Adaptive) { settings.adaptive = Some(adaptive); }
        /// Sets the window of calls that count.
        pub fn window(window: Window) { settings.window = window; }
        /// Sets the minimum number of calls in the window before the rates can open the circuit.
        pub fn minimum_calls(calls: u32) { settings.minimum_calls = calls; }
        /// Sets how long the circuit stays open.
        pub fn open_for(backoff: Backoff) { settings.open_for = backoff; }
        /// Sets how a half-open circuit decides.
        pub fn half_open(half_open: HalfOpen) { settings.half_open = half_open; }
        /// Sets the number of callers that may wait for the decision of a half-open circuit; others are refused.
        pub fn half_open_queue(callers: u32) { settings.half_open_queue = callers; }
        /// Sets how a cancelled call counts.
        pub fn cancelled(cancelled: Cancelled) { settings.cancelled = cancelled; }
    }
}

impl CircuitBreakerBuilder {
    /// Sets a check that decides when an open circuit becomes half-open. It runs after each wait, in its own task,
    /// until it succeeds, so no caller's request is spent. If the circuit changes meanwhile, such as by an operator, a
    /// running check is dropped.
    ///
    /// A check that panics, or takes longer than [`HalfOpen::max_wait`], has failed. If the circuit opens outside a tokio
    /// runtime, callers probe as without a check.
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
        self.kind.health_probe = Some(HealthProbe::new(move || answer(check()), None));
        self
    }

    /// Builds the breaker.
    ///
    /// # Errors
    /// Returns an error that names the setting that is out of range, its value and what is allowed.
    pub fn build(self) -> Result<CircuitBreaker, ConfigError> {
        CircuitBreaker::new(self.name, self.settings, self.kind.health_probe)
    }
}
