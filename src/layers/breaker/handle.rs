//! The handle: cheap to clone, shared by all layers made from it.

use std::sync::Arc;

use super::circuit::Circuit;
use super::health_probe::HealthProbe;
use super::settings::BreakerSettings;
use super::snapshot::{BreakerSnapshot, CircuitState};
use super::transition::Transitions;
use crate::base::error::ConfigError;
use crate::base::registry::Registry;
use crate::signal;

/// The breakers of the process.
pub(super) static REGISTRY: Registry<Circuit> = Registry::new();

/// A circuit breaker; see the [module](crate::layers::breaker).
#[derive(Clone, Debug)]
pub struct CircuitBreaker {
    pub(super) circuit: Arc<Circuit>,
}

impl CircuitBreaker {
    /// Makes a breaker from settings, such as those of a file. To add a health probe, use
    /// [`CircuitBreakerBuilder::settings`](super::CircuitBreakerBuilder::settings).
    ///
    /// # Errors
    /// Returns an error that names the setting that is out of range, its value and what is allowed.
    pub fn from_settings(name: impl Into<Arc<str>>, settings: &BreakerSettings) -> Result<Self, ConfigError> {
        Self::new(name.into(), settings.clone(), None)
    }

    pub(super) fn new(
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

    /// Refuses all calls, until [`force_closed`](Self::force_closed), [`reset`](Self::reset), [`disable`](Self::disable) or
    /// [`metrics_only`](Self::metrics_only) is called.
    pub fn force_open(&self) {
        self.circuit.force(CircuitState::ForcedOpen);
    }

    /// Closes the circuit now, with an empty window. It then works as usual.
    pub fn force_closed(&self) {
        self.circuit.force(CircuitState::Closed);
    }

    /// Lets all calls pass and does not change the window, until another of these methods is called. The totals still count.
    pub fn disable(&self) {
        self.circuit.force(CircuitState::Disabled);
    }

    /// Lets all calls pass and counts them like a closed circuit, but never opens, until another of these methods is called.
    /// Use it to try settings: [`Totals::would_open`](super::Totals::would_open) counts how often it would have opened.
    pub fn metrics_only(&self) {
        self.circuit.force(CircuitState::MetricsOnly);
    }

    /// Resets the circuit: closed, with an empty window, nothing learned, and the first wait for the next opening. The
    /// totals stay.
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

    /// Subscribes to the transitions that follow.
    #[must_use]
    pub fn subscribe(&self) -> Transitions {
        self.circuit.subscribers.subscribe()
    }
}
