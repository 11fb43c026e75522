//! The state machine of a circuit: decisions without a lock while it is closed, and the way into the locked part.
//!
//! It knows no names, subscribers or clocks: time is an argument, and an [`Observer`] gets the changes. So `loom` can run its
//! races in every order.

mod core;
#[cfg(test)]
mod models;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

pub(super) use self::core::{Change, Core};
use super::ejections::Place;
use super::settings::BreakerSettings;
use super::snapshot::{CircuitState, Totals};
use super::tally::Tally;
use crate::base::clock::{Tick, nanos};
use crate::base::error::RejectReason;
use crate::base::outcome::{FailureKind, Outcome};
use crate::base::sync::raced::atomic::{AtomicU64, Ordering};
use crate::base::sync::raced::{Mutex, MutexGuard};

/// The bits of the word with the state.
const STATE: u64 = 0b111;
/// The bit of the word that tells that calls are timed. The rest is the epoch.
const TIMED: u64 = 0b1000;
const EPOCH_SHIFT: u32 = 4;

/// No word.
const SPOTTED: u64 = u64::MAX;

/// No limit: no call is slower than this.
const UNLIMITED: u64 = u64::MAX;

/// Gets the changes, outside the lock.
pub(super) trait Observer {
    /// The state changed. Called by one thread at a time, in order.
    fn changed(&self, change: Change);

    /// A caller that was refused may be admitted now.
    fn freed(&self);
}

/// The state of a circuit.
#[derive(Debug)]
pub(super) struct Machine {
    /// Epoch, timing and state in one, so that a closed circuit admits with a single load.
    word: AtomicU64,
    /// The word whose window is full of successes; otherwise [`SPOTTED`]. A success then changes only a total, and needs no
    /// lock.
    spotless: AtomicU64,
    /// The successes that were counted so.
    spotless_successes: AtomicU64,
    /// A call that takes more nanoseconds is slow.
    slow_limit: AtomicU64,
    /// When an open circuit admits a probe, in ticks; the maximum while a health probe decides.
    open_until: AtomicU64,
    /// The time of the retry that a refusal suggests, in ticks.
    retry_at: AtomicU64,
    rejected: [AtomicU64; 3],
    core: Mutex<Core>,
}

/// An admission: the word at that time, with its epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Admission(u64);

/// Why a call is not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) reason: RejectReason,
    pub(super) retry_after: Option<Duration>,
}

// ===== impl Admission =====

impl Admission {
    /// Whether the call is a probe of a half-open circuit.
    pub(super) fn is_probe(self) -> bool {
        self.0 & STATE == CircuitState::HalfOpen as u64
    }

    /// Whether the call is timed.
    #[inline]
    pub(super) fn is_timed(self) -> bool {
        self.0 & TIMED != 0
    }
}

// ===== impl Machine =====

impl Machine {
    pub(super) fn new(settings: Arc<BreakerSettings>, place: Place, asks_health: bool, now: Tick) -> Self {
        let core = Core::new(settings, place, asks_health, now);
        Self {
            word: AtomicU64::new(core.word()),
            spotless: AtomicU64::new(SPOTTED),
            spotless_successes: AtomicU64::new(0),
            slow_limit: AtomicU64::new(slow_limit(core.settings())),
            open_until: AtomicU64::new(0),
            retry_at: AtomicU64::new(0),
            rejected: std::array::from_fn(|_| AtomicU64::new(0)),
            core: Mutex::new(core),
        }
    }

    #[inline]
    pub(super) fn state(&self) -> CircuitState {
        CircuitState::from_code(self.word.load(Ordering::Acquire) & STATE)
    }

    /// Admits a call without the lock, if possible.
    #[inline]
    pub(super) fn pass(&self) -> Option<Admission> {
        let word = self.word.load(Ordering::Acquire);
        passes(word).then_some(Admission(word))
    }

    /// Whether `admission` is of the current epoch.
    #[inline]
    pub(super) fn is_current(&self, admission: Admission) -> bool {
        self.word.load(Ordering::Acquire) == admission.0
    }

    /// Admits a call, or returns why not. An admitted probe must end with [`Machine::settle`] or [`Machine::release`]; a
    /// refused call is counted by [`Machine::count_refusal`].
    pub(super) fn admit(&self, now: Tick, observer: &impl Observer) -> Result<Admission, Refusal> {
        let word = self.word.load(Ordering::Acquire);
        if passes(word) {
            return Ok(Admission(word));
        }
        if let Some(refusal) = self.refuse(|| now) {
            return Err(refusal);
        }
        let mut core = self.core.lock();
        let admitted = core.admit(self, now);
        self.unlock_and_tell(core, observer);
        admitted
    }

    /// Refuses a call without the lock if the circuit is open, since many calls may come then.
    #[inline]
    pub(super) fn refuse(&self, now: impl FnOnce() -> Tick) -> Option<Refusal> {
        let state = self.word.load(Ordering::Acquire) & STATE;
        if state == CircuitState::ForcedOpen as u64 {
            return Some(Refusal { reason: RejectReason::ForcedOpen, retry_after: None });
        }
        if state != CircuitState::Open as u64 {
            return None;
        }
        let now = now();
        (now.0 < self.open_until.load(Ordering::Acquire)).then(|| self.refuse_open(now))
    }

    fn refuse_open(&self, now: Tick) -> Refusal {
        let retry_at = Tick(self.retry_at.load(Ordering::Acquire));
        Refusal { reason: RejectReason::Open, retry_after: Some(retry_at.since(now)) }
    }

    /// Counts a refused call. `poll_ready` is not a call and may come several times before one.
    #[inline]
    pub(super) fn count_refusal(&self, reason: RejectReason) {
        self.rejected[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Starts the call of `admission`, unless the epoch has ended.
    #[inline]
    pub(super) fn start(&self, admission: Admission, now: impl FnOnce() -> Tick) -> bool {
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
    pub(super) fn release(&self, admission: Admission, observer: &impl Observer) {
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
    pub(super) fn settle_spotless(&self, admission: Admission) -> bool {
        let is_spotless = self.spotless.load(Ordering::Acquire) == admission.0;
        if is_spotless {
            self.spotless_successes.fetch_add(1, Ordering::Relaxed);
        }
        is_spotless
    }

    /// Counts the end of the call of `admission`; `elapsed` is its duration, if measured. `now` is called only if the time
    /// matters.
    pub(super) fn settle(
        &self,
        admission: Admission,
        outcome: Outcome,
        elapsed: Option<Duration>,
        now: impl Fn() -> Tick,
        observer: &impl Observer,
    ) {
        let slow = elapsed.is_some_and(|elapsed| nanos(elapsed) > self.slow_limit.load(Ordering::Relaxed));
        if outcome == Outcome::Success && !slow && self.settle_spotless(admission) {
            return;
        }
        let mut core = self.core.lock();
        core.count(outcome, slow);
        let mut freed = false;
        if core.word() == admission.0 {
            freed = core.settle(self, Ended { outcome, slow, elapsed }, now);
        }
        self.unlock_and_tell(core, observer);
        if freed {
            observer.freed();
        }
    }

    /// Sets the state to `to`, on behalf of an operator.
    pub(super) fn force(&self, to: CircuitState, now: Tick, observer: &impl Observer) {
        let mut core = self.core.lock();
        core.force(self, to, now);
        self.unlock_and_tell(core, observer);
    }

    /// Resets everything except the totals.
    pub(super) fn reset(&self, now: Tick, observer: &impl Observer) {
        let mut core = self.core.lock();
        core.reset(self, now);
        self.unlock_and_tell(core, observer);
    }

    /// Replaces the settings, which were validated. The state stays.
    pub(super) fn reconfigure(&self, settings: Arc<BreakerSettings>, now: Tick, observer: &impl Observer) {
        let mut core = self.core.lock();
        core.reconfigure(self, settings, now);
        self.unlock_and_tell(core, observer);
        observer.freed();
    }

    /// Adds a caller to the queue of a half-open circuit, if there is room.
    pub(super) fn join_queue(&self) -> Option<Duration> {
        self.core.lock().join_queue()
    }

    pub(super) fn leave_queue(&self) {
        self.core.lock().leave_queue();
    }

    /// When the open circuit of `epoch` needs its health probe; `None` if the epoch has ended.
    pub(super) fn health_probe_at(&self, epoch: u64) -> Option<Tick> {
        let core = self.core.lock();
        core.is_open_in(epoch).then(|| Tick(self.retry_at.load(Ordering::Acquire)))
    }

    /// Takes the result of the health probe of `epoch`; returns whether it must run again.
    pub(super) fn health_probed(
        &self,
        epoch: u64,
        healthy: bool,
        now: Tick,
        observer: &impl Observer,
    ) -> bool {
        let mut core = self.core.lock();
        let is_open = core.is_open_in(epoch);
        if is_open {
            core.health_probed(self, healthy, now);
        }
        self.unlock_and_tell(core, observer);
        is_open && !healthy
    }

    /// The health probe of `epoch` cannot run: callers decide instead.
    pub(super) fn leave_it_to_callers(&self, epoch: u64) {
        let core = self.core.lock();
        if core.is_open_in(epoch) {
            self.open_until.store(self.retry_at.load(Ordering::Acquire), Ordering::Release);
        }
    }

    /// Calls `look` with the counts; the totals include the calls that were counted without the lock.
    pub(super) fn look<R>(&self, look: impl FnOnce(&mut Core, Totals) -> R) -> R {
        let mut core = self.core.lock();
        let mut totals = core.totals();
        totals.successes += self.spotless_successes.load(Ordering::Relaxed);
        totals.rejected = self.rejected.iter().map(|count| count.load(Ordering::Relaxed)).sum();
        look(&mut core, totals)
    }

    /// Returns all counts of one moment; `look` reads the rest.
    pub(super) fn tally<R>(&self, look: impl FnOnce(&Core) -> R) -> (Tally, R) {
        self.look(|core, totals| {
            let refused = self.rejected.each_ref().map(|count| count.load(Ordering::Relaxed));
            (Tally { totals, entered: core.entered(), refused }, look(core))
        })
    }

    /// Removes the circuit from its group, which takes over its counts.
    pub(super) fn retire(&self) -> Tally {
        let (mut totals, entered) = self.core.lock().retire();
        totals.successes += self.spotless_successes.swap(0, Ordering::Relaxed);
        let refused = self.rejected.each_ref().map(|count| count.swap(0, Ordering::Relaxed));
        totals.rejected = refused.iter().sum();
        Tally { totals, entered, refused }
    }

    /// The time without a call since the end of an open circuit's wait, or of a half-open circuit.
    pub(super) fn left_alone_for(&self, now: Tick) -> Duration {
        let core = self.core.lock();
        let since = core.half_open_asked_at().unwrap_or(Tick(self.retry_at.load(Ordering::Acquire)));
        now.since(since)
    }

    /// The time until the next probe of an open circuit.
    pub(super) fn next_probe_in(&self, now: Tick) -> Duration {
        Tick(self.retry_at.load(Ordering::Acquire)).since(now)
    }

    /// The limit beyond which a call is slow, if there is one.
    pub(super) fn slow_limit(&self) -> Option<Duration> {
        let limit = self.slow_limit.load(Ordering::Relaxed);
        (limit != UNLIMITED).then(|| Duration::from_nanos(limit))
    }

    /// Releases the lock and reports the changes made under it. One thread reports at a time, so the order holds.
    #[inline]
    fn unlock_and_tell<'a>(&'a self, core: MutexGuard<'a, Core>, observer: &impl Observer) {
        if core.has_news() {
            self.tell(core, observer);
        }
    }

    #[cold]
    fn tell<'a>(&'a self, mut core: MutexGuard<'a, Core>, observer: &impl Observer) {
        core.telling = true;
        // A subscriber's waker may panic. The next change must still be reported.
        struct Done<'a>(&'a Mutex<Core>);
        impl Drop for Done<'_> {
            fn drop(&mut self) {
                self.0.lock().telling = false;
            }
        }
        while let Some(change) = core.untold.pop_front() {
            drop(core);
            let done = Done(&self.core);
            observer.changed(change);
            std::mem::forget(done);
            core = self.core.lock();
        }
        core.telling = false;
        // Changes are rare and circuits many, so no capacity is kept.
        core.untold = VecDeque::new();
    }
}

/// The outcome of a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended {
    pub(super) outcome: Outcome,
    pub(super) slow: bool,
    pub(super) elapsed: Option<Duration>,
}

impl Ended {
    /// Whether it is a failure for a closed circuit; `None` if it is ignored.
    fn failed_closed(&self) -> Option<bool> {
        match self.outcome {
            Outcome::Success => Some(false),
            Outcome::Ignored => None,
            Outcome::Failure(kind) | Outcome::Permanent(kind) => match kind {
                // Overload does not mean broken, and another breaker has refused for its own reasons.
                FailureKind::Overload | FailureKind::Rejected => None,
                _ => Some(true),
            },
        }
    }

    /// Whether it is a failure of a probe; `None` if it is ignored.
    fn failed_as_probe(&self) -> Option<bool> {
        match self.outcome {
            Outcome::Success => Some(false),
            Outcome::Ignored
            | Outcome::Failure(FailureKind::Rejected)
            | Outcome::Permanent(FailureKind::Rejected) => None,
            Outcome::Failure(_) | Outcome::Permanent(_) => Some(true),
        }
    }
}

fn passes(word: u64) -> bool {
    const PASSING: u64 = 1 << CircuitState::Closed as u64
        | 1 << CircuitState::Disabled as u64
        | 1 << CircuitState::MetricsOnly as u64;
    PASSING >> (word & STATE) & 1 != 0
}

fn slow_limit(settings: &BreakerSettings) -> u64 {
    settings.slow_call.map_or(UNLIMITED, |slow| nanos(slow.limit))
}

fn is_timed(settings: &BreakerSettings) -> bool {
    settings.slow_call.is_some()
}

fn word(epoch: u64, state: CircuitState, timed: bool) -> u64 {
    epoch << EPOCH_SHIFT | if timed { TIMED } else { 0 } | state as u64
}
