//! What health says at one moment.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::check_report::CheckReport;
use super::numbers::seconds;
use super::outlook::Outlook;
use super::reason::Reason;
use super::status::Status;
use crate::signal::VitalReading;

/// The health of the whole and of each component.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct HealthSnapshot {
    /// As bad as the worst critical component, where one of which nothing is known but that one that it depends on fails
    /// is `Unhealthy`; `Degraded` when another one that is not optional is degraded or
    /// worse; `Unknown` when nothing is known of any.
    pub status: Status,
    /// The weighted mean of the scores of all components that are known and not optional, in 0..=1.
    pub score: f64,
    /// What each component took from the overall score, the most first; adds up to `1 - score`, exactly.
    pub losses: Vec<Loss>,
    /// The components that are not healthy by their own doing: none that they depend on is to blame. The worst first,
    /// and among equals the one that most others fail [because of](ComponentHealth::because_of). One that is optional
    /// is named when one that is not depends on it and is not healthy either.
    pub root_causes: Vec<Arc<str>>,
    /// Every component, by name.
    pub components: Vec<ComponentHealth>,
}

/// What one component took from the overall score.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Loss {
    /// Its name.
    pub component: Arc<str>,
    /// The points it cost.
    pub cost: f64,
}

/// The health of one component.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ComponentHealth {
    /// Its name.
    pub name: Arc<str>,
    /// How it is doing.
    pub status: Status,
    /// From 0, not working, to 1. What is missing to 1 is in the reasons. 1 as well for a component of which
    /// nothing is known.
    pub score: f64,
    /// What the score lost points for, the dearest first.
    pub reasons: Vec<Reason>,
    /// Whether nothing works without it.
    pub critical: bool,
    /// Whether the service can do without it.
    pub optional: bool,
    /// How much it counts in the overall score.
    pub weight: f64,
    /// What it does not work without.
    pub depends_on: Arc<[Arc<str>]>,
    /// Those among its dependencies, direct or not, that are not healthy themselves and have nobody below them
    /// to blame: look at these first. Empty while the component is healthy. One of which nothing is known names them
    /// when one that it depends on fails, itself or through others of which nothing is known: it cannot work.
    pub because_of: Vec<Arc<str>>,
    /// Its calls, if it was called.
    pub calls: Option<Calls>,
    /// Dead letters that wait under its name, if it has a queue.
    pub letters: Option<u64>,
    /// What its checks found last, by the name of the check.
    pub checks: Vec<Arc<CheckReport>>,
    /// What is to be expected of it, as of the last [round](super::HealthSettings::round); `None` as long as nothing of it
    /// was measured.
    pub outlook: Option<Arc<Outlook>>,
}

/// The calls of one component: its spans.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Calls {
    /// Since the start.
    pub total: u64,
    /// Of these, how many failed.
    pub failed: u64,
    /// In the last minute.
    pub recent: u64,
    /// Of these, how many failed.
    pub recent_failed: u64,
    /// Failures since the last success.
    pub consecutive_failures: u64,
    /// Mean duration in the last minute.
    #[serde(serialize_with = "seconds")]
    pub recent_mean: Duration,
    /// Shortest since the start.
    #[serde(serialize_with = "seconds")]
    pub min: Duration,
    /// Mean since the start.
    #[serde(serialize_with = "seconds")]
    pub mean: Duration,
    /// Half of the calls since the start took no longer.
    #[serde(serialize_with = "seconds")]
    pub p50: Duration,
    /// 95 of 100 took no longer.
    #[serde(serialize_with = "seconds")]
    pub p95: Duration,
    /// 99 of 100 took no longer.
    #[serde(serialize_with = "seconds")]
    pub p99: Duration,
    /// Longest since the start.
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
    /// Whether it does its work, as far as anything is known.
    pub(super) fn serves(&self) -> bool {
        !self.status.is_failing() && !self.is_stranded()
    }

    /// Whether nothing is known of it but that one that it depends on fails.
    fn is_stranded(&self) -> bool {
        self.status == Status::Unknown && !self.because_of.is_empty()
    }
}

impl HealthSnapshot {
    /// The component of that name.
    #[must_use]
    pub fn component(&self, name: &str) -> Option<&ComponentHealth> {
        let place = self.components.binary_search_by(|component| component.name.as_ref().cmp(name)).ok()?;
        self.components.get(place)
    }

    /// Whether no critical component fails, or cannot work.
    #[must_use]
    pub(super) fn is_ready(&self) -> bool {
        self.missing().next().is_none()
    }

    /// The critical components that fail, and those of which nothing is known but that one that they
    /// [depend on](ComponentHealth::because_of) fails: as long as there is one, the service is not ready.
    pub(super) fn missing(&self) -> impl Iterator<Item = &ComponentHealth> {
        self.components.iter().filter(|component| component.critical && !component.serves())
    }
}
