//! The state machine of a circuit: what is decided without a lock while it is closed, and where the rest begins.
//!
//! It knows neither names nor subscribers nor clocks: time comes in as an argument, and an [`Observer`] hears what
//! changed. So its races can be tried in every order (`loom`).

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
use crate::clock::{Tick, nanos};
use crate::error::RejectReason;
use crate::outcome::{FailureKind, Outcome};
use crate::sync::raced::atomic::{AtomicU64, Ordering};
use crate::sync::raced::{Mutex, MutexGuard};

/// The bits of a word that hold the state.
const STATE: u64 = 0b111;
/// The bit of a word that says that calls are timed; the rest is the epoch.
const TIMED: u64 = 0b1000;
const EPOCH_SHIFT: u32 = 4;

/// Stands where no word does.
const SPOTTED: u64 = u64::MAX;

/// No limit: no call is slower than this.
const UNLIMITED: u64 = u64::MAX;

/// Who hears what came about; never under the lock.
pub(super) trait Observer {
    /// The state changed. One thread tells at a time, in order.
    fn changed(&self, change: Change);

    /// Somebody who was not let in may be now.
    fn freed(&self);
}

/// The state of a circuit.
#[derive(Debug)]
pub(super) struct Machine {
    /// Epoch, timing and state in one, so that a closed circuit admits with a single load.
    word: AtomicU64,
    /// The word whose window holds good calls alone, as many as it can; else [`SPOTTED`]. A good call then changes
    /// nothing but a total, and needs no lock.
    spotless: AtomicU64,
    /// The calls that found it so.
    spotless_successes: AtomicU64,
    /// A call that takes more nanoseconds is slow.
    slow_limit: AtomicU64,
    /// When an open circuit admits a probe, in ticks; the last of all while a health probe decides.
    open_until: AtomicU64,
    /// When it is told to come again, in ticks.
    retry_at: AtomicU64,
    rejected: [AtomicU64; 3],
    core: Mutex<Core>,
}

/// A call's ticket: the word it was let in by, which holds its epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Admission(u64);

/// Why a call is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) reason: RejectReason,
    pub(super) retry_after: Option<Duration>,
}

// ===== impl Admission =====

impl Admission {
    /// Whether its call is one of those that decide a half-open circuit.
    pub(super) fn is_probe(self) -> bool {
        self.0 & STATE == CircuitState::HalfOpen as u64
    }

    /// Whether its call needs to know when it began.
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

    /// Lets a call in if that needs no thought.
    #[inline]
    pub(super) fn pass(&self) -> Option<Admission> {
        let word = self.word.load(Ordering::Acquire);
        passes(word).then_some(Admission(word))
    }

    /// Whether `admission` still stands for the state the circuit is in.
    #[inline]
    pub(super) fn is_current(&self, admission: Admission) -> bool {
        self.word.load(Ordering::Acquire) == admission.0
    }

    /// Lets a call in, or says why not. A probe that is let in must come back by [`Machine::settle`] or
    /// [`Machine::release`]; a refusal that meets a call is for [`Machine::count_refusal`].
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

    /// Refuses a call if that needs no thought: an open circuit does so without the lock, for this is when calls come
    /// in floods.
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

    /// A call was refused. Being asked for readiness is no call, and may happen more than once before one.
    #[inline]
    pub(super) fn count_refusal(&self, reason: RejectReason) {
        self.rejected[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// The call of `admission` begins, unless the circuit is no longer in the state it was let in by.
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

    /// A permit comes back unused: its call never began.
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

    /// Counts a call if that needs no lock: it went well, is not timed, and changes nothing.
    #[inline]
    pub(super) fn settle_spotless(&self, admission: Admission) -> bool {
        let is_spotless = self.spotless.load(Ordering::Acquire) == admission.0;
        if is_spotless {
            self.spotless_successes.fetch_add(1, Ordering::Relaxed);
        }
        is_spotless
    }

    /// The call of `admission` ended; `elapsed` is its time where it was measured. `now` is asked only where the
    /// time makes a difference.
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

    /// An operator's word: into `to`, whatever the state is.
    pub(super) fn force(&self, to: CircuitState, now: Tick, observer: &impl Observer) {
        let mut core = self.core.lock();
        core.force(self, to, now);
        self.unlock_and_tell(core, observer);
    }

    /// As if newly made, but for the totals.
    pub(super) fn reset(&self, now: Tick, observer: &impl Observer) {
        let mut core = self.core.lock();
        core.reset(self, now);
        self.unlock_and_tell(core, observer);
    }

    /// Other settings from now on, in the same state; they were validated.
    pub(super) fn reconfigure(&self, settings: Arc<BreakerSettings>, now: Tick, observer: &impl Observer) {
        let mut core = self.core.lock();
        core.reconfigure(self, settings, now);
        self.unlock_and_tell(core, observer);
        observer.freed();
    }

    /// One caller more waits for a half-open circuit, if there is room for it.
    pub(super) fn join_queue(&self) -> Option<Duration> {
        self.core.lock().join_queue()
    }

    pub(super) fn leave_queue(&self) {
        self.core.lock().leave_queue();
    }

    /// When the open circuit of epoch `epoch` wants its health probe; `None` when it is no longer that.
    pub(super) fn health_probe_at(&self, epoch: u64) -> Option<Tick> {
        let core = self.core.lock();
        core.is_open_in(epoch).then(|| Tick(self.retry_at.load(Ordering::Acquire)))
    }

    /// What the health probe of epoch `epoch` found; whether it is to be asked again.
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

    /// There is no health probe to wait for in epoch `epoch`: callers decide, as without one.
    pub(super) fn leave_it_to_callers(&self, epoch: u64) {
        let core = self.core.lock();
        if core.is_open_in(epoch) {
            self.open_until.store(self.retry_at.load(Ordering::Acquire), Ordering::Release);
        }
    }

    /// A look at the counts: `look` gets them, and the calls that were counted outside the lock are among the
    /// totals.
    pub(super) fn look<R>(&self, look: impl FnOnce(&mut Core, Totals) -> R) -> R {
        let mut core = self.core.lock();
        let mut totals = core.totals();
        totals.successes += self.spotless_successes.load(Ordering::Relaxed);
        totals.rejected = self.rejected.iter().map(|count| count.load(Ordering::Relaxed)).sum();
        look(&mut core, totals)
    }

    /// All that was counted, of one moment, with `look` at the rest.
    pub(super) fn tally<R>(&self, look: impl FnOnce(&Core) -> R) -> (Tally, R) {
        self.look(|core, totals| {
            let refused = self.rejected.each_ref().map(|count| count.load(Ordering::Relaxed));
            (Tally { totals, entered: core.entered(), refused }, look(core))
        })
    }

    /// The circuit is no longer one of those that may be open together, and what was counted is somebody else's.
    pub(super) fn retire(&self) -> Tally {
        let (mut totals, entered) = self.core.lock().retire();
        totals.successes += self.spotless_successes.swap(0, Ordering::Relaxed);
        let refused = self.rejected.each_ref().map(|count| count.swap(0, Ordering::Relaxed));
        totals.rejected = refused.iter().sum();
        Tally { totals, entered, refused }
    }

    /// How long no call has asked for an open circuit since its wait was over, or for a half-open one.
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

    /// Lets the lock go and tells the changes that came about under it. One thread tells at a time, so that all
    /// see them in order.
    #[inline]
    fn unlock_and_tell<'a>(&'a self, core: MutexGuard<'a, Core>, observer: &impl Observer) {
        if core.has_news() {
            self.tell(core, observer);
        }
    }

    #[cold]
    fn tell<'a>(&'a self, mut core: MutexGuard<'a, Core>, observer: &impl Observer) {
        core.telling = true;
        // A subscriber's waker may panic; the next change must find a teller all the same.
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
        // News is rare, and circuits may be many: no room is kept for more.
        core.untold = VecDeque::new();
    }
}

/// How a call ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended {
    pub(super) outcome: Outcome,
    pub(super) slow: bool,
    pub(super) elapsed: Option<Duration>,
}

impl Ended {
    /// Whether it failed, in the eyes of a closed circuit; `None` when it says nothing.
    fn failed_closed(&self) -> Option<bool> {
        match self.outcome {
            Outcome::Success => Some(false),
            Outcome::Ignored => None,
            Outcome::Failure(kind) | Outcome::Permanent(kind) => match kind {
                // Too much to do is no sign of being broken, and another breaker's refusal is that breaker's affair.
                FailureKind::Overload | FailureKind::Rejected => None,
                _ => Some(true),
            },
        }
    }

    /// Whether it failed, as a probe; `None` when it says nothing.
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
