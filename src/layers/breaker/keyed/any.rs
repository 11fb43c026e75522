//! Keyed breakers with any type of keys, for an admin page.

use std::fmt;
use std::sync::Arc;

use super::circuits::AnyCircuits;
use super::snapshot::KeyedSnapshot;
use crate::base::error::ConfigError;
use crate::base::registry::Registry;
use crate::layers::breaker::handle::CircuitBreaker;
use crate::layers::breaker::settings::BreakerSettings;
use crate::layers::breaker::transition::Transitions;

/// The keyed breakers of the process.
pub(super) static REGISTRY: Registry<dyn AnyCircuits> = Registry::new();

/// A keyed breaker with any type of keys, for an admin page: see [`CircuitBreaker::all_keyed`].
#[derive(Clone)]
pub struct AnyKeyedBreaker(Arc<dyn AnyCircuits>);

impl AnyKeyedBreaker {
    /// The keyed breakers of the process that still exist, oldest first.
    pub(in crate::layers::breaker) fn all() -> Vec<Self> {
        REGISTRY.living().into_iter().map(Self).collect()
    }

    /// As [`KeyedBreaker::name`](super::KeyedBreaker::name).
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.group().name
    }

    /// As [`KeyedBreaker::snapshot`](super::KeyedBreaker::snapshot).
    #[must_use]
    pub fn snapshot(&self) -> KeyedSnapshot {
        self.0.snapshot()
    }

    /// Returns all circuits, in no order. Their names contain their keys.
    #[must_use]
    pub fn circuits(&self) -> Vec<CircuitBreaker> {
        self.0.circuits().into_iter().map(|circuit| CircuitBreaker { circuit }).collect()
    }

    /// As [`KeyedBreaker::settings`](super::KeyedBreaker::settings).
    #[must_use]
    pub fn settings(&self) -> BreakerSettings {
        self.0.settings()
    }

    /// As [`KeyedBreaker::reconfigure`](super::KeyedBreaker::reconfigure).
    ///
    /// # Errors
    /// Returns an error that names the setting that is out of range; then nothing has changed.
    pub fn reconfigure(&self, settings: BreakerSettings) -> Result<(), ConfigError> {
        self.0.reconfigure(settings)
    }

    /// As [`KeyedBreaker::subscribe`](super::KeyedBreaker::subscribe).
    #[must_use]
    pub fn subscribe(&self) -> Transitions {
        self.0.group().subscribe()
    }
}

impl fmt::Debug for AnyKeyedBreaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyKeyedBreaker").field("name", &self.0.group().name).finish_non_exhaustive()
    }
}
