//! Log lines of checks.

use crate::health::{CheckOutcome, CheckReport};

const TARGET: &str = "campanile::health";

/// Logs that the outcome of a check has changed. A check whose outcome does not change logs nothing.
pub(super) fn log_transition(before: CheckOutcome, report: &CheckReport) {
    let CheckReport { component, check, failures_in_a_row: failures, .. } = report;
    let (component, check, outcome) = (&**component, &**check, report.outcome.as_str());
    let why = report.message.as_deref().unwrap_or_default();
    match (before, report.outcome) {
        (before, now) if !before.is_failure() && now.is_failure() => {
            tracing::warn!(target: TARGET, component, check, outcome, failures, why, "a check fails");
        }
        (before, now) if before.is_failure() && !now.is_failure() => {
            tracing::info!(target: TARGET, component, check, outcome, why, "a check passes again");
        }
        (CheckOutcome::Pass | CheckOutcome::Pending, CheckOutcome::Warn) => {
            tracing::warn!(target: TARGET, component, check, outcome, why, "a check warns");
        }
        (CheckOutcome::Warn, CheckOutcome::Pass) => {
            tracing::info!(target: TARGET, component, check, outcome, "a check no longer warns");
        }
        _ => {}
    }
}
