//! What people are told of checks: changes, and what was amiss.

use std::sync::Arc;

use crate::base::cut::cut;
use crate::health::texts::Texts;
use crate::health::{CheckOutcome, CheckReport};

/// Bytes that are kept of what was amiss: an error may quote a whole document, and probes send it along.
const MESSAGE: usize = 512;

/// Bytes that are searched for secrets: of a secret that is cut in two a part could stay.
pub(super) const SEARCHED: usize = MESSAGE + MESSAGE / 4;

const TARGET: &str = "campanile::health";

/// Tells people of a change; a check that goes on as it did says nothing.
pub(super) fn tell(before: CheckOutcome, report: &CheckReport) {
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
            tracing::info!(target: TARGET, component, check, outcome, "a check warns no more");
        }
        _ => {}
    }
}

/// What was amiss in one line, fit for strangers: probes and logs tell it.
pub(super) fn presentable(texts: &Texts, message: &str) -> Arc<str> {
    let read = cut(message, SEARCHED);
    let clean = texts.clean(read);
    let kept = cut(&clean, MESSAGE);
    let mut line: String =
        kept.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    if kept.len() < clean.len() || read.len() < message.len() {
        line.push('…');
    }
    line.into()
}
