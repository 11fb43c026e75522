//! The counters of a circuit, and their metrics.

use super::snapshot::{CircuitState, Totals};
use crate::base::error::RejectReason;
use crate::base::outcome::FailureKind;
use crate::signal::{self, Emit};

/// Counters that only grow, of one circuit or summed over several.
#[derive(Clone, Debug, Default)]
pub(super) struct Counters {
    pub(super) totals: Totals,
    /// Changes of state, by new state.
    pub(super) entered: [u64; CircuitState::ALL.len()],
    /// Refused calls, by [`RejectReason`].
    pub(super) refused: [u64; 3],
}

impl Counters {
    pub(super) fn add(&mut self, other: &Self) {
        self.totals.add(&other.totals);
        add_each(&mut self.entered, &other.entered);
        add_each(&mut self.refused, &other.refused);
    }

    /// Emits the metrics of `breaker`.
    #[allow(clippy::cast_precision_loss)] // Counts of calls stay far below 2^52.
    pub(super) fn emit(&self, breaker: &str, emit: &mut Emit<'_>) {
        let Self { totals, entered, refused } = self;
        let name = ("breaker", breaker);
        for state in CircuitState::ALL {
            let times = entered[state as usize] as f64;
            emit(&signal::BREAKER_TRANSITIONS, times, &[name, ("state", state.as_str())]);
        }
        emit(&signal::BREAKER_CALLS, totals.successes as f64, &[name, ("outcome", "success")]);
        emit(&signal::BREAKER_CALLS, totals.ignored as f64, &[name, ("outcome", "ignored")]);
        for kind in FailureKind::ALL {
            let count = totals.failures[kind.index()] as f64;
            emit(&signal::BREAKER_CALLS, count, &[name, ("outcome", kind.as_str())]);
        }
        emit(&signal::BREAKER_SLOW_CALLS, totals.slow as f64, &[name]);
        emit(&signal::BREAKER_WOULD_OPEN, totals.would_open as f64, &[name]);
        for reason in [RejectReason::Open, RejectReason::ProbesTaken, RejectReason::ForcedOpen] {
            let count = refused[reason as usize] as f64;
            emit(&signal::BREAKER_REJECTIONS, count, &[name, ("reason", reason.as_str())]);
        }
    }
}

impl Totals {
    fn add(&mut self, other: &Self) {
        let Self { successes, ignored, failures, slow, rejected, would_open, kept_closed } = other;
        self.successes += successes;
        self.ignored += ignored;
        add_each(&mut self.failures, failures);
        self.slow += slow;
        self.rejected += rejected;
        self.would_open += would_open;
        self.kept_closed += kept_closed;
    }
}

fn add_each<const N: usize>(to: &mut [u64; N], what: &[u64; N]) {
    to.iter_mut().zip(what).for_each(|(to, what)| *to += what);
}
