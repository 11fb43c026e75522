use std::fmt;
use std::sync::Arc;

use crate::health::handle::Health;
use crate::health::lifecycle::Lifecycle;

/// A step of the start; made by [`Health::starting`]. The process is not ready before the step is [done](Self::done).
///
/// A gate that is dropped before, by an error or a panic, keeps the process not ready for good, and logs an error: a
/// process that has not completed a step of its start must not get requests.
#[must_use = "the process never gets ready if a gate is dropped before it is done"]
pub struct StartupGate {
    name: Arc<str>,
    id: u64,
    lifecycle: Arc<Lifecycle>,
    done: bool,
}

impl Health {
    /// Adds a step to the start. Until its gate is done, `/startupz` and `/readyz` answer 503 and name it.
    ///
    /// The start is complete when every gate is done and every check of a critical component has passed once. Without
    /// gates and critical checks it is complete at once.
    ///
    /// Add gates before the probes are served. A gate that is added after the start is complete has no effect, and logs a
    /// warning.
    ///
    /// # Example
    /// ```
    /// use campanile::Health;
    ///
    /// # fn migrate() -> Result<(), std::fmt::Error> { Ok(()) }
    /// # fn main() -> Result<(), std::fmt::Error> {
    /// let health = Health::standalone();
    /// let gate = health.starting("migrations");
    /// assert!(!health.readiness().ready);
    ///
    /// migrate()?; // after an error the process never gets ready
    /// gate.done();
    /// assert!(health.readiness().starting.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    pub fn starting(&self, name: impl Into<Arc<str>>) -> StartupGate {
        let (name, lifecycle) = (name.into(), Arc::clone(&self.inner.lifecycle));
        if lifecycle.is_started() {
            tracing::warn!(
                gate = &*name,
                "the startup gate has no effect: the start is complete; add gates before the probes are served"
            );
        }
        StartupGate { id: lifecycle.add_gate(&name), name, lifecycle, done: false }
    }
}

impl StartupGate {
    /// Completes the step.
    pub fn done(mut self) {
        self.done = true;
        self.lifecycle.finish_gate(self.id);
    }
}

impl Drop for StartupGate {
    fn drop(&mut self) {
        if !self.done && !self.lifecycle.is_started() && !self.lifecycle.is_draining() {
            let gate = &*self.name;
            tracing::error!(
                gate,
                "the startup gate was dropped before it was done: the process never gets ready"
            );
        }
    }
}

impl fmt::Debug for StartupGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StartupGate").field("name", &self.name).finish_non_exhaustive()
    }
}
