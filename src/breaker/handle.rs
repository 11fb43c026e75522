//! The handle: made by a builder, cheap to clone, shared by every layer made from it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::circuit::Circuit;
use super::layer::BreakerLayer;
use super::permit::Permit;
use super::settings::{BreakerSettings, Cancelled, HalfOpen, SlowCall};
use super::snapshot::{BreakerSnapshot, CircuitState};
use super::transition::Transitions;
use crate::backoff::Backoff;
use crate::error::{CallError, ConfigError};
use crate::outcome::{ByResult, Classify, Guarded, Settle};
use crate::signal;
use crate::window::Window;

/// A circuit breaker; see the [module](crate::breaker).
#[derive(Clone, Debug)]
pub struct CircuitBreaker {
    pub(super) circuit: Arc<Circuit>,
}

impl CircuitBreaker {
    /// Begins a breaker called `name`: its component in health, its attribute in metrics.
    pub fn builder(name: impl Into<Arc<str>>) -> Builder {
        Builder { name: name.into(), settings: BreakerSettings::default() }
    }

    /// A breaker with settings that were read from somewhere.
    ///
    /// # Errors
    /// Names the setting that is out of its range.
    pub fn from_settings(name: impl Into<Arc<str>>, settings: BreakerSettings) -> Result<Self, ConfigError> {
        settings.validate()?;
        let circuit = Arc::new(Circuit::new(name.into(), settings));
        signal::register(&circuit);
        Ok(Self { circuit })
    }

    /// The breaker's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.circuit.name
    }

    /// The state. An open circuit whose wait is over is half-open with the next call, not before.
    #[must_use]
    pub fn state(&self) -> CircuitState {
        self.circuit.state()
    }

    /// Counts, rates and times of this moment.
    #[must_use]
    pub fn snapshot(&self) -> BreakerSnapshot {
        self.circuit.snapshot()
    }

    /// Refuses every call until somebody changes it.
    pub fn force_open(&self) {
        self.circuit.force(CircuitState::ForcedOpen);
    }

    /// Closes the circuit now, with an empty window; it works on from there.
    pub fn force_closed(&self) {
        self.circuit.force(CircuitState::Closed);
    }

    /// Lets every call pass and counts, but decides nothing, until somebody changes it.
    pub fn disable(&self) {
        self.circuit.force(CircuitState::Disabled);
    }

    /// As if newly made: closed, an empty window, the first wait when it opens. Totals stay.
    pub fn reset(&self) {
        self.circuit.force(CircuitState::Closed);
    }

    /// The transitions from now on.
    #[must_use]
    pub fn subscribe(&self) -> Transitions {
        self.circuit.subscribers.subscribe()
    }

    /// A layer for any [`tower::Service`] that is `Clone`.
    ///
    /// The error type becomes [`tower::BoxError`]; a refusal is one that holds [`Rejected`](crate::Rejected).
    #[must_use]
    pub fn layer(&self) -> BreakerLayer {
        BreakerLayer::new(Arc::clone(&self.circuit))
    }

    /// Runs `work` if the circuit lets it, for code that is no service.
    ///
    /// # Errors
    /// [`CallError::Rejected`] when the circuit refused, [`CallError::Inner`] when the work failed.
    ///
    /// # Example
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), campanile::ConfigError> {
    /// let breaker = campanile::CircuitBreaker::builder("db").build()?;
    /// let answer = breaker.call(async { Ok::<_, std::io::Error>(42) }).await;
    /// assert_eq!(answer.ok(), Some(42));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn call<T, E, F>(&self, work: F) -> Result<T, CallError<E>>
    where
        F: Future<Output = Result<T, E>>,
        E: 'static,
    {
        self.call_with(ByResult, work).await
    }

    /// [`CircuitBreaker::call`] with a rule of one's own for what failed.
    ///
    /// # Errors
    /// As [`CircuitBreaker::call`].
    pub async fn call_with<T, E, F>(
        &self,
        classifier: impl Classify<T, E>,
        work: F,
    ) -> Result<T, CallError<E>>
    where
        F: Future<Output = Result<T, E>>,
    {
        let permit = Permit::begin(&self.circuit).map_err(CallError::Rejected)?;
        let (result, permit) = Guarded::new(work, permit).await;
        if let Some(permit) = permit {
            permit.settle(classifier.classify(result.as_ref()));
        }
        result.map_err(CallError::Inner)
    }
}

/// Makes a [`CircuitBreaker`]. Every setting has a default; see [`BreakerSettings`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct Builder {
    name: Arc<str>,
    settings: BreakerSettings,
}

impl Builder {
    /// Opens at this share of failures in the window: more than 0, at most 1.
    pub fn failure_rate(mut self, rate: f64) -> Self {
        self.settings.failure_rate = rate;
        self
    }

    /// Opens at this many failures in a row too, at least 1.
    pub fn consecutive_failures(mut self, failures: u32) -> Self {
        self.settings.consecutive_failures = Some(failures);
        self
    }

    /// Opens too when the share `rate` of the calls takes longer than `limit`.
    pub fn slow_call(mut self, limit: Duration, rate: f64) -> Self {
        self.settings.slow_call = Some(SlowCall { limit, rate });
        self
    }

    /// Which calls count.
    pub fn window(mut self, window: Window) -> Self {
        self.settings.window = window;
        self
    }

    /// The rates decide nothing before the window holds this many calls.
    pub fn minimum_calls(mut self, calls: u32) -> Self {
        self.settings.minimum_calls = calls;
        self
    }

    /// How long the circuit stays open.
    pub fn open_for(mut self, backoff: Backoff) -> Self {
        self.settings.open_for = backoff;
        self
    }

    /// How a half-open circuit decides.
    pub fn half_open(mut self, half_open: HalfOpen) -> Self {
        self.settings.half_open = half_open;
        self
    }

    /// What a cancelled call counts for.
    pub fn cancelled(mut self, cancelled: Cancelled) -> Self {
        self.settings.cancelled = cancelled;
        self
    }

    /// The breaker.
    ///
    /// # Errors
    /// Names the setting that is out of its range, its value and what is allowed.
    pub fn build(self) -> Result<CircuitBreaker, ConfigError> {
        CircuitBreaker::from_settings(self.name, self.settings)
    }
}
