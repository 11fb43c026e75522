//! Reasons from checks that fail or warn.

use std::sync::Arc;

use super::check_report::{CheckOutcome, CheckReport};
use super::numbers::count;
use super::reason::{Reason, ReasonKind};
use super::settings::Weights;

/// Whether any check has a result.
pub(super) fn has_result(checks: &[Arc<CheckReport>]) -> bool {
    checks.iter().any(|check| check.outcome != CheckOutcome::Pending)
}

/// One reason for each check that fails or warns, the largest weight first.
pub(super) fn reasons(checks: &[Arc<CheckReport>], weights: &Weights) -> Vec<Reason> {
    let mut found: Vec<Reason> = checks
        .iter()
        .filter_map(|check| match check.outcome {
            CheckOutcome::Pending | CheckOutcome::Pass => None,
            CheckOutcome::Warn => Some((ReasonKind::CheckWarning, 1.0, weights.check_warning, check)),
            CheckOutcome::Fail | CheckOutcome::TimedOut | CheckOutcome::Panicked => {
                Some((ReasonKind::CheckFailed, count(check.failures_in_a_row), weights.check_failed, check))
            }
        })
        .filter(|(_, _, weight, _)| *weight > 0.0)
        .map(|(kind, figure, weight, check)| Reason {
            kind,
            figure,
            limit: 0.0,
            weight,
            cost: 0.0,
            text: text(check),
        })
        .collect();
    found.sort_by(|a, b| b.weight.total_cmp(&a.weight));
    found
}

fn text(check: &CheckReport) -> String {
    let mut text = match &*check.check {
        name if name == &*check.component => "the check".to_owned(),
        name => format!("the check `{name}`"),
    };
    let times = check.failures_in_a_row;
    text += match check.outcome {
        CheckOutcome::Warn => " warns",
        CheckOutcome::TimedOut => " timed out",
        CheckOutcome::Panicked => " panicked",
        _ => " failed",
    };
    if check.outcome == CheckOutcome::TimedOut && check.message.is_none() {
        text = format!("{text} after {:?}", check.timeout);
    }
    if check.outcome.is_failure() && times > 1 {
        text = format!("{text}, {times} times in a row");
    }
    match &check.message {
        // The message is that of the last run, whose result may not count yet.
        Some(message) if check.last.is_failure() == check.outcome.is_failure() => {
            format!("{text}: {message}")
        }
        _ => text,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::health::evidence::Evidence;
    use crate::health::points::score;
    use crate::health::{HealthSettings, Status};
    use proptest::prelude::*;
    use std::time::Duration;

    pub(in crate::health) fn report(
        name: &str,
        outcome: CheckOutcome,
        failures: u64,
        message: Option<&str>,
    ) -> Arc<CheckReport> {
        Arc::new(CheckReport {
            component: "db".into(),
            check: name.into(),
            outcome,
            last: outcome,
            message: message.map(Into::into),
            took: Duration::from_millis(1),
            at: None,
            runs: failures,
            failures,
            failures_in_a_row: failures,
            passed_once: false,
            timeout: Duration::from_secs(5),
        })
    }

    prop_compose! {
        pub(in crate::health) fn some_report()(
            outcome in prop::sample::select(&[
                CheckOutcome::Pending,
                CheckOutcome::Pass,
                CheckOutcome::Warn,
                CheckOutcome::Fail,
                CheckOutcome::TimedOut,
                CheckOutcome::Panicked,
            ][..]),
            failures in 1_u64..1_000,
        ) -> Arc<CheckReport> {
            report("any", outcome, failures, None)
        }
    }

    #[test]
    fn p50_a_failing_check_is_a_reason_and_several_cost_as_much_as_one() {
        use CheckOutcome::{Fail, Pass, Pending, TimedOut, Warn};
        let judged = |checks: &[Arc<CheckReport>]| {
            let evidence = Evidence { checks: checks.to_vec(), ..Evidence::default() };
            let verdict = evidence.judge(&HealthSettings::default());
            let kinds: Vec<_> = verdict.reasons.iter().map(|reason| reason.kind).collect();
            (verdict.status, score(verdict.points), kinds)
        };
        let of = |outcome| report("ping", outcome, 1, None);
        assert_eq!(judged(&[of(Pending)]), (Status::Unknown, 1.0, vec![]));
        assert_eq!(judged(&[of(Pending), of(Pass)]), (Status::Healthy, 1.0, vec![]));
        assert_eq!(judged(&[of(Warn)]), (Status::Degraded, 0.75, vec![ReasonKind::CheckWarning]));
        assert_eq!(judged(&[of(Fail), of(Pass)]), (Status::Unhealthy, 0.25, vec![ReasonKind::CheckFailed]));
        assert_eq!(
            judged(&[of(Warn), of(TimedOut), of(Fail)]),
            (
                Status::Unhealthy,
                0.25,
                vec![ReasonKind::CheckFailed, ReasonKind::CheckFailed, ReasonKind::CheckWarning]
            )
        );
    }

    #[test]
    fn p50_a_reason_names_the_check_the_failure_and_the_failures_in_a_row() {
        use CheckOutcome::{Fail, Panicked, TimedOut, Warn};
        for (check, expected) in [
            (report("db", Fail, 1, Some("no route")), "the check failed: no route"),
            (
                report("pool", Fail, 3, Some("no route")),
                "the check `pool` failed, 3 times in a row: no route",
            ),
            (report("pool", TimedOut, 1, None), "the check `pool` timed out after 5s"),
            (
                report("pool", TimedOut, 2, Some("no answer within 5s")),
                "the check `pool` timed out, 2 times in a row: no answer within 5s",
            ),
            (
                report("db", Panicked, 1, Some("index out of bounds")),
                "the check panicked: index out of bounds",
            ),
            (report("pool", Warn, 0, Some("9 of 10 in use")), "the check `pool` warns: 9 of 10 in use"),
        ] {
            assert_eq!(text(&check), expected);
        }
    }
}
