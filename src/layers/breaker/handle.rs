//! The handle: made by a builder, cheap to clone, shared by every layer made from it.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;

use super::builder::{CircuitBreakerBuilder, One};
use super::circuit::Circuit;
use super::health_probe::HealthProbe;
use super::keyed::AnyKeyedBreaker;
use super::layer::BreakerLayer;
use super::permit::Permit;
use super::settings::BreakerSettings;
use super::snapshot::{BreakerSnapshot, CircuitState};
use super::transition::Transitions;
use super::wait::{Patience, poll_admit};
use crate::base::error::{CallError, Cause, ConfigError, Rejected};
use crate::base::outcome::{ByCause, ByResult, Classify, Guarded};
use crate::base::registry::Registry;
use crate::signal;

static REGISTRY: Registry<Circuit> = Registry::new();

/// A circuit breaker; see the [module](crate::layers::breaker).
#[derive(Clone, Debug)]
pub struct CircuitBreaker {
    pub(super) circuit: Arc<Circuit>,
}

impl CircuitBreaker {
    /// Returns a builder. `name` is the component in health and the attribute in metrics.
    pub fn builder(name: impl Into<Arc<str>>) -> CircuitBreakerBuilder {
        CircuitBreakerBuilder::of(name.into(), One::default())
    }

    /// Makes a breaker from settings, such as those of a file.
    ///
    /// # Errors
    /// Returns an error that names the setting that is out of range.
    pub fn from_settings(name: impl Into<Arc<str>>, settings: BreakerSettings) -> Result<Self, ConfigError> {
        Self::make(name.into(), settings, None)
    }

    pub(super) fn make(
        name: Arc<str>,
        settings: BreakerSettings,
        health_probe: Option<HealthProbe>,
    ) -> Result<Self, ConfigError> {
        settings.validate()?;
        let circuit = Circuit::new(name, Arc::new(settings), health_probe, None);
        signal::register(&circuit);
        REGISTRY.add(Arc::downgrade(&circuit));
        Ok(Self { circuit })
    }

    /// Returns all breakers of the process that a handle, a layer or a service still holds, oldest first. For keyed
    /// breakers see [`CircuitBreaker::all_keyed`].
    ///
    /// # Example
    /// ```
    /// use campanile::CircuitBreaker;
    ///
    /// # fn main() -> Result<(), campanile::ConfigError> {
    /// let payments = CircuitBreaker::builder("payments").build()?;
    /// for breaker in CircuitBreaker::all() {
    ///     println!("{}: {}", breaker.name(), breaker.state().as_str());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn all() -> Vec<Self> {
        REGISTRY.living().into_iter().map(|circuit| Self { circuit }).collect()
    }

    /// Returns the breakers of [`CircuitBreaker::all`], and the circuits of keyed breakers, with this name; for an admin
    /// page.
    ///
    /// # Example
    /// ```
    /// use campanile::{CircuitBreaker, CircuitState};
    ///
    /// # fn main() -> Result<(), campanile::ConfigError> {
    /// let payments = CircuitBreaker::builder("payments").build()?;
    /// CircuitBreaker::named("payments").iter().for_each(CircuitBreaker::force_open);
    /// assert_eq!(payments.state(), CircuitState::ForcedOpen);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn named(name: &str) -> Vec<Self> {
        let mut named = Self::all();
        let is_of = |keyed: &AnyKeyedBreaker| name.starts_with(keyed.name());
        named.extend(
            Self::all_keyed().iter().filter(|keyed| is_of(keyed)).flat_map(AnyKeyedBreaker::circuits),
        );
        named.retain(|breaker| breaker.name() == name);
        named
    }

    /// The breaker's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.circuit.name
    }

    /// Returns the state. An open circuit becomes half-open with the first call after its wait, not before.
    #[must_use]
    pub fn state(&self) -> CircuitState {
        self.circuit.state()
    }

    /// Returns the current counts, rates and times.
    #[must_use]
    pub fn snapshot(&self) -> BreakerSnapshot {
        self.circuit.snapshot()
    }

    /// Refuses all calls until the mode is changed.
    pub fn force_open(&self) {
        self.circuit.force(CircuitState::ForcedOpen);
    }

    /// Closes the circuit now, with an empty window. It then works as usual.
    pub fn force_closed(&self) {
        self.circuit.force(CircuitState::Closed);
    }

    /// Lets all calls pass and does not change the window, until the mode is changed. Totals still count.
    pub fn disable(&self) {
        self.circuit.force(CircuitState::Disabled);
    }

    /// Lets all calls pass and counts them like a closed circuit, but never opens, until the mode is changed. Use it to try
    /// settings: [`Totals::would_open`](super::Totals::would_open) counts how often it would have opened.
    pub fn metrics_only(&self) {
        self.circuit.force(CircuitState::MetricsOnly);
    }

    /// Resets the circuit: closed, with an empty window, nothing learned, and the first wait for the next opening. Totals
    /// stay.
    pub fn reset(&self) {
        self.circuit.reset();
    }

    /// Returns the current settings.
    #[must_use]
    pub fn settings(&self) -> BreakerSettings {
        self.circuit.settings()
    }

    /// Replaces the settings of all layers that share this breaker.
    ///
    /// The state stays, and so does the end of the wait of an open circuit. The window is emptied. Running calls count only
    /// in the totals, because they started under the old settings. A half-open circuit has all its permits again.
    ///
    /// # Errors
    /// Returns an error that names the setting that is out of range; then nothing has changed.
    ///
    /// # Example
    /// ```
    /// use campanile::CircuitBreaker;
    /// use campanile::breaker::BreakerSettings;
    ///
    /// # fn main() -> Result<(), campanile::ConfigError> {
    /// let breaker = CircuitBreaker::builder("payments").build()?;
    /// breaker.reconfigure(BreakerSettings { failure_rate: 0.2, ..breaker.settings() })?;
    /// assert_eq!(breaker.settings().failure_rate, 0.2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn reconfigure(&self, settings: BreakerSettings) -> Result<(), ConfigError> {
        self.circuit.reconfigure(settings)
    }

    /// Subscribes to the transitions from now on.
    #[must_use]
    pub fn subscribe(&self) -> Transitions {
        self.circuit.subscribers.subscribe()
    }

    /// A layer for any [`tower::Service`] that is `Clone`.
    ///
    /// The error type becomes [`tower::BoxError`]. The error of a refused call holds [`Rejected`](crate::Rejected).
    #[must_use]
    pub fn layer(&self) -> BreakerLayer {
        BreakerLayer::new(Arc::clone(&self.circuit))
    }

    /// Runs `work` if the circuit admits it, for code that is not a service.
    ///
    /// Every error counts as a failure; its kind is found in its causes. For error types that are not [`Cause`] see
    /// [`CircuitBreaker::call_with`].
    ///
    /// # Errors
    /// [`CallError::Rejected`] if the circuit refused the call, [`CallError::Inner`] if the work failed.
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
    pub async fn call<T, E, F, K>(&self, work: F) -> Result<T, CallError<E>>
    where
        F: Future<Output = Result<T, E>>,
        E: Cause<K>,
    {
        self.call_with(ByCause::new(ByResult), work).await
    }

    /// [`CircuitBreaker::call`] with a classifier that decides what failed.
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
        let permit = self.permit().await.map_err(CallError::Rejected)?;
        let mut call = pin!(Guarded::new(work, permit));
        let result = call.as_mut().await;
        call.settle(classifier.classify(result.as_ref()));
        result.map_err(CallError::Inner)
    }

    /// Takes a permit for a call that starts now. Waits if [`BreakerSettings::half_open_queue`] allows it.
    async fn permit(&self) -> Result<Permit, Rejected> {
        let circuit = &self.circuit;
        loop {
            let admission = match circuit.machine.pass() {
                Some(admission) => admission,
                None => {
                    let mut wait = None;
                    poll_fn(|cx| poll_admit(circuit, Patience::Verdict, &mut wait, cx))
                        .await
                        .map_err(|refusal| *circuit.refuse(refusal))?
                }
            };
            if let Some(permit) = Permit::reserve(Arc::clone(circuit), admission).start() {
                return Ok(permit);
            }
        }
    }
}
