//! What a circuit tells: people, the pipeline and health.

use std::sync::Arc;

use super::{Circuit, Core};
use crate::breaker::{BreakerSnapshot, CircuitState, Totals};
use crate::clock::{self, Tick};
use crate::error::RejectReason;
use crate::outcome::FailureKind;
use crate::signal::{self, BreakerSign, Emit, Sign, Source};
use crate::sync::atomic::Ordering;

impl Circuit {
    fn totals(&self, core: &Core) -> Totals {
        let mut totals = core.totals;
        totals.successes += self.spotless_successes.load(Ordering::Relaxed);
        totals.rejected = self.rejected.iter().map(|count| count.load(Ordering::Relaxed)).sum();
        totals
    }

    pub(crate) fn snapshot(&self) -> BreakerSnapshot {
        let now = clock::now();
        let mut core = self.core.lock();
        let counts = if core.state == CircuitState::HalfOpen { core.probes } else { core.window.counts(now) };
        let next_probe_in = (core.state == CircuitState::Open)
            .then(|| Tick(self.open_until.load(Ordering::Acquire)).since(now));
        BreakerSnapshot {
            name: Arc::clone(&self.name),
            state: core.state,
            in_state_for: now.since(core.since),
            next_probe_in,
            calls: counts.calls,
            failures: counts.failures,
            slow_calls: counts.slow,
            consecutive_failures: core.consecutive_failures,
            probes_in_flight: core.reserved,
            totals: self.totals(&core),
            transitions: core.entered.iter().sum(),
        }
    }
}

impl Source for Circuit {
    #[allow(clippy::cast_precision_loss)] // Counts of calls stay far below 2^52.
    fn observe(&self, emit: &mut Emit<'_>) {
        let (state, totals, entered) = {
            let core = self.core.lock();
            (core.state, self.totals(&core), core.entered)
        };
        let name = ("breaker", &*self.name);
        for each in CircuitState::ALL {
            let is_in = f64::from(u8::from(each == state));
            emit(&signal::BREAKER_STATE, is_in, &[name, ("state", each.as_str())]);
            emit(
                &signal::BREAKER_TRANSITIONS,
                entered[each as usize] as f64,
                &[name, ("state", each.as_str())],
            );
        }
        emit(&signal::BREAKER_CALLS, totals.successes as f64, &[name, ("outcome", "success")]);
        emit(&signal::BREAKER_CALLS, totals.ignored as f64, &[name, ("outcome", "ignored")]);
        for kind in FailureKind::ALL {
            let count = totals.failures[kind.index()] as f64;
            emit(&signal::BREAKER_CALLS, count, &[name, ("outcome", kind.as_str())]);
        }
        emit(&signal::BREAKER_SLOW_CALLS, totals.slow as f64, &[name]);
        for reason in [RejectReason::Open, RejectReason::ProbesTaken, RejectReason::ForcedOpen] {
            let count = self.rejected[reason as usize].load(Ordering::Relaxed) as f64;
            emit(&signal::BREAKER_REJECTIONS, count, &[name, ("reason", reason.as_str())]);
        }
    }

    fn signs(&self, emit: &mut dyn FnMut(&str, Sign)) {
        let sign = match self.state() {
            CircuitState::Closed | CircuitState::Disabled => BreakerSign::Closed,
            CircuitState::HalfOpen => BreakerSign::HalfOpen,
            CircuitState::Open => BreakerSign::Open,
            CircuitState::ForcedOpen => BreakerSign::ForcedOpen,
        };
        emit(&self.name, Sign::Breaker(sign));
    }
}
