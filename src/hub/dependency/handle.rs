//! The handle of a dependency.

use std::fmt;
use std::sync::Arc;

use crate::base::error::ConfigError;
use crate::dead_letter::DeadLetterQueue;
use crate::health::CheckHandle;
use crate::hub::config::DependencySection;
use crate::layers::breaker::CircuitBreaker;
use crate::layers::fallback::Fallback;
use crate::layers::retry::Retry;
use crate::layers::timing::Timing;
use crate::telemetry::Telemetry;

/// Something that the program calls, under one name: letters, retry and circuit as far as its settings turn them on, timing
/// and client spans. See [`Campanile::dependency`](super::super::Campanile::dependency).
#[derive(Clone)]
pub struct Dependency {
    pub(in crate::hub) inner: Arc<DependencyInner>,
}

pub(in crate::hub) struct DependencyInner {
    pub(in crate::hub) name: Arc<str>,
    pub(in crate::hub) component: Arc<str>,
    pub(in crate::hub) letters: Option<DeadLetterQueue>,
    pub(in crate::hub) retry: Option<Retry>,
    pub(in crate::hub) breaker: Option<CircuitBreaker>,
    pub(in crate::hub) timing: Timing,
    pub(in crate::hub) fallback: Fallback,
    pub(in crate::hub) telemetry: Telemetry,
    /// Stopped when the program forgets the dependency.
    pub(in crate::hub) check: Option<CheckHandle>,
}

impl Dependency {
    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// The queue of calls that failed for good, if the settings turn it on.
    #[must_use]
    pub fn letters(&self) -> Option<&DeadLetterQueue> {
        self.inner.letters.as_ref()
    }

    /// The retry, if the settings turn it on.
    #[must_use]
    pub fn retry(&self) -> Option<&Retry> {
        self.inner.retry.as_ref()
    }

    /// The circuit breaker, if the settings turn it on.
    #[must_use]
    pub fn breaker(&self) -> Option<&CircuitBreaker> {
        self.inner.breaker.as_ref()
    }

    /// The timing.
    #[must_use]
    pub fn timing(&self) -> &Timing {
        &self.inner.timing
    }

    /// Takes over new settings of the layers that are there.
    pub(in crate::hub) fn take_over(&self, new: &DependencySection) -> Result<(), ConfigError> {
        if let (Some(breaker), Some(settings)) = (&self.inner.breaker, &new.breaker) {
            breaker.reconfigure(settings.clone())?;
        }
        if let (Some(retry), Some(settings)) = (&self.inner.retry, &new.retry) {
            retry.reconfigure(settings.clone())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Dependency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dependency")
            .field("name", &self.inner.name)
            .field("letters", &self.inner.letters.is_some())
            .field("retry", &self.inner.retry.is_some())
            .field("breaker", &self.inner.breaker.is_some())
            .finish_non_exhaustive()
    }
}
