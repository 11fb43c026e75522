//! The score and status of one component, with the reasons.

use super::check_reasons;
use super::evidence::Evidence;
use super::ledger::Ledger;
use super::machine_reasons;
use super::points::score;
use super::reason::Reason;
use super::settings::HealthSettings;
use super::status::Status;

/// The verdict on the evidence.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Verdict {
    pub(super) status: Status,
    /// Points left, of [`WHOLE`](super::points::WHOLE).
    pub(super) points: u32,
    pub(super) reasons: Vec<Reason>,
}

impl Evidence {
    pub(super) fn judge(&self, settings: &HealthSettings) -> Verdict {
        let mut ledger = Ledger::new(1.0 - settings.thresholds.healthy);
        let mut known = self.letters.is_some() || !self.machine.is_empty();
        if let Some(vital) = &self.vital {
            known |= vital.recent.calls >= settings.minimum_calls;
            ledger.enter_calls(vital, self.outlook.as_deref(), settings);
        }
        ledger.enter_circuits(self, settings);
        if let Some((waiting, oldest)) = self.letters {
            ledger.enter_letters(waiting, oldest, settings);
        }
        ledger.enter_group(machine_reasons::reasons(&self.machine, &settings.weights));
        known |= check_reasons::has_result(&self.checks);
        ledger.enter_group(check_reasons::reasons(&self.checks, &settings.weights));
        let (points, reasons) = ledger.close();
        known |= !reasons.is_empty();
        let thresholds = &settings.thresholds;
        let status =
            if known { thresholds.status_after(self.last_status, score(points)) } else { Status::Unknown };
        Verdict { status, points, reasons }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::base::clock;
    use crate::health::points::WHOLE;
    use crate::health::{ReasonKind, costs};
    use crate::signal::{BreakerSign, Sign, Vital};
    use proptest::prelude::*;
    use std::time::Duration;

    /// Calls that ended now: `failed` failures, then `succeeded` successes, each of duration `each`.
    pub(in crate::health) fn calls(failed: u64, succeeded: u64, each: Duration) -> Evidence {
        let vital = Vital::default();
        let now = clock::now();
        (0..failed).for_each(|_| _ = vital.record(now, each, true));
        (0..succeeded).for_each(|_| _ = vital.record(now, each, false));
        Evidence { vital: Some(vital.reading()), ..Evidence::default() }
    }

    fn letters(waiting: u64, oldest: Duration) -> Evidence {
        Evidence { letters: Some((waiting, oldest)), ..Evidence::default() }
    }

    fn judged(evidence: &Evidence) -> (Status, f64, Vec<(ReasonKind, f64)>) {
        let verdict = evidence.judge(&HealthSettings::default());
        let reasons = verdict.reasons.iter().map(|reason| (reason.kind, reason.cost)).collect();
        (verdict.status, score(verdict.points), reasons)
    }

    const MILLIS: Duration = Duration::from_millis(1);

    #[test]
    fn too_few_calls_are_unknown() {
        assert_eq!(judged(&Evidence::default()), (Status::Unknown, 1.0, vec![]));
        assert_eq!(judged(&calls(0, 4, MILLIS)), (Status::Unknown, 1.0, vec![]));
        assert_eq!(judged(&calls(0, 5, MILLIS)), (Status::Healthy, 1.0, vec![]));
        // A queue is known even when it is empty.
        assert_eq!(judged(&letters(0, Duration::ZERO)), (Status::Healthy, 1.0, vec![]));
        // A row of failures counts even with too few calls.
        let (status, _, reasons) = judged(&calls(0, 0, MILLIS));
        assert_eq!((status, reasons), (Status::Unknown, vec![]));
        let few = calls(3, 0, MILLIS);
        assert_eq!(judged(&few), (Status::Degraded, 0.75, vec![(ReasonKind::ConsecutiveFailures, 0.25)]));
    }

    #[test]
    fn the_error_share_ends_healthy_at_its_limit() {
        // Failures come first, so that none are in a row at the end.
        for (failed, succeeded, status) in [
            (0, 100, Status::Healthy),
            (122, 878, Status::Healthy),
            (123, 877, Status::Degraded),
            (260, 740, Status::Degraded),
            (265, 735, Status::Unhealthy),
            (424, 576, Status::Unhealthy),
            (435, 565, Status::Critical),
            (999, 1, Status::Critical),
        ] {
            assert_eq!(judged(&calls(failed, succeeded, MILLIS)).0, status, "{failed} of 1000");
        }
        assert_eq!(judged(&calls(66, 934, MILLIS)).1, 1.0, "half the limit costs nothing");
        assert_eq!(judged(&calls(537, 463, MILLIS)).1, 0.0, "five times the limit costs all");
    }

    #[test]
    fn few_calls_are_judged_by_the_lower_bound() {
        for (failed, all, status) in [
            (1, 10, Status::Healthy),
            (2, 5, Status::Healthy),
            (3, 5, Status::Degraded),
            (3, 10, Status::Healthy),
            (4, 10, Status::Degraded),
            (11, 60, Status::Healthy),
            (12, 60, Status::Degraded),
            (77, 600, Status::Healthy),
            (78, 600, Status::Degraded),
            (1_030, 10_000, Status::Healthy),
            (1_080, 10_000, Status::Degraded),
        ] {
            assert_eq!(judged(&calls(failed, all - failed, MILLIS)).0, status, "{failed} of {all}");
        }
        // Each slow call takes a minute: one of ten makes a mean of six seconds, but is only one call.
        let mean = |slow: u64, all: u64| {
            let vital = Vital::default();
            let now = clock::now();
            (0..all).for_each(|n| {
                vital.record(now, if n < slow { Duration::from_secs(60) } else { MILLIS }, false);
            });
            judged(&Evidence { vital: Some(vital.reading()), ..Evidence::default() }).0
        };
        assert_eq!(
            (mean(1, 10), mean(10, 100), mean(100, 1_000)),
            (Status::Healthy, Status::Healthy, Status::Healthy)
        );
        assert_eq!(
            (mean(7, 10), mean(20, 100), mean(120, 1_000)),
            (Status::Degraded, Status::Degraded, Status::Degraded)
        );
    }

    /// A share of failures below the limit must not make a component unhealthy, however many calls there are.
    #[test]
    fn errors_below_the_limit_leave_a_component_healthy_at_any_number_of_calls() {
        let mut random = fastrand::Rng::with_seed(5);
        for (calls_a_minute, share) in
            [(5, 0.005), (10, 0.005), (60, 0.005), (60, 0.02), (600, 0.01), (600, 0.05)]
        {
            let mut unhealthy = 0;
            let minutes = (100_000 / calls_a_minute).min(3 * 1_440);
            for _minute in 0..minutes {
                let vital = Vital::default();
                let now = clock::now();
                (0..calls_a_minute).for_each(|_| _ = vital.record(now, MILLIS, random.f64() < share));
                let evidence = Evidence { vital: Some(vital.reading()), ..Evidence::default() };
                unhealthy += u32::from(judged(&evidence).0 > Status::Healthy);
            }
            assert!(
                unhealthy <= 1,
                "{unhealthy} of {minutes} minutes with {calls_a_minute} calls, {share} fail"
            );
        }
    }

    #[test]
    fn a_row_of_failures_counts_unless_chance_explains_it() {
        let row = |others: u64, failed: u64, row: u64| {
            let vital = Vital::default();
            let now = clock::now();
            (0..others).for_each(|n| _ = vital.record(now, MILLIS, n < failed));
            (0..row).for_each(|_| _ = vital.record(now, MILLIS, true));
            judged(&Evidence { vital: Some(vital.reading()), ..Evidence::default() })
                .2
                .iter()
                .any(|(kind, _)| *kind == ReasonKind::ConsecutiveFailures)
        };
        // With 600 calls per minute of which 1 % fail, a row of three occurs about once a day.
        assert!(!row(600, 6, 3) && row(600, 6, 4));
        assert!(row(600, 0, 3) && row(0, 0, 3) && row(10, 0, 3));
        assert!(!row(60, 6, 5) && row(60, 6, 6));
    }

    #[test]
    fn durations_letters_and_their_age_end_healthy_at_their_limits() {
        let hour = Duration::from_secs(3_600);
        for (evidence, status, kind) in [
            (calls(0, 10, Duration::from_millis(4_999)), Status::Healthy, ReasonKind::MeanDuration),
            (calls(0, 10, Duration::from_secs(5)), Status::Degraded, ReasonKind::MeanDuration),
            (letters(99, MILLIS), Status::Healthy, ReasonKind::Letters),
            (letters(100, MILLIS), Status::Degraded, ReasonKind::Letters),
            (letters(500, MILLIS), Status::Unhealthy, ReasonKind::Letters),
            (letters(1, hour - MILLIS), Status::Healthy, ReasonKind::OldestLetter),
            (letters(1, hour), Status::Degraded, ReasonKind::OldestLetter),
        ] {
            let (found, score, reasons) = judged(&evidence);
            assert_eq!((found, reasons[0].0), (status, kind), "{score}");
        }
    }

    #[test]
    fn the_worst_circuit_of_a_name_counts() {
        let mut evidence = Evidence::default();
        for (sign, status, kind) in [
            (BreakerSign::Closed, Status::Unknown, None),
            (BreakerSign::HalfOpen, Status::Degraded, Some(ReasonKind::CircuitHalfOpen)),
            (BreakerSign::Open, Status::Unhealthy, Some(ReasonKind::CircuitOpen)),
            (BreakerSign::ForcedOpen, Status::Unhealthy, Some(ReasonKind::CircuitForcedOpen)),
        ] {
            evidence.add(Sign::Breaker(sign));
            let (found, _, reasons) = judged(&evidence);
            assert_eq!((found, reasons.first().map(|(kind, _)| *kind)), (status, kind));
        }
    }

    #[test]
    fn the_share_of_broken_circuits_counts() {
        for (broken, all, status, score) in [
            (0, 100, Status::Unknown, 1.0),
            (1, 100, Status::Healthy, 1016.0 / 1024.0),
            (1, 3, Status::Degraded, 0.75),
            (2, 3, Status::Unhealthy, 0.5),
            (3, 3, Status::Unhealthy, 0.25),
        ] {
            let mut evidence = Evidence::default();
            evidence.add(Sign::Circuits { broken, all });
            let (found, left, reasons) = judged(&evidence);
            assert_eq!((found, left), (status, score), "{broken} of {all}");
            assert_eq!(
                reasons.first().map(|(kind, _)| *kind),
                (broken > 0).then_some(ReasonKind::CircuitsOpen)
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_row_of_failures_does_not_count_without_recent_calls() {
        let vital = Vital::default();
        (0..4).for_each(|_| _ = vital.record(clock::now(), MILLIS, true));
        let evidence = || Evidence { vital: Some(vital.reading()), ..Evidence::default() };
        assert_eq!(judged(&evidence()).0, Status::Degraded);
        tokio::time::advance(Duration::from_secs(67)).await;
        assert_eq!(judged(&evidence()), (Status::Unknown, 1.0, vec![]));
    }

    prop_compose! {
        fn evidence()(
            failed in 0_u64..200,
            succeeded in 0_u64..200,
            millis in 0_u64..100_000,
            circuits in prop::array::uniform3(0_u32..3),
            (broken, well) in (0_u64..3, 0_u64..3),
            letters in prop::option::of((0_u64..1_000, 0_u64..100_000)),
            machine in prop::collection::vec(machine_reasons::tests::sign(), 0..12),
            checks in prop::collection::vec(check_reasons::tests::some_report(), 0..12),
            outlook in prop::option::of(costs::tests::outlook()),
            last_status in prop::option::of(prop::sample::select(&Status::ALL[..])),
        ) -> Evidence {
            let [open, forced_open, half_open] = circuits;
            let letters = letters.map(|(waiting, secs)| (waiting, Duration::from_secs(secs)));
            let calls = calls(failed, succeeded, Duration::from_millis(millis));
            let keyed = broken + well;
            let vital = calls.vital;
            Evidence {
                vital, open, forced_open, half_open, broken, keyed, letters, machine, checks, outlook, last_status,
            }
        }
    }

    prop_compose! {
        fn settings()(
            limits in (1_u64..50, 0.001_f64..=1.0, 1_u64..50, 1_u64..10_000, 1_u64..1_000, 1_u64..100_000),
            weights in prop::array::uniform12(0.0_f64..=1.0),
            thresholds in (0.67_f64..0.999, 0.34_f64..0.66, 0.0_f64..0.33, 0.0_f64..0.99),
            usual in (0.001_f64..100.0, 0_u64..100_000),
        ) -> HealthSettings {
            let (minimum_calls, error_share, consecutive_failures, millis, letters, secs) = limits;
            let [share, consecutive, mean, slower, open, half_open, waiting, oldest, warning, critical, failed, warns] =
                weights;
            let settings = HealthSettings {
                minimum_calls,
                error_share,
                consecutive_failures,
                mean_duration: Duration::from_millis(millis),
                slower_than_usual: usual.0,
                slow_from: Duration::from_millis(usual.1),
                letters,
                oldest_letter: Duration::from_secs(secs),
                weights: crate::health::Weights {
                    error_share: share,
                    consecutive_failures: consecutive,
                    mean_duration: mean,
                    slower_than_usual: slower,
                    circuit_open: open,
                    circuit_half_open: half_open,
                    letters: waiting,
                    oldest_letter: oldest,
                    machine_warning: warning,
                    machine_critical: critical,
                    check_failed: failed,
                    check_warning: warns,
                },
                thresholds: crate::health::Thresholds {
                    healthy: thresholds.0,
                    degraded: thresholds.1,
                    unhealthy: thresholds.2,
                    margin: (1.0 - thresholds.0) * thresholds.3,
                },
                ..HealthSettings::default()
            };
            settings.validate().unwrap();
            settings
        }
    }

    proptest! {
        #[test]
        fn p50_the_reasons_account_for_every_point_lost(evidence in evidence(), settings in settings()) {
            let verdict = evidence.judge(&settings);
            let score = score(verdict.points);
            prop_assert!((0.0..=1.0).contains(&score));
            let lost: f64 = verdict.reasons.iter().map(|reason| reason.cost).sum();
            prop_assert_eq!(lost, 1.0 - score, "{:?}", verdict);
            for reason in &verdict.reasons {
                prop_assert!(reason.cost <= reason.weight + 1.0 / f64::from(WHOLE), "{:?}", reason);
                prop_assert!(reason.figure.is_finite() && !reason.text.is_empty());
                // A figure at its limit ends `Healthy`, if its weight is large enough.
                let limited = reason.limit > 0.0 && reason.figure >= reason.limit;
                if limited && reason.weight >= 1.0 - settings.thresholds.healthy {
                    prop_assert!(verdict.status > Status::Healthy, "{:?}", verdict);
                }
            }
            if verdict.reasons.is_empty() {
                prop_assert!(verdict.status <= Status::Healthy);
            }
        }

        #[test]
        fn more_failures_never_score_better(failed in 0_u64..200, succeeded in 5_u64..200) {
            let settings = HealthSettings::default();
            let points = |failed| calls(failed, succeeded, MILLIS).judge(&settings).points;
            prop_assert!(points(failed + 1) <= points(failed));
        }
    }
}
