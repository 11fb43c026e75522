//! The part of a circuit that is read and counted without the lock.

use std::time::Duration;

use super::word::{Admission, NO_WORD, Refusal, STATE, passes};
use crate::base::clock::{Tick, nanos};
use crate::base::error::RejectReason;
use crate::base::sync::raced::atomic::{AtomicU64, Ordering};
use crate::layers::breaker::settings::BreakerSettings;
use crate::layers::breaker::snapshot::CircuitState;

/// No limit: no call is slower than this.
const UNLIMITED: u64 = u64::MAX;

/// Written under the lock, except for the counters.
#[derive(Debug)]
pub(super) struct Atomics {
    /// See [`word`](super::word).
    pub(super) word: AtomicU64,
    /// The word whose window is full of successes; otherwise [`NO_WORD`]. A success then changes only a total, and needs no
    /// lock.
    pub(super) spotless: AtomicU64,
    /// The successes that were counted without the lock.
    pub(super) spotless_successes: AtomicU64,
    /// A call that takes more nanoseconds is slow.
    pub(super) slow_limit: AtomicU64,
    /// When an open circuit admits a probe, in ticks; the maximum while a health probe decides.
    pub(super) open_until: AtomicU64,
    /// The time of the retry that a refusal suggests, in ticks.
    pub(super) retry_at: AtomicU64,
    /// Refused calls, by reason.
    pub(super) rejected: [AtomicU64; 3],
}

impl Atomics {
    pub(super) fn new(word: u64, settings: &BreakerSettings) -> Self {
        Self {
            word: AtomicU64::new(word),
            spotless: AtomicU64::new(NO_WORD),
            spotless_successes: AtomicU64::new(0),
            slow_limit: AtomicU64::new(configured_slow_limit(settings)),
            open_until: AtomicU64::new(0),
            retry_at: AtomicU64::new(0),
            rejected: std::array::from_fn(|_| AtomicU64::new(0)),
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

    /// Refuses a call without the lock if the circuit is open, because many calls may come then.
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

    pub(super) fn refuse_open(&self, now: Tick) -> Refusal {
        Refusal { reason: RejectReason::Open, retry_after: Some(self.retry_at().since(now)) }
    }

    pub(super) fn retry_at(&self) -> Tick {
        Tick(self.retry_at.load(Ordering::Acquire))
    }

    /// Counts a refused call. `poll_ready` is not a call and may come several times before one.
    #[inline]
    pub(super) fn count_refusal(&self, reason: RejectReason) {
        self.rejected[reason as usize].fetch_add(1, Ordering::Relaxed);
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

    #[inline]
    pub(super) fn is_slow(&self, elapsed: Duration) -> bool {
        nanos(elapsed) > self.slow_limit.load(Ordering::Relaxed)
    }

    /// The limit beyond which a call is slow, if there is one.
    pub(super) fn slow_limit(&self) -> Option<Duration> {
        let limit = self.slow_limit.load(Ordering::Relaxed);
        (limit != UNLIMITED).then(|| Duration::from_nanos(limit))
    }
}

/// The configured slow-call limit in nanoseconds.
pub(super) fn configured_slow_limit(settings: &BreakerSettings) -> u64 {
    settings.slow_call.map_or(UNLIMITED, |slow| nanos(slow.limit))
}
