use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::check_report::CheckReport;
use super::numbers::seconds;
use super::outlook::Outlook;
use super::reason::Reason;
use super::status::Status;
use crate::signal::VitalReading;

/// The health of the process and of each component at one moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct HealthSnapshot {
    /// The status of the worst critical component; but at least `Degraded` if any component that is not optional is
    /// `Degraded` or worse. A critical component that is `Unknown` counts as `Unhealthy` while a component that it depends
    /// on fails. `Unhealthy` or worse if as many components as
    /// [`unwell_components`](super::HealthSettings::unwell_components) allows are not well. `Unknown` if all components
    /// are.
    pub status: Status,
    /// Why the status is worse than `Healthy`, with the names of the components; `None` while it is not.
    pub reason: Option<Arc<str>>,
    /// The weighted mean of the scores of all components that are neither `Unknown` nor optional, in 0..=1.
    pub score: f64,
    /// What each component cost the overall score, the most expensive first. Adds up to exactly `1 - score`.
    pub losses: Vec<Loss>,
    /// The components that are not healthy although all that they depend on are. The worst comes first, and among equals the
    /// one that most others fail [because of](ComponentHealth::because_of). An optional component is among them only if
    /// one that is not optional fails because of it.
    pub root_causes: Vec<Arc<str>>,
    /// All components, sorted by name.
    pub components: Vec<ComponentHealth>,
}

/// What one component cost the overall score.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Loss {
    /// Its name.
    pub component: Arc<str>,
    /// The points that it cost.
    pub cost: f64,
}

/// The health of one component.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ComponentHealth {
    /// Its name.
    pub name: Arc<str>,
    /// Its status.
    pub status: Status,
    /// Its score in 0..=1: 1 minus the costs of its reasons. 1 for a component that is `Unknown`.
    pub score: f64,
    /// Why the score lost points, the most expensive reason first.
    pub reasons: Vec<Reason>,
    /// Whether the process is not ready while it fails.
    pub critical: bool,
    /// Whether the overall status and score leave it out.
    pub optional: bool,
    /// Its weight in the overall score.
    pub weight: f64,
    /// The components that it depends on.
    pub depends_on: Arc<[Arc<str>]>,
    /// The root causes among its dependencies, direct or not: look at these first. Empty while the component is healthy. A
    /// component that is `Unknown` has root causes while one that it depends on fails, directly or through other
    /// `Unknown` components: then it cannot work.
    pub because_of: Vec<Arc<str>>,
    /// Its calls, if it was called.
    pub calls: Option<Calls>,
    /// The number of its waiting dead letters, if it has a queue.
    pub letters: Option<u64>,
    /// The last results of its checks, sorted by the name of the check.
    pub checks: Vec<Arc<CheckReport>>,
    /// Its prediction as of the last [round](super::HealthSettings::round); `None` if no vital sign was measured.
    pub outlook: Option<Arc<Outlook>>,
}

/// The calls of one component.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Calls {
    /// Calls since the start.
    pub total: u64,
    /// Failed calls since the start.
    pub failed: u64,
    /// Calls in the last minute.
    pub recent: u64,
    /// Failed calls in the last minute.
    pub recent_failed: u64,
    /// Failures since the last success.
    pub consecutive_failures: u64,
    /// Mean duration of the calls of the last minute.
    #[serde(serialize_with = "seconds")]
    pub recent_mean: Duration,
    /// Shortest duration since the start.
    #[serde(serialize_with = "seconds")]
    pub min: Duration,
    /// Mean duration since the start.
    #[serde(serialize_with = "seconds")]
    pub mean: Duration,
    /// Median duration since the start.
    #[serde(serialize_with = "seconds")]
    pub p50: Duration,
    /// 95th percentile of the durations since the start.
    #[serde(serialize_with = "seconds")]
    pub p95: Duration,
    /// 99th percentile of the durations since the start.
    #[serde(serialize_with = "seconds")]
    pub p99: Duration,
    /// Longest duration since the start.
    #[serde(serialize_with = "seconds")]
    pub max: Duration,
}

impl From<&VitalReading> for Calls {
    fn from(reading: &VitalReading) -> Self {
        let durations = &reading.durations;
        Self {
            total: reading.calls,
            failed: reading.failures,
            recent: reading.recent.calls,
            recent_failed: reading.recent.failures,
            consecutive_failures: reading.consecutive_failures,
            recent_mean: reading.recent_mean,
            min: durations.min,
            mean: durations.mean,
            p50: durations.p50,
            p95: durations.p95,
            p99: durations.p99,
            max: durations.max,
        }
    }
}

impl ComponentHealth {
    /// Whether it can serve requests, as far as known.
    pub(super) fn serves(&self) -> bool {
        let is_blocked = self.status == Status::Unknown && !self.because_of.is_empty();
        !self.status.is_failing() && !is_blocked
    }
}

impl HealthSnapshot {
    /// The component called `name`.
    #[must_use]
    pub fn component(&self, name: &str) -> Option<&ComponentHealth> {
        let index = self.components.binary_search_by(|component| component.name.as_ref().cmp(name)).ok()?;
        self.components.get(index)
    }

    /// Whether all critical components can serve requests.
    pub(super) fn is_ready(&self) -> bool {
        self.missing().next().is_none()
    }

    /// The critical components that cannot serve requests.
    pub(super) fn missing(&self) -> impl Iterator<Item = &ComponentHealth> {
        self.components.iter().filter(|component| component.critical && !component.serves())
    }
}
