//! What a circuit tells the pipeline and health.

use super::Circuit;
use crate::breaker::CircuitState;
use crate::error::RejectReason;
use crate::outcome::FailureKind;
use crate::signal::{self, BreakerSign, Emit, Sign, Source};
use crate::sync::atomic::Ordering;

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
