//! Holds a failing verdict for a while after the failed calls are older than a minute.
//!
//! Only the calls of the last minute are judged. A component that is called seldom would fail for a minute with each
//! failed call, and recover as soon as that call is too old. So a component that relapses, that is, fails because of its
//! calls again within ten minutes, keeps its verdict for one minute per relapse, five at most. New calls that refute the
//! verdict end it at once. Without new calls it must end by itself: a process that is not ready gets none.

use std::time::Duration;

use super::reason::ReasonKind;
use super::score::Verdict;
use super::settings::HealthSettings;
use crate::base::clock::Tick;
use crate::signal::VitalReading;

/// How long a verdict is held for each relapse.
const PER_RELAPSE: Duration = Duration::from_secs(60);

/// The number of relapses that count.
const MAX_RELAPSES: u32 = 5;

/// A failure later than this after the last one is not a relapse.
const RELAPSE_WITHIN: Duration = Duration::from_secs(600);

/// The held verdict of one component.
#[derive(Debug, Default)]
pub(super) struct Hold {
    /// The last failing verdict that calls caused, and when they last did.
    last: Option<(Tick, Verdict)>,
    /// Whether the verdict is still held.
    active: bool,
    relapses: u32,
}

impl Hold {
    /// Returns the verdict that counts: `fresh` or the held one.
    pub(super) fn apply(
        &mut self,
        now: Tick,
        fresh: Verdict,
        vital: Option<&VitalReading>,
        settings: &HealthSettings,
    ) -> Verdict {
        if fresh.status.is_failing() && fresh.reasons.iter().any(|reason| is_about_calls(reason.kind)) {
            self.relapses = match &self.last {
                Some((at, _)) if now.since(*at) >= RELAPSE_WITHIN => 0,
                Some(_) if !self.active => (self.relapses + 1).min(MAX_RELAPSES),
                _ => self.relapses,
            };
            self.active = true;
            self.last = Some((now, fresh.clone()));
            return fresh;
        }
        let Some((at, held)) = &self.last else { return fresh };
        let since = now.since(*at);
        self.active &= since < PER_RELAPSE * self.relapses && !is_refuted(held, vital, settings);
        if self.active && held.status > fresh.status {
            return with_note(held);
        }
        if since >= RELAPSE_WITHIN {
            *self = Self::default();
        }
        fresh
    }
}

/// Whether newer calls refute the verdict.
fn is_refuted(held: &Verdict, vital: Option<&VitalReading>, settings: &HealthSettings) -> bool {
    let (calls, row) = vital.map_or((0, 0), |vital| (vital.recent.calls, vital.consecutive_failures));
    // A success refutes a row of failures. A share or a mean needs as many calls as it is judged by.
    let needs_calls = held
        .reasons
        .iter()
        .any(|reason| is_about_calls(reason.kind) && reason.kind != ReasonKind::ConsecutiveFailures);
    calls >= settings.minimum_calls || (!needs_calls && row == 0)
}

fn is_about_calls(kind: ReasonKind) -> bool {
    matches!(
        kind,
        ReasonKind::ErrorShare
            | ReasonKind::ConsecutiveFailures
            | ReasonKind::MeanDuration
            | ReasonKind::SlowerThanUsual
    )
}

fn with_note(held: &Verdict) -> Verdict {
    let mut verdict = held.clone();
    for reason in verdict.reasons.iter_mut().filter(|reason| is_about_calls(reason.kind)) {
        reason.text.push_str(" (held: too few calls since then)");
    }
    verdict
}
