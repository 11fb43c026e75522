use std::sync::Arc;

use serde::Serialize;

use crate::health::handle::Health;
use crate::health::snapshot::{ComponentHealth, HealthSnapshot};

/// Whether this process should get requests, and why not.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Readiness {
    /// Whether the process is ready.
    pub ready: bool,
    /// Whether the process [drains](Health::drain).
    pub draining: bool,
    /// What the start waits for: the names of [gates](Health::starting), then of the checks that have not passed yet, as
    /// `component` or `component/check`. Once it is empty, the start is complete for good.
    pub starting: Vec<Arc<str>>,
    /// The critical components that fail, and those that are `Unknown` while a component that they depend on fails.
    pub missing: Vec<ComponentHealth>,
}

impl Health {
    /// Whether this process should get requests: the start is complete, no critical component fails, and the process does
    /// not drain.
    ///
    /// A critical component that is `Unknown` does not take readiness away: a new process would never get its first
    /// request. It does while a component that it [depends on](crate::health::Component::depends_on) fails, directly
    /// or through other `Unknown` components.
    ///
    /// The answer is at most as old as [`HealthSettings::cached_for`](crate::health::HealthSettings::cached_for).
    /// [`drain`](Self::drain) and [gates](Self::starting) count at once.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        if self.is_ready() {
            return Readiness { ready: true, draining: false, starting: Vec::new(), missing: Vec::new() };
        }
        self.readiness_of(&self.inner.recent())
    }

    /// [`Readiness::ready`] alone.
    ///
    /// Cheap enough for each request: once the process has started, it costs neither an allocation nor a lock while the
    /// last snapshot is valid, see [`HealthSettings::cached_for`](crate::health::HealthSettings::cached_for).
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.inner.is_ready()
    }

    pub(super) fn readiness_of(&self, snapshot: &HealthSnapshot) -> Readiness {
        let draining = self.inner.is_draining();
        let starting = self.inner.waiting_for();
        let missing: Vec<ComponentHealth> = snapshot.missing().cloned().collect();
        Readiness {
            ready: missing.is_empty() && starting.is_empty() && !draining,
            draining,
            starting,
            missing,
        }
    }
}
