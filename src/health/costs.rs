//! The costs of calls, circuits and dead letters.

use std::time::Duration;

use super::evidence::Evidence;
use super::ledger::Ledger;
use super::numbers::count;
use super::outlook::{Outlook, VitalSign};
use super::reason::ReasonKind;
use super::settings::HealthSettings;
use crate::signal::{LOOK_BACK, VitalReading};

/// Standard errors between a figure and its lower bound: chance alone exceeds the bound once in a hundred times.
const STANDARD_ERRORS: f64 = 2.326;

/// Chance may explain a row of failures if it brings more than this many such rows a minute: one a week.
const ROWS_BY_CHANCE: f64 = 1e-4;

/// The lower bound of the share of failures when `failures` of `calls` calls failed: the lower end of Wilson's interval
/// (Wilson, 1927). The bound is 1.4 % for one of ten calls, 8 % for a hundred of a thousand.
fn lower_bound(failures: u64, calls: u64) -> f64 {
    let (n, square) = (count(calls), STANDARD_ERRORS * STANDARD_ERRORS);
    if failures == 0 || calls == 0 {
        return 0.0;
    }
    let share = count(failures) / n;
    let middle = share + square / (2.0 * n);
    let apart = STANDARD_ERRORS * (share * (1.0 - share) / n + square / (4.0 * n * n)).sqrt();
    ((middle - apart) / (1.0 + square / n)).max(0.0)
}

/// Whether chance explains the current row of failures: how often would one as long occur among as many calls,
/// if each failed as often as the calls outside the row did?
fn row_is_chance(vital: &VitalReading) -> bool {
    let (recent, row) = (&vital.recent, vital.consecutive_failures);
    let (others, failed) = (recent.calls.saturating_sub(row), recent.failures.saturating_sub(row));
    if others == 0 {
        return false;
    }
    let rows = count(recent.calls) * (count(failed) / count(others)).powf(count(row));
    rows > ROWS_BY_CHANCE
}

impl Ledger {
    pub(super) fn enter_calls(
        &mut self,
        vital: &VitalReading,
        outlook: Option<&Outlook>,
        settings: &HealthSettings,
    ) {
        let weights = &settings.weights;
        let recent = &vital.recent;
        let minute = LOOK_BACK.as_secs();
        if recent.calls >= settings.minimum_calls {
            let (share, limit) = (lower_bound(recent.failures, recent.calls), settings.error_share);
            self.enter_figure(ReasonKind::ErrorShare, share, limit, weights.error_share, || {
                format!(
                    "{:.1} % of the calls of the last {minute} s failed ({} of {}, at least {:.1} % with 99 % confidence); \
                     the limit is {:.1} %",
                    recent.failure_rate() * 100.0,
                    recent.failures,
                    recent.calls,
                    share * 100.0,
                    limit * 100.0
                )
            });
            let (mean, limit) = (vital.recent_mean, settings.mean_duration);
            let least = (mean.as_secs_f64() - STANDARD_ERRORS * vital.recent_mean_error).max(0.0);
            self.enter_figure(ReasonKind::MeanDuration, least, limit.as_secs_f64(), weights.mean_duration, || {
                let least = Duration::try_from_secs_f64(least).unwrap_or(mean);
                format!(
                    "the calls of the last {minute} s took {mean:.1?} on average (at least {least:.1?} with 99 % confidence); \
                     the limit is {limit:?}"
                )
            });
            if let Some(outlook) = outlook {
                self.enter_slower_than_usual(outlook, settings);
            }
        }
        // A row of failures counts only while calls come. It can make the process not ready; then no call comes that could
        // end the row.
        if recent.calls > 0 && !row_is_chance(vital) {
            let (failures, limit) = (vital.consecutive_failures, settings.consecutive_failures);
            let (figure, most) = (count(failures), count(limit));
            self.enter_figure(
                ReasonKind::ConsecutiveFailures,
                figure,
                most,
                weights.consecutive_failures,
                || format!("the last {failures} calls failed; the limit is {limit}"),
            );
        }
    }

    /// Enters a mean duration above what is usual for the component, which may be far below the limit in the settings.
    fn enter_slower_than_usual(&mut self, outlook: &Outlook, settings: &HealthSettings) {
        if outlook.learning.is_some() {
            return;
        }
        let found = outlook.anomalies.iter().find(|anomaly| anomaly.sign == VitalSign::MeanDuration);
        let Some(anomaly) = found else { return };
        let trivial = anomaly.value <= settings.slow_from.as_secs_f64();
        if trivial || anomaly.value <= anomaly.usual || anomaly.z <= 0.0 {
            return;
        }
        let most = settings.slower_than_usual;
        let limit = anomaly.usual + most * (anomaly.value - anomaly.usual) / anomaly.z;
        let ratio = anomaly.z / most;
        let weight = settings.weights.slower_than_usual;
        self.enter_ratio(ReasonKind::SlowerThanUsual, anomaly.value, limit, ratio, weight, || {
            let seconds = |seconds| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
            format!(
                "calls take {:.1?} on average, usually {:.1?}; the limit is {:.1?}",
                seconds(anomaly.value),
                seconds(anomaly.usual),
                seconds(limit)
            )
        });
    }

    pub(super) fn enter_circuits(&mut self, evidence: &Evidence, settings: &HealthSettings) {
        let weights = &settings.weights;
        let states = [
            (
                ReasonKind::CircuitForcedOpen,
                evidence.forced_open,
                weights.circuit_open,
                "an operator forced the circuit open",
            ),
            (
                ReasonKind::CircuitOpen,
                evidence.open,
                weights.circuit_open,
                "the circuit is open: calls are refused",
            ),
            (
                ReasonKind::CircuitHalfOpen,
                evidence.half_open,
                weights.circuit_half_open,
                "the circuit is half-open: a few calls are admitted as probes",
            ),
        ];
        // Circuits of the same name belong to one component: the worst one counts.
        if let Some((kind, number, weight, text)) = states.into_iter().find(|(_, number, ..)| *number > 0) {
            self.enter_cost(kind, f64::from(number), 0.0, weight, weight, text.to_owned());
        }
        let (broken, all) = (evidence.broken, evidence.keyed);
        if broken > 0 {
            // One open circuit among many keys costs only its share.
            let weight = weights.circuit_open;
            let cost = weight * count(broken) / count(all.max(broken));
            let text = format!(
                "{broken} of {all} circuits are open, or would be without the limit on open circuits"
            );
            self.enter_cost(ReasonKind::CircuitsOpen, count(broken), 0.0, weight, cost, text);
        }
    }

    pub(super) fn enter_letters(&mut self, waiting: u64, oldest: Duration, settings: &HealthSettings) {
        let weights = &settings.weights;
        let limit = settings.letters;
        self.enter_figure(ReasonKind::Letters, count(waiting), count(limit), weights.letters, || {
            format!("{waiting} dead letters are waiting; the limit is {limit}")
        });
        if waiting > 0 {
            let limit = settings.oldest_letter;
            let (figure, most) = (oldest.as_secs_f64(), limit.as_secs_f64());
            self.enter_figure(ReasonKind::OldestLetter, figure, most, weights.oldest_letter, || {
                let oldest = Duration::from_secs(oldest.as_secs());
                format!(
                    "the oldest dead letter has waited for {}; the limit is {}",
                    humantime::format_duration(oldest),
                    humantime::format_duration(limit)
                )
            });
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::health::outlook::Anomaly;
    use crate::health::points::score;
    use crate::health::score::tests::calls;
    use crate::health::{Reason, Status};
    use proptest::prelude::*;
    use std::sync::Arc;

    fn slow(learning: Option<f64>, value: f64, usual: f64, z: f64) -> Arc<Outlook> {
        let anomaly = Anomaly { sign: VitalSign::MeanDuration, value, usual, z, shifted: false };
        Arc::new(Outlook {
            learning,
            risk: 0.0,
            reasons: Vec::new(),
            anomalies: vec![anomaly],
            forecasts: Vec::new(),
        })
    }

    prop_compose! {
        pub(in crate::health) fn outlook()(
            learning in prop::option::of(0.0_f64..1.0),
            value in 0.0_f64..1e6,
            usual in 0.0_f64..1e6,
            z in -100.0_f64..100.0,
        ) -> Arc<Outlook> {
            slow(learning, value, usual, z)
        }
    }

    #[test]
    fn p50_slower_than_usual_costs_at_its_limit_and_never_up_to_slow_from() {
        let judged = |outlook: Arc<Outlook>, number| {
            let mut evidence = calls(0, number, Duration::from_millis(200));
            evidence.outlook = Some(outlook);
            let verdict = evidence.judge(&HealthSettings::default());
            (verdict.status, score(verdict.points), verdict.reasons)
        };
        // The usual mean is 100 ms with a deviation of 10 ms.
        let at = |z: f64| judged(slow(None, 0.1 + z * 0.01, 0.1, z), 10);
        assert_eq!(at(3.0), (Status::Healthy, 1.0, vec![]), "half the limit is free");
        let (status, _, reasons) = at(5.9);
        assert_eq!((status, reasons[0].kind), (Status::Healthy, ReasonKind::SlowerThanUsual));
        let (status, left, reasons) = at(10.0);
        let [Reason { kind: ReasonKind::SlowerThanUsual, figure, limit, text, .. }] = reasons.as_slice()
        else {
            panic!("{reasons:?}")
        };
        assert_eq!((status, left, *figure), (Status::Degraded, 0.75, 0.2));
        assert!((limit - 0.16).abs() < 1e-9, "{limit}");
        assert_eq!(text, "calls take 200.0ms on average, usually 100.0ms; the limit is 160.0ms");

        for (nothing, why) in [
            (judged(slow(Some(0.9), 0.2, 0.1, 10.0), 10), "still learning"),
            (judged(slow(None, 0.01, 0.001, 50.0), 10), "10 ms is never slow"),
            (judged(slow(None, 0.05, 0.1, -10.0), 10), "faster than usual costs nothing"),
        ] {
            assert_eq!(nothing, (Status::Healthy, 1.0, vec![]), "{why}");
        }
        assert_eq!(judged(slow(None, 0.2, 0.1, 10.0), 4).0, Status::Unknown, "four calls are too few");
    }
}
