//! A half-open circuit: which calls it admits as probes, and how their outcomes decide.

use std::time::Duration;

use super::atomics::Atomics;
use super::completed::CompletedCall;
use super::core::Core;
use super::word::{Admission, Refusal};
use crate::base::clock::Tick;
use crate::base::error::RejectReason;
use crate::base::sync::raced::atomic::Ordering;
use crate::base::window::{Counts, Sample};
use crate::layers::breaker::snapshot::CircuitState;
use crate::layers::breaker::transition::Cause;

impl Core {
    /// Admits a call, or returns why not. An open circuit whose wait has ended becomes half-open.
    pub(super) fn admit(&mut self, atomics: &Atomics, now: Tick) -> Result<Admission, Refusal> {
        match self.state {
            CircuitState::Open => {
                if now.0 < atomics.open_until.load(Ordering::Acquire) {
                    return Err(atomics.refuse_open(now));
                }
                self.enter(atomics, CircuitState::HalfOpen, Cause::WaitOver, now);
            }
            CircuitState::HalfOpen if self.is_full() => self.end_hanging_probes(atomics, now)?,
            CircuitState::HalfOpen => {}
            CircuitState::ForcedOpen => {
                return Err(Refusal { reason: RejectReason::ForcedOpen, retry_after: None });
            }
            CircuitState::Closed | CircuitState::Disabled | CircuitState::MetricsOnly => {
                return Ok(Admission(self.word()));
            }
        }
        // The circuit is half-open and has a free permit.
        self.reserved += 1;
        self.last_probe = self.last_probe.max(now);
        Ok(Admission(self.word()))
    }

    /// Whether running and ended probes together are enough to decide.
    fn is_full(&self) -> bool {
        u64::from(self.reserved) + self.probes.calls >= u64::from(self.settings.half_open.permits)
    }

    /// All permits are taken. After the maximum wait, probes that still run open the circuit; if none runs, the permits are
    /// released. The wait counts from the newest probe.
    fn end_hanging_probes(&mut self, atomics: &Atomics, now: Tick) -> Result<(), Refusal> {
        let left = self.settings.half_open.max_wait.saturating_sub(now.since(self.last_probe));
        if !left.is_zero() {
            return Err(Refusal { reason: RejectReason::ProbesTaken, retry_after: Some(left) });
        }
        if self.running == 0 {
            let (probes, since) = (self.probes, self.since);
            self.enter(atomics, CircuitState::HalfOpen, Cause::WaitOver, now);
            (self.probes, self.since) = (probes, since);
            return Ok(());
        }
        self.open(atomics, Cause::ProbesHung, now);
        Err(atomics.refuse_open(now))
    }

    pub(super) fn start_probe(&mut self, now: Tick) {
        self.running += 1;
        self.last_probe = self.last_probe.max(now);
    }

    pub(super) fn release(&mut self) {
        self.reserved -= 1;
    }

    /// Adds a caller to the queue, if there is room. Returns how long it may wait.
    pub(super) fn join_queue(&mut self) -> Option<Duration> {
        if self.queue >= self.settings.half_open_queue {
            return None;
        }
        self.queue += 1;
        Some(self.settings.half_open.max_wait)
    }

    pub(super) fn leave_queue(&mut self) {
        self.queue -= 1;
    }

    /// Counts the end of a probe. Returns whether its permit is free for another caller.
    pub(super) fn settle_probe(&mut self, atomics: &Atomics, ended: CompletedCall, now: Tick) -> bool {
        self.reserved -= 1;
        self.running -= 1;
        let Some(failed) = ended.failed_as_probe() else { return true };
        self.probes.add(Sample { failed, slow: ended.slow });
        self.consecutive_failures = if failed { self.consecutive_failures + 1 } else { 0 };
        let permits = u64::from(self.settings.half_open.permits);
        let share = |count: u64| Counts { calls: permits, failures: count, slow: 0 }.failure_rate();
        // Decided as soon as the remaining probes cannot change the result.
        let failing = share(self.probes.failures) >= self.settings.failure_rate;
        let slowing = self.settings.slow_call.is_some_and(|limit| share(self.probes.slow) >= limit.rate);
        if failing || slowing {
            if self.probes.failures == 0 {
                self.raise_slow_limit(atomics, now);
            }
            self.open(atomics, Cause::ProbesFailed, now);
        } else if self.probes.calls >= permits {
            self.reset_waits();
            self.enter(atomics, CircuitState::Closed, Cause::ProbesSucceeded, now);
        }
        false
    }
}
