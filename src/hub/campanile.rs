//! The handle.

use std::fmt;
use std::sync::Arc;

use super::config::Config;
use super::fault::StartFault;
use super::inner::Inner;
use super::parts::Parts;
use crate::health::Health;
use crate::telemetry::Telemetry;

/// A running program: telemetry, health and the parts that it is made of. See the [module](super).
///
/// Clones share everything. [`serve`](Self::serve) and [`run`](Self::run) end it in order; dropping the last clone ends it
/// too, within 5 s.
#[derive(Clone)]
pub struct Campanile {
    pub(super) inner: Arc<Inner>,
}

impl Campanile {
    /// Returns the pipeline.
    #[must_use]
    pub fn telemetry(&self) -> &Telemetry {
        &self.inner.telemetry
    }

    /// Returns the health of the program.
    #[must_use]
    pub fn health(&self) -> &Health {
        &self.inner.health
    }

    /// Returns the configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// Returns the parts that did not start and were left out.
    #[must_use]
    pub fn faults(&self) -> Vec<StartFault> {
        self.inner.faults.all()
    }

    /// Forgets all servers, dependencies and workers, so that the next ones of their names begin with new counts; for
    /// tests. Handles that are still held go on as they are. Checks of dependencies end; components of health and restart
    /// commands stay. Metrics are not reset, because they only grow.
    pub fn reset(&self) {
        let forgotten = std::mem::take(&mut *self.inner.parts.lock());
        for check in &forgotten.checks {
            check.stop();
        }
        drop::<Parts>(forgotten);
    }
}

impl fmt::Debug for Campanile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Campanile").field("telemetry", &self.inner.telemetry).finish_non_exhaustive()
    }
}
