//! The locked part of a circuit: its data and its changes of state.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::atomics::{Atomics, configured_slow_limit};
use super::observer::Change;
use super::word::{NO_WORD, word};
use crate::base::clock::Tick;
use crate::base::sync::raced::atomic::Ordering;
use crate::base::window::{Counts, Rolling};
use crate::layers::breaker::ejections::EjectionSlot;
use crate::layers::breaker::learner::Learner;
use crate::layers::breaker::settings::BreakerSettings;
use crate::layers::breaker::snapshot::{CircuitState, Totals};
use crate::layers::breaker::transition::Cause;

/// The state of a circuit under its lock.
#[derive(Debug)]
pub(in crate::layers::breaker) struct Core {
    pub(super) settings: Arc<BreakerSettings>,
    /// Whether calls are timed. Each call reads it.
    pub(super) timed: bool,
    /// Whether a health probe decides when an open circuit becomes half-open.
    pub(super) has_health_probe: bool,
    /// The slot of the circuit among the ejected circuits of its group.
    pub(super) slot: EjectionSlot,
    pub(super) state: CircuitState,
    pub(super) epoch: u64,
    pub(super) since: Tick,
    pub(super) window: Rolling,
    /// Learns the slow-call limit.
    pub(super) learner: Option<Box<Learner>>,
    pub(super) consecutive_failures: u64,
    /// Whether a call would have opened the circuit, but the circuit is metrics-only or its group did not allow it. Reset
    /// when the window recovers.
    pub(super) would_open: bool,
    /// The number of openings since the circuit last closed.
    pub(super) openings: u32,
    /// The wait of the last opening.
    pub(super) last_wait: Duration,
    /// Half-open: the number of permits taken.
    pub(super) reserved: u32,
    /// Half-open: the number of permits whose call is running.
    pub(super) running: u32,
    /// Half-open: when the last permit was taken or its call started.
    pub(super) last_probe: Tick,
    pub(super) probes: Counts,
    /// The number of callers that wait for a permit.
    pub(super) queue: u32,
    pub(super) totals: Totals,
    pub(super) entered: [u64; CircuitState::ALL.len()],
    pub(super) unreported: VecDeque<Change>,
    pub(super) reporting: bool,
}

impl Core {
    pub(super) fn new(
        settings: Arc<BreakerSettings>,
        slot: EjectionSlot,
        has_health_probe: bool,
        now: Tick,
    ) -> Self {
        Self {
            window: Rolling::new(settings.window),
            timed: settings.slow_call.is_some(),
            learner: learner(&settings, now),
            settings,
            has_health_probe,
            slot,
            state: CircuitState::Closed,
            epoch: 0,
            since: now,
            consecutive_failures: 0,
            would_open: false,
            openings: 0,
            last_wait: Duration::ZERO,
            reserved: 0,
            running: 0,
            last_probe: Tick::default(),
            probes: Counts::default(),
            queue: 0,
            totals: Totals::default(),
            entered: [0; CircuitState::ALL.len()],
            unreported: VecDeque::new(),
            reporting: false,
        }
    }

    pub(super) fn word(&self) -> u64 {
        word(self.epoch, self.state, self.timed)
    }

    pub(in crate::layers::breaker) fn settings(&self) -> &BreakerSettings {
        &self.settings
    }

    pub(in crate::layers::breaker) fn state(&self) -> CircuitState {
        self.state
    }

    pub(in crate::layers::breaker) fn since(&self) -> Tick {
        self.since
    }

    /// The counts that decide: of the probes if half-open, otherwise of the window.
    pub(in crate::layers::breaker) fn counts(&mut self, now: Tick) -> Counts {
        if self.state == CircuitState::HalfOpen { self.probes } else { self.window.counts(now) }
    }

    /// Whether the circuit is closed only because its group did not allow it to open. Ends when the window recovers.
    pub(in crate::layers::breaker) fn is_kept_closed(&self) -> bool {
        self.state == CircuitState::Closed && self.would_open
    }

    pub(in crate::layers::breaker) fn consecutive_failures(&self) -> u64 {
        self.consecutive_failures
    }

    pub(in crate::layers::breaker) fn probes_in_flight(&self) -> u32 {
        self.reserved
    }

    pub(in crate::layers::breaker) fn queue(&self) -> u32 {
        self.queue
    }

    pub(in crate::layers::breaker) fn entered(&self) -> [u64; CircuitState::ALL.len()] {
        self.entered
    }

    /// When a half-open circuit last admitted a probe; `None` in other states.
    pub(super) fn last_probe_at(&self) -> Option<Tick> {
        (self.state == CircuitState::HalfOpen).then(|| self.last_probe.max(self.since))
    }

    pub(super) fn totals(&self) -> Totals {
        self.totals
    }

    pub(super) fn must_report(&self) -> bool {
        !self.unreported.is_empty() && !self.reporting
    }

    pub(super) fn is_open_in(&self, epoch: u64) -> bool {
        self.state == CircuitState::Open && self.epoch == epoch
    }

    pub(super) fn open(&mut self, atomics: &Atomics, cause: Cause, now: Tick) {
        self.draw_wait(atomics, now);
        self.enter(atomics, CircuitState::Open, cause, now);
    }

    /// Called when slow calls open the circuit. Lets the learner raise the limit, so that a permanently slower service is
    /// eventually admitted again.
    #[cold]
    pub(super) fn raise_slow_limit(&mut self, atomics: &Atomics, now: Tick) {
        let failure_rate = self.settings.failure_rate;
        if let Some(limit) =
            self.learner.as_mut().and_then(|learner| learner.raise_after_slow_calls(failure_rate, now))
        {
            atomics.slow_limit.store(limit, Ordering::Relaxed);
        }
    }

    /// Sets the wait of an open circuit. `open_for` makes it longer with each opening.
    fn draw_wait(&mut self, atomics: &Atomics, now: Tick) {
        let wait = self.settings.open_for.delay(self.openings, self.last_wait);
        self.openings = self.openings.saturating_add(1);
        self.last_wait = wait;
        let retry_at = (now + wait).0;
        atomics.retry_at.store(retry_at, Ordering::Release);
        atomics.open_until.store(if self.has_health_probe { u64::MAX } else { retry_at }, Ordering::Release);
    }

    /// Applies the result of the health probe of an open circuit.
    pub(super) fn health_probed(&mut self, atomics: &Atomics, healthy: bool, now: Tick) {
        if healthy {
            self.enter(atomics, CircuitState::HalfOpen, Cause::HealthProbe, now);
        } else {
            self.draw_wait(atomics, now);
        }
    }

    pub(super) fn force(&mut self, atomics: &Atomics, to: CircuitState, now: Tick) {
        self.reset_waits();
        self.enter(atomics, to, Cause::Operator, now);
    }

    /// Makes the next opening start with the first wait again.
    pub(super) fn reset_waits(&mut self) {
        self.openings = 0;
        self.last_wait = Duration::ZERO;
    }

    /// Closes the circuit and discards the learned limit.
    pub(super) fn reset(&mut self, atomics: &Atomics, now: Tick) {
        self.unlearn(atomics, now);
        self.force(atomics, CircuitState::Closed, now);
    }

    /// Discards the learned limit. The configured limit applies until another is learned.
    fn unlearn(&mut self, atomics: &Atomics, now: Tick) {
        self.learner = learner(&self.settings, now);
        atomics.slow_limit.store(configured_slow_limit(&self.settings), Ordering::Relaxed);
    }

    pub(super) fn reconfigure(&mut self, atomics: &Atomics, settings: Arc<BreakerSettings>, now: Tick) {
        if settings.window != self.settings.window {
            self.window = Rolling::new(settings.window);
        }
        self.timed = settings.slow_call.is_some();
        let limits = |settings: &BreakerSettings| (settings.slow_call, settings.adaptive);
        let limits_changed = limits(&settings) != limits(&self.settings);
        self.settings = settings;
        if limits_changed {
            self.unlearn(atomics, now);
        }
        if matches!(self.state, CircuitState::Open | CircuitState::ForcedOpen) {
            // No running call started under the old settings.
            atomics.word.store(self.word(), Ordering::Release);
        } else {
            let (state, since) = (self.state, self.since);
            self.enter(atomics, state, Cause::Operator, now);
            self.since = since;
        }
    }

    /// Leaves the group. Returns the counts, which the group adds to its own.
    pub(super) fn retire(&mut self) -> (Totals, [u64; CircuitState::ALL.len()]) {
        self.slot = EjectionSlot::default();
        (mem::take(&mut self.totals), mem::take(&mut self.entered))
    }

    /// Starts a new epoch.
    pub(super) fn enter(&mut self, atomics: &Atomics, to: CircuitState, cause: Cause, now: Tick) {
        let from = self.state;
        self.state = to;
        self.epoch += 1;
        self.since = now;
        self.window.clear();
        if let Some(learner) = &mut self.learner {
            learner.discard(now);
        }
        self.would_open = false;
        atomics.spotless.store(NO_WORD, Ordering::Release);
        self.reserved = 0;
        self.running = 0;
        self.probes = Counts::default();
        if to == CircuitState::Closed {
            self.consecutive_failures = 0;
        }
        if !matches!(to, CircuitState::Open | CircuitState::HalfOpen) {
            self.slot.release();
        }
        atomics.word.store(self.word(), Ordering::Release);
        // Releasing unused permits starts an epoch in the same state.
        if from != to {
            self.entered[to as usize] += 1;
            self.unreported.push_back(Change { from, to, cause, epoch: self.epoch, at: SystemTime::now() });
        }
    }
}

fn learner(settings: &BreakerSettings, now: Tick) -> Option<Box<Learner>> {
    let (adaptive, slow) = settings.adaptive.zip(settings.slow_call)?;
    Some(Box::new(Learner::new(&adaptive, slow.limit, now)))
}
