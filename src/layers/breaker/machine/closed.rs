//! How the end of a call counts, and when a closed circuit opens.

use super::atomics::Atomics;
use super::completed::CompletedCall;
use super::core::Core;
use super::word::NO_WORD;
use crate::base::clock::{Tick, nanos};
use crate::base::outcome::Outcome;
use crate::base::sync::raced::atomic::Ordering;
use crate::base::window::{Counts, Sample};
use crate::layers::breaker::snapshot::CircuitState;
use crate::layers::breaker::transition::Cause;

impl Core {
    #[inline]
    pub(super) fn count(&mut self, outcome: Outcome, slow: bool) {
        match outcome {
            Outcome::Success => self.totals.successes += 1,
            Outcome::Ignored => self.totals.ignored += 1,
            Outcome::Failure(kind) | Outcome::Permanent(kind) => self.totals.failures[kind.index()] += 1,
        }
        // Ignored calls are not slow, because a stream may live for hours.
        self.totals.slow += u64::from(slow && outcome != Outcome::Ignored);
    }

    /// Counts a call of this epoch. Returns whether it released a permit of a circuit that is still half-open.
    pub(super) fn settle(&mut self, atomics: &Atomics, ended: CompletedCall, now: impl Fn() -> Tick) -> bool {
        match self.state {
            CircuitState::Closed | CircuitState::MetricsOnly => self.settle_closed(atomics, ended, now),
            CircuitState::HalfOpen => return self.settle_probe(atomics, ended, now()),
            CircuitState::Open | CircuitState::ForcedOpen | CircuitState::Disabled => {}
        }
        false
    }

    #[inline]
    fn settle_closed(&mut self, atomics: &Atomics, ended: CompletedCall, now: impl Fn() -> Tick) {
        let Some(failed) = ended.failed_closed() else { return };
        self.consecutive_failures = if failed { self.consecutive_failures + 1 } else { 0 };
        let at = if self.window.is_timed() { now() } else { Tick::default() };
        let counts = self.window.record(at, Sample { failed, slow: ended.slow });
        // With a learner, every call takes the lock.
        let spotless =
            if self.window.is_spotless() && self.learner.is_none() { self.word() } else { NO_WORD };
        atomics.spotless.store(spotless, Ordering::Release);
        let verdict = if counts.failures > 0 || counts.slow > 0 { self.verdict(&counts) } else { None };
        // A success never opens the circuit, whatever the window holds.
        let opens = verdict.is_some() && (failed || ended.slow);
        let would_open = self.would_open;
        self.would_open = opens || would_open && verdict.is_some();
        self.learn(atomics, ended, failed, verdict.is_some(), &now);
        if self.state == CircuitState::MetricsOnly {
            // Counted once for each period in which it would be open.
            self.totals.would_open += u64::from(opens && !would_open);
        } else if let Some(cause) = verdict.filter(|_| opens) {
            if self.slot.take() {
                if matches!(cause, Cause::SlowCallRate(_)) {
                    self.raise_slow_limit(atomics, now());
                }
                self.open(atomics, cause, now());
            } else {
                self.totals.kept_closed += 1;
            }
        }
    }

    /// Passes a call to the learner. During an outage, the learner discards its current turn.
    #[inline]
    fn learn(
        &mut self,
        atomics: &Atomics,
        ended: CompletedCall,
        failed: bool,
        outage: bool,
        now: impl Fn() -> Tick,
    ) {
        let Some(learner) = &mut self.learner else { return };
        learner.observe(failed);
        if outage {
            learner.discard(now());
        } else if failed {
            learner.count_failure();
        } else if let Some(elapsed) = ended.elapsed
            && let Some(limit) = learner.learn(nanos(elapsed), self.settings.failure_rate, now)
        {
            atomics.slow_limit.store(limit, Ordering::Relaxed);
        }
    }

    /// The reason why the next failed or slow call opens a closed circuit; `None` if the counts are below the limits.
    fn verdict(&self, counts: &Counts) -> Option<Cause> {
        let settings = &self.settings;
        let in_a_row = self.consecutive_failures;
        if settings.consecutive_failures.is_some_and(|limit| in_a_row >= u64::from(limit)) {
            return Some(Cause::ConsecutiveFailures(in_a_row));
        }
        if counts.calls < u64::from(settings.minimum_calls) {
            return None;
        }
        if counts.failure_rate() >= settings.failure_rate {
            return Some(Cause::FailureRate(counts.failure_rate()));
        }
        let slow = settings.slow_call?;
        (counts.slow_rate() >= slow.rate).then(|| Cause::SlowCallRate(counts.slow_rate()))
    }
}
