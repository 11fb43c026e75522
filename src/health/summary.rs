//! From what is known of each component to a snapshot of all.

use std::sync::Arc;

use super::component::Components;
use super::evidence::Evidence;
use super::overall;
use super::points::{WHOLE, score, shares};
use super::root_causes::find_root_causes;
use super::score::Verdict;
use super::snapshot::{Calls, ComponentHealth, HealthSnapshot, Loss};
use super::status::Status;

/// Makes a snapshot of the evidence about each component, sorted by name. `judge` gets the index of a component in
/// `evidence`, too. `unwell_limit` is the setting `unwell_components`.
pub(super) fn summarize(
    evidence: &[(Arc<str>, Evidence)],
    registered: &Components,
    unwell_limit: Option<u64>,
    mut judge: impl FnMut(usize, &Evidence) -> Verdict,
) -> HealthSnapshot {
    let mut points = Vec::with_capacity(evidence.len());
    let mut components = Vec::with_capacity(evidence.len());
    // Both are sorted by name, and each registered component is in the evidence.
    let mut registered = registered.iter().peekable();
    for (index, (name, evidence)) in evidence.iter().enumerate() {
        let verdict = judge(index, evidence);
        points.push(verdict.points);
        let config = registered.next_if(|known| Arc::ptr_eq(&known.name, name) || known.name == *name);
        components.push(ComponentHealth {
            name: Arc::clone(name),
            status: verdict.status,
            score: score(verdict.points),
            reasons: verdict.reasons,
            critical: config.is_some_and(|config| config.critical),
            optional: config.is_some_and(|config| config.optional),
            weight: config.map_or(1.0, |config| config.weight),
            depends_on: config.map(|config| Arc::clone(&config.depends_on)).unwrap_or_default(),
            because_of: Vec::new(),
            calls: evidence.vital.as_ref().filter(|vital| vital.calls > 0).map(Calls::from),
            letters: evidence.letters.map(|(waiting, _)| waiting),
            checks: evidence.checks.clone(),
            outlook: evidence.outlook.clone(),
        });
    }
    let root_causes = find_root_causes(&mut components);
    let mut snapshot = HealthSnapshot {
        status: Status::Unknown,
        reason: None,
        score: 1.0,
        losses: Vec::new(),
        root_causes,
        components,
    };
    (snapshot.status, snapshot.reason) = overall::judge(&snapshot, unwell_limit);
    set_score(&mut snapshot, &points);
    snapshot
}

/// Sets the overall score and losses. `points` are those of the components, in their order.
fn set_score(snapshot: &mut HealthSnapshot, points: &[u32]) {
    let counted: Vec<(&ComponentHealth, u32)> = snapshot
        .components
        .iter()
        .zip(points.iter().copied())
        .filter(|(component, _)| !component.optional && component.status != Status::Unknown)
        .collect();
    let weights: Vec<f64> = counted.iter().map(|(component, _)| component.weight).collect();
    let lost: Vec<u32> = counted.iter().map(|(_, points)| WHOLE - points).collect();
    let mut losses: Vec<(u32, Arc<str>)> = shares(&weights, &lost)
        .into_iter()
        .zip(&counted)
        .map(|(cost, (component, _))| (cost, Arc::clone(&component.name)))
        .filter(|(cost, _)| *cost > 0)
        .collect();
    losses.sort_by_key(|(cost, _)| std::cmp::Reverse(*cost));
    snapshot.score = score(WHOLE - losses.iter().map(|(cost, _)| cost).sum::<u32>());
    snapshot.losses =
        losses.into_iter().map(|(cost, component)| Loss { component, cost: score(cost) }).collect();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::score::tests::calls;
    use crate::health::{Component, HealthSettings};
    use proptest::prelude::*;
    use std::time::Duration;

    /// A snapshot of components with 100 calls each, of which the given number failed; `None` is a component without calls.
    fn snapshot(components: Vec<(Component, Option<u64>)>) -> HealthSnapshot {
        limited(None, components)
    }

    fn limited(unwell_limit: Option<u64>, components: Vec<(Component, Option<u64>)>) -> HealthSnapshot {
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
        summarize(&evidence, &registered, unwell_limit, |_, evidence| evidence.judge(&settings))
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
    fn the_number_of_unwell_components_counts_from_its_limit_and_is_a_reason() {
        let judged = |limit, failing: usize| {
            let components = ["a", "b", "c", "d", "e", "f", "g"].into_iter().enumerate();
            let components =
                components.map(|(place, name)| (new(name), Some(if place < failing { 99 } else { 0 })));
            let well =
                [(new("optional").optional(true), Some(99)), (new("critical").critical(true), Some(0))];
            let snapshot = limited(limit, components.chain(well).collect());
            (snapshot.status, snapshot.reason.map(|reason| reason.to_string()))
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(judged(Some(1), 0), (Status::Healthy, None));
        assert_eq!(judged(Some(2), 1), (Status::Degraded, some("`a` is critical")));
        assert_eq!(judged(None, 2), (Status::Degraded, some("`a` is critical; `b` is critical")));
        let text = "`a` is critical; 1 component is not well, and from 1 on the process is unhealthy";
        assert_eq!(judged(Some(1), 1), (Status::Unhealthy, some(text)));
        let five = "`a` is critical; `b` is critical; `c` is critical; `d` is critical; `e` is critical";
        let text = "and 2 more; 7 components are not well, and from 2 on the process is unhealthy";
        assert_eq!(judged(Some(2), 7), (Status::Unhealthy, some(&format!("{five}; {text}"))));
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
    fn a_failing_component_names_its_root_causes() {
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
        assert_eq!(because("search"), [""; 0], "search is healthy");
    }

    proptest! {
        #[test]
        fn p50_the_losses_add_up_to_the_points_that_the_overall_score_lost(
            components in prop::collection::vec((prop::option::of(0_u64..=100), 1e-300_f64..1e300, any::<bool>()), 0..40),
        ) {
            let components = components
                .into_iter()
                .enumerate()
                .map(|(index, (failed, weight, optional))| {
                    (Component::new(index.to_string()).weight(weight).optional(optional), failed)
                })
                .collect();
            let snapshot = snapshot(components);
            prop_assert!((0.0..=1.0).contains(&snapshot.score));
            let lost: f64 = snapshot.losses.iter().map(|loss| loss.cost).sum();
            prop_assert_eq!(lost, 1.0 - snapshot.score);
        }
    }
}
