//! A failing verdict that its calls leave behind.
//!
//! The calls of the last minute are soon gone. Where calls come seldom, each that fails would make a component fail for
//! a minute, and the emptiness after it would make it well. So a component that failed because of its calls, and came
//! back to that within ten minutes, stays failing for a while after they have left the minute: a minute for each time
//! that it came back, five at most. It stays no longer than that without new calls, since a process that is not ready
//! gets none: nothing else could end it. Calls that say otherwise end it at once.

use std::time::Duration;

use super::reason::ReasonKind;
use super::score::Verdict;
use super::settings::HealthSettings;
use crate::base::clock::Tick;
use crate::signal::VitalReading;

/// How much longer it stays with each time that it came back.
const STEP: Duration = Duration::from_secs(60);

/// It stays no longer than this many steps.
const MOST: u32 = 5;

/// A component that has not failed for so long has not come back to that.
const WELL: Duration = Duration::from_secs(600);

/// What is kept of one component.
#[derive(Debug, Default)]
pub(super) struct Hold {
    /// The last verdict of failing that calls brought, and when they still did.
    last: Option<(Tick, Verdict)>,
    /// Whether the component has failed since then.
    stands: bool,
    /// How often it came back.
    relapses: u32,
}

impl Hold {
    /// The verdict that counts when `fresh` was found.
    pub(super) fn apply(
        &mut self,
        now: Tick,
        fresh: Verdict,
        vital: Option<&VitalReading>,
        settings: &HealthSettings,
    ) -> Verdict {
        if fresh.status.is_failing() && fresh.reasons.iter().any(|reason| is_of_calls(reason.kind)) {
            self.relapses = match &self.last {
                Some((at, _)) if now.since(*at) >= WELL => 0,
                Some(_) if !self.stands => (self.relapses + 1).min(MOST),
                _ => self.relapses,
            };
            self.stands = true;
            self.last = Some((now, fresh.clone()));
            return fresh;
        }
        let Some((at, held)) = &self.last else { return fresh };
        let since = now.since(*at);
        self.stands &= since < STEP * self.relapses && is_unrefuted(held, vital, settings);
        if self.stands && held.status > fresh.status {
            return outlived(held);
        }
        if since >= WELL {
            *self = Self::default();
        }
        fresh
    }
}

/// Whether there are too few calls to say anything else.
fn is_unrefuted(held: &Verdict, vital: Option<&VitalReading>, settings: &HealthSettings) -> bool {
    let (calls, row) = vital.map_or((0, 0), |vital| (vital.recent.calls, vital.consecutive_failures));
    // A success ends a row of failures. A share is not refuted by fewer calls than it is judged by.
    let by_share = held
        .reasons
        .iter()
        .any(|reason| is_of_calls(reason.kind) && reason.kind != ReasonKind::ConsecutiveFailures);
    calls < settings.minimum_calls && (by_share || row > 0)
}

fn is_of_calls(kind: ReasonKind) -> bool {
    matches!(
        kind,
        ReasonKind::ErrorShare
            | ReasonKind::ConsecutiveFailures
            | ReasonKind::MeanDuration
            | ReasonKind::SlowerThanUsual
    )
}

fn outlived(held: &Verdict) -> Verdict {
    let mut verdict = held.clone();
    for reason in verdict.reasons.iter_mut().filter(|reason| is_of_calls(reason.kind)) {
        reason.text.push_str(" (too few calls since to say otherwise)");
    }
    verdict
}
