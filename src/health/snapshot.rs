//! What health says at one moment.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::blame::blame;
use super::check_report::CheckReport;
use super::component::Components;
use super::numbers::seconds;
use super::outlook::Outlook;
use super::reason::Reason;
use super::score::{Evidence, Verdict, WHOLE, score};
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
    pub fn is_ready(&self) -> bool {
        self.missing().next().is_none()
    }

    /// The critical components that fail, and those of which nothing is known but that one that they
    /// [depend on](ComponentHealth::because_of) fails: as long as there is one, the service is not ready.
    pub fn missing(&self) -> impl Iterator<Item = &ComponentHealth> {
        self.components.iter().filter(|component| component.critical && !component.serves())
    }

    /// Of what was found of each, and what `judge` says of that: it is given the place among them, too.
    pub(super) fn new(
        evidence: &[(Arc<str>, Evidence)],
        registered: &Components,
        mut judge: impl FnMut(usize, &Evidence) -> Verdict,
    ) -> Self {
        let mut points = Vec::with_capacity(evidence.len());
        let mut components = Vec::with_capacity(evidence.len());
        // Both are in the order of their names, and each that is registered is among the evidence.
        let mut registered = registered.iter().peekable();
        for (place, (name, evidence)) in evidence.iter().enumerate() {
            let verdict = judge(place, evidence);
            points.push(verdict.points);
            let said = registered.next_if(|said| Arc::ptr_eq(&said.name, name) || said.name == *name);
            components.push(ComponentHealth {
                name: Arc::clone(name),
                status: verdict.status,
                score: score(verdict.points),
                reasons: verdict.reasons,
                critical: said.is_some_and(|said| said.critical),
                optional: said.is_some_and(|said| said.optional),
                weight: said.map_or(1.0, |said| said.weight),
                depends_on: said.map(|said| Arc::clone(&said.depends_on)).unwrap_or_default(),
                because_of: Vec::new(),
                calls: evidence.vital.as_ref().filter(|vital| vital.calls > 0).map(Calls::from),
                letters: evidence.letters.map(|(waiting, _)| waiting),
                checks: evidence.checks.clone(),
                outlook: evidence.outlook.clone(),
            });
        }
        let root_causes = blame(&mut components);
        let mut snapshot =
            Self { status: Status::Unknown, score: 1.0, losses: Vec::new(), root_causes, components };
        snapshot.sum_up(&points);
        snapshot
    }

    fn sum_up(&mut self, points: &[u32]) {
        let counted: Vec<(&ComponentHealth, u32)> = self
            .components
            .iter()
            .zip(points.iter().copied())
            .filter(|(component, _)| !component.optional && component.status != Status::Unknown)
            .collect();
        self.status =
            counted
                .iter()
                .map(|(component, _)| {
                    if component.critical { component.status } else { component.status.min(Status::Degraded) }
                })
                .chain(self.missing().map(|missing| missing.status.max(Status::Unhealthy)))
                .max()
                .unwrap_or(Status::Unknown);
        let weights: Vec<f64> = counted.iter().map(|(component, _)| component.weight).collect();
        let lost: Vec<u32> = counted.iter().map(|(_, points)| WHOLE - points).collect();
        let mut losses: Vec<(u32, Arc<str>)> = shares(&weights, &lost)
            .into_iter()
            .zip(&counted)
            .map(|(cost, (component, _))| (cost, Arc::clone(&component.name)))
            .filter(|(cost, _)| *cost > 0)
            .collect();
        losses.sort_by_key(|(cost, _)| std::cmp::Reverse(*cost));
        self.score = score(WHOLE - losses.iter().map(|(cost, _)| cost).sum::<u32>());
        self.losses =
            losses.into_iter().map(|(cost, component)| Loss { component, cost: score(cost) }).collect();
    }
}

/// The weighted mean of `lost` in whole points, and what each part has in it.
///
/// Each gets its share without the fraction; the points left over go to the largest fractions.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // From 0 to 1,024.
pub(super) fn shares(weights: &[f64], lost: &[u32]) -> Vec<u32> {
    // The sum of weights may overflow where that of their shares does not.
    let heaviest = weights.iter().copied().fold(0.0, f64::max);
    let sum: f64 = weights.iter().map(|weight| weight / heaviest).sum();
    let exact: Vec<f64> =
        weights.iter().zip(lost).map(|(weight, lost)| f64::from(*lost) * (weight / heaviest / sum)).collect();
    let total = (exact.iter().sum::<f64>().round() as u32).min(WHOLE);
    let mut shares: Vec<u32> = exact.iter().map(|exact| exact.floor() as u32).collect();
    let left = total.saturating_sub(shares.iter().sum());
    // Few have lost anything, as a rule.
    let mut order: Vec<usize> = (0..exact.len()).filter(|place| exact[*place].fract() > 0.0).collect();
    order.sort_by(|a, b| exact[*b].fract().total_cmp(&exact[*a].fract()));
    order.into_iter().take(left as usize).for_each(|place| shares[place] += 1);
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::score::tests::calls;
    use crate::health::{Component, HealthSettings};
    use proptest::prelude::*;

    /// A component that fails in so many of 100 calls; nothing is known of it when that is `None`.
    fn snapshot(components: Vec<(Component, Option<u64>)>) -> HealthSnapshot {
        let mut registered = Components::default();
        let mut evidence = std::collections::BTreeMap::new();
        for (component, failed) in components {
            let name = Arc::clone(&component.name);
            registered.register(component).unwrap();
            let found = failed.map(|failed| calls(failed, 100 - failed, Duration::from_millis(1)));
            evidence.insert(name, found.unwrap_or_default());
        }
        let evidence: Vec<_> = evidence.into_iter().collect();
        let settings = HealthSettings::default();
        HealthSnapshot::new(&evidence, &registered, |_, evidence| evidence.judge(&settings))
    }

    fn new(name: &str) -> Component {
        Component::new(name)
    }

    #[test]
    fn the_overall_status_follows_the_critical_components() {
        let status = |components| snapshot(components).status;
        assert_eq!(status(vec![]), Status::Unknown);
        assert_eq!(status(vec![(new("a").critical(true), None)]), Status::Unknown);
        assert_eq!(status(vec![(new("a"), Some(0)), (new("b").critical(true), None)]), Status::Healthy);
        assert_eq!(status(vec![(new("a"), Some(99)), (new("b").critical(true), Some(0))]), Status::Degraded);
        assert_eq!(status(vec![(new("a"), Some(0)), (new("b").critical(true), Some(99))]), Status::Critical);
        assert_eq!(status(vec![(new("a"), Some(0)), (new("b").optional(true), Some(99))]), Status::Healthy);
    }

    #[test]
    fn the_overall_score_is_the_weighted_mean() {
        let heavy = snapshot(vec![(new("a").weight(3.0), Some(0)), (new("b"), Some(99))]);
        assert_eq!(heavy.score, 0.75);
        assert_eq!(heavy.losses, [Loss { component: "b".into(), cost: 0.25 }]);
        let unknown =
            snapshot(vec![(new("a"), Some(0)), (new("b"), None), (new("c").optional(true), Some(99))]);
        assert_eq!((unknown.score, unknown.losses.len()), (1.0, 0));
    }

    #[test]
    fn a_failing_component_names_the_root_below_it() {
        let snapshot = snapshot(vec![
            (new("shop").depends_on("payments").depends_on("mail"), Some(60)),
            (new("payments").depends_on("db").depends_on("cache"), Some(60)),
            (new("mail"), Some(0)),
            (new("db").depends_on("disk"), None),
            (new("disk"), Some(60)),
            (new("cache"), Some(60)),
            (new("search").depends_on("disk"), Some(0)),
        ]);
        let because = |name: &str| -> Vec<String> {
            snapshot.component(name).unwrap().because_of.iter().map(ToString::to_string).collect()
        };
        assert_eq!(because("shop"), ["cache", "disk"]);
        assert_eq!(because("payments"), ["cache", "disk"]);
        assert_eq!(because("disk"), [""; 0]);
        assert_eq!(because("search"), [""; 0], "it is healthy itself");
    }

    proptest! {
        #[test]
        fn p50_the_losses_account_for_every_point_of_the_overall_score(
            components in prop::collection::vec((prop::option::of(0_u64..=100), 1e-300_f64..1e300, any::<bool>()), 0..40),
        ) {
            let components = components
                .into_iter()
                .enumerate()
                .map(|(place, (failed, weight, optional))| {
                    (Component::new(place.to_string()).weight(weight).optional(optional), failed)
                })
                .collect();
            let snapshot = snapshot(components);
            prop_assert!((0.0..=1.0).contains(&snapshot.score));
            let lost: f64 = snapshot.losses.iter().map(|loss| loss.cost).sum();
            prop_assert_eq!(lost, 1.0 - snapshot.score);
        }

        #[test]
        fn small_losses_of_many_are_not_lost(number in 1_usize..2_000, lost in 1_u32..=WHOLE) {
            let shares = shares(&vec![1.0; number], &vec![lost; number]);
            prop_assert_eq!(shares.iter().sum::<u32>(), lost);
        }
    }
}
