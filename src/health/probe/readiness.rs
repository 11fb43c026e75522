//! Whether to send requests here.

use std::sync::Arc;

use serde::Serialize;

use crate::health::handle::{Health, Inner};
use crate::health::snapshot::{ComponentHealth, HealthSnapshot};
use crate::health::status::Status;

/// Whether to send requests here.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Readiness {
    /// Whether to.
    pub ready: bool,
    /// Whether the process is on its way out.
    pub draining: bool,
    /// What the [start](Health::startup) still waits for.
    pub starting: Vec<Arc<str>>,
    /// The critical components that fail, or cannot work.
    pub missing: Vec<Missing>,
}

/// A critical component that fails.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Missing {
    /// Its name.
    pub component: Arc<str>,
    /// `Unhealthy` or `Critical`; `Unknown` for one of which nothing is known but that one that it depends on fails.
    pub status: Status,
    /// Why, the weightiest first.
    pub reasons: Vec<String>,
    /// The components below it that are to blame.
    pub because_of: Vec<Arc<str>>,
}

impl Health {
    /// Whether to send requests here: the start is over, no critical component fails, and the process is not draining.
    ///
    /// A component of which nothing is known does not fail, since a new process would never get its first request; but it
    /// is missing while one that it [depends on](crate::health::Component::depends_on) fails, itself or through others of
    /// which nothing is known: it does not work without that.
    /// At most as old as [`HealthSettings::cached_for`](crate::health::HealthSettings::cached_for) says, but for
    /// [`drain`](Self::drain) and [gates](Self::starting), which count at once.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        if self.is_ready() {
            return Readiness { ready: true, draining: false, starting: Vec::new(), missing: Vec::new() };
        }
        self.inner.readiness(&self.recent())
    }

    /// Whether to send requests here, and no more: what [`readiness`](Self::readiness) says in one word.
    ///
    /// It may be asked at any rate: it is kept for
    /// [`HealthSettings::cached_for`](crate::health::HealthSettings::cached_for), and once the process has started it
    /// costs neither an allocation nor a lock meanwhile.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.inner.is_ready()
    }
}

impl Inner {
    pub(in crate::health) fn is_ready(&self) -> bool {
        !self.life.is_draining() && self.waiting_for().is_empty() && self.works()
    }

    pub(super) fn readiness(&self, snapshot: &HealthSnapshot) -> Readiness {
        let draining = self.life.is_draining();
        let starting = self.waiting_for();
        let missing: Vec<Missing> = snapshot.missing().map(Missing::from).collect();
        Readiness {
            ready: missing.is_empty() && starting.is_empty() && !draining,
            draining,
            starting,
            missing,
        }
    }
}

impl From<&ComponentHealth> for Missing {
    fn from(component: &ComponentHealth) -> Self {
        Self {
            component: Arc::clone(&component.name),
            status: component.status,
            reasons: component.reasons.iter().map(|reason| reason.text.clone()).collect(),
            because_of: component.because_of.clone(),
        }
    }
}
