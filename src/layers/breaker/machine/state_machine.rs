//! The state machine of a circuit: the decisions without the lock, and the way into the locked part.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::atomics::Atomics;
use super::completed::CompletedCall;
use super::core::Core;
use super::observer::Observer;
use super::word::{Admission, Refusal};
use crate::base::clock::Tick;
use crate::base::error::RejectReason;
use crate::base::outcome::Outcome;
use crate::base::sync::raced::atomic::Ordering;
use crate::base::sync::raced::{Mutex, MutexGuard};
use crate::layers::breaker::counters::Counters;
use crate::layers::breaker::ejections::EjectionSlot;
use crate::layers::breaker::settings::BreakerSettings;
use crate::layers::breaker::snapshot::{CircuitState, Totals};

/// The state of a circuit.
#[derive(Debug)]
pub(in crate::layers::breaker) struct Machine {
    pub(super) atomics: Atomics,
    pub(super) core: Mutex<Core>,
}

impl Machine {
    pub(in crate::layers::breaker) fn new(
        settings: Arc<BreakerSettings>,
        slot: EjectionSlot,
        has_health_probe: bool,
        now: Tick,
    ) -> Self {
        let core = Core::new(settings, slot, has_health_probe, now);
        Self { atomics: Atomics::new(core.word(), core.settings()), core: Mutex::new(core) }
    }

    #[inline]
    pub(in crate::layers::breaker) fn state(&self) -> CircuitState {
        self.atomics.state()
    }

    /// Admits a call without the lock, if possible.
    #[inline]
    pub(in crate::layers::breaker) fn pass(&self) -> Option<Admission> {
        self.atomics.pass()
    }

    /// Whether `admission` is of the current epoch.
    #[inline]
    pub(in crate::layers::breaker) fn is_current(&self, admission: Admission) -> bool {
        self.atomics.is_current(admission)
    }

    /// Admits a call, or returns why not. An admitted probe must end with [`Machine::settle`] or [`Machine::release`]; a
    /// refused call is counted by [`Machine::count_refusal`].
    pub(in crate::layers::breaker) fn admit(
        &self,
        now: Tick,
        observer: &impl Observer,
    ) -> Result<Admission, Refusal> {
        if let Some(admission) = self.pass() {
            return Ok(admission);
        }
        if let Some(refusal) = self.refuse(|| now) {
            return Err(refusal);
        }
        let mut core = self.core.lock();
        let admitted = core.admit(&self.atomics, now);
        self.unlock_and_report(core, observer);
        admitted
    }

    /// Refuses a call without the lock if the circuit is open.
    #[inline]
    pub(in crate::layers::breaker) fn refuse(&self, now: impl FnOnce() -> Tick) -> Option<Refusal> {
        self.atomics.refuse(now)
    }

    /// Counts a refused call. `poll_ready` is not a call and may come several times before one.
    #[inline]
    pub(in crate::layers::breaker) fn count_refusal(&self, reason: RejectReason) {
        self.atomics.count_refusal(reason);
    }

    /// Starts the call of `admission`, unless the epoch has ended.
    #[inline]
    pub(in crate::layers::breaker) fn start(&self, admission: Admission, now: impl FnOnce() -> Tick) -> bool {
        if admission.is_probe() { self.start_probe(admission, now()) } else { self.is_current(admission) }
    }

    #[cold]
    fn start_probe(&self, admission: Admission, now: Tick) -> bool {
        let mut core = self.core.lock();
        core.word() == admission.0 && {
            core.start_probe(now);
            true
        }
    }

    /// Releases an unused permit.
    pub(in crate::layers::breaker) fn release(&self, admission: Admission, observer: &impl Observer) {
        if !admission.is_probe() {
            return;
        }
        let mut core = self.core.lock();
        let is_current = core.word() == admission.0;
        if is_current {
            core.release();
        }
        drop(core);
        if is_current {
            observer.freed();
        }
    }

    /// Counts a call without the lock, if it is an untimed success that changes nothing.
    #[inline]
    pub(in crate::layers::breaker) fn settle_spotless(&self, admission: Admission) -> bool {
        self.atomics.settle_spotless(admission)
    }

    /// Counts the end of the call of `admission`; `elapsed` is its duration, if measured. `now` is called only if the time
    /// matters.
    pub(in crate::layers::breaker) fn settle(
        &self,
        admission: Admission,
        outcome: Outcome,
        elapsed: Option<Duration>,
        now: impl Fn() -> Tick,
        observer: &impl Observer,
    ) {
        let slow = elapsed.is_some_and(|elapsed| self.atomics.is_slow(elapsed));
        if outcome == Outcome::Success && !slow && self.settle_spotless(admission) {
            return;
        }
        let mut core = self.core.lock();
        core.count(outcome, slow);
        let mut freed = false;
        if core.word() == admission.0 {
            freed = core.settle(&self.atomics, CompletedCall { outcome, slow, elapsed }, now);
        }
        self.unlock_and_report(core, observer);
        if freed {
            observer.freed();
        }
    }

    /// Sets the state to `to`, for an operator.
    pub(in crate::layers::breaker) fn force(&self, to: CircuitState, now: Tick, observer: &impl Observer) {
        let mut core = self.core.lock();
        core.force(&self.atomics, to, now);
        self.unlock_and_report(core, observer);
    }

    /// Resets everything except the totals.
    pub(in crate::layers::breaker) fn reset(&self, now: Tick, observer: &impl Observer) {
        let mut core = self.core.lock();
        core.reset(&self.atomics, now);
        self.unlock_and_report(core, observer);
    }

    /// Replaces the settings, which were validated. The state stays.
    pub(in crate::layers::breaker) fn reconfigure(
        &self,
        settings: Arc<BreakerSettings>,
        now: Tick,
        observer: &impl Observer,
    ) {
        let mut core = self.core.lock();
        core.reconfigure(&self.atomics, settings, now);
        self.unlock_and_report(core, observer);
        observer.freed();
    }

    /// Adds a caller to the queue of a half-open circuit, if there is room.
    pub(in crate::layers::breaker) fn join_queue(&self) -> Option<Duration> {
        self.core.lock().join_queue()
    }

    pub(in crate::layers::breaker) fn leave_queue(&self) {
        self.core.lock().leave_queue();
    }

    /// When the open circuit of `epoch` needs its health probe; `None` if the epoch has ended.
    pub(in crate::layers::breaker) fn health_probe_at(&self, epoch: u64) -> Option<Tick> {
        let core = self.core.lock();
        core.is_open_in(epoch).then(|| self.atomics.retry_at())
    }

    /// Takes the result of the health probe of `epoch`. Returns whether it must run again.
    pub(in crate::layers::breaker) fn health_probed(
        &self,
        epoch: u64,
        healthy: bool,
        now: Tick,
        observer: &impl Observer,
    ) -> bool {
        let mut core = self.core.lock();
        let is_open = core.is_open_in(epoch);
        if is_open {
            core.health_probed(&self.atomics, healthy, now);
        }
        self.unlock_and_report(core, observer);
        is_open && !healthy
    }

    /// The health probe of `epoch` cannot run. Callers probe instead.
    pub(in crate::layers::breaker) fn let_callers_probe(&self, epoch: u64) {
        let core = self.core.lock();
        if core.is_open_in(epoch) {
            self.atomics.open_until.store(self.atomics.retry_at().0, Ordering::Release);
        }
    }

    /// Calls `read` with the locked state. The totals include the calls that were counted without the lock.
    pub(in crate::layers::breaker) fn read<R>(&self, read: impl FnOnce(&mut Core, Totals) -> R) -> R {
        let mut core = self.core.lock();
        let mut totals = core.totals();
        totals.successes += self.atomics.spotless_successes.load(Ordering::Relaxed);
        totals.rejected = self.atomics.rejected.iter().map(|count| count.load(Ordering::Relaxed)).sum();
        read(&mut core, totals)
    }

    /// Returns all counts of one moment; `read` reads the rest.
    pub(in crate::layers::breaker) fn counters<R>(&self, read: impl FnOnce(&Core) -> R) -> (Counters, R) {
        self.read(|core, totals| {
            let refused = self.atomics.rejected.each_ref().map(|count| count.load(Ordering::Relaxed));
            (Counters { totals, entered: core.entered(), refused }, read(core))
        })
    }

    /// Removes the circuit from its group, which takes over its counts.
    pub(in crate::layers::breaker) fn retire(&self) -> Counters {
        let (mut totals, entered) = self.core.lock().retire();
        totals.successes += self.atomics.spotless_successes.swap(0, Ordering::Relaxed);
        let refused = self.atomics.rejected.each_ref().map(|count| count.swap(0, Ordering::Relaxed));
        totals.rejected = refused.iter().sum();
        Counters { totals, entered, refused }
    }

    /// The time without a call since the end of an open circuit's wait, or of a half-open circuit.
    pub(in crate::layers::breaker) fn idle_for(&self, now: Tick) -> Duration {
        let core = self.core.lock();
        let since = core.last_probe_at().unwrap_or(self.atomics.retry_at());
        now.since(since)
    }

    /// The time until the next probe of an open circuit.
    pub(in crate::layers::breaker) fn next_probe_in(&self, now: Tick) -> Duration {
        self.atomics.retry_at().since(now)
    }

    /// The limit beyond which a call is slow, if there is one.
    pub(in crate::layers::breaker) fn slow_limit(&self) -> Option<Duration> {
        self.atomics.slow_limit()
    }

    /// Releases the lock and reports the changes made under it. One thread reports at a time, so the order holds.
    #[inline]
    fn unlock_and_report<'a>(&'a self, core: MutexGuard<'a, Core>, observer: &impl Observer) {
        if core.must_report() {
            self.report(core, observer);
        }
    }

    #[cold]
    fn report<'a>(&'a self, mut core: MutexGuard<'a, Core>, observer: &impl Observer) {
        core.reporting = true;
        // A subscriber's waker may panic. The next change must still be reported.
        struct Done<'a>(&'a Mutex<Core>);
        impl Drop for Done<'_> {
            fn drop(&mut self) {
                self.0.lock().reporting = false;
            }
        }
        while let Some(change) = core.unreported.pop_front() {
            drop(core);
            let done = Done(&self.core);
            observer.changed(change);
            std::mem::forget(done);
            core = self.core.lock();
        }
        core.reporting = false;
        // Changes are rare and there may be many circuits, so no capacity is kept.
        core.unreported = VecDeque::new();
    }
}
