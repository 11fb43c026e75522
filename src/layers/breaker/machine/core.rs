//! The state of a circuit under its lock, and all changes of it.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::{Admission, Ended, Machine, Refusal, SPOTTED, is_timed, slow_limit, word};
use crate::base::clock::{Tick, nanos};
use crate::base::error::RejectReason;
use crate::base::outcome::Outcome;
use crate::base::sync::raced::atomic::Ordering;
use crate::base::window::{Counts, Rolling, Sample};
use crate::layers::breaker::ejections::Place;
use crate::layers::breaker::learner::Learner;
use crate::layers::breaker::settings::BreakerSettings;
use crate::layers::breaker::snapshot::{CircuitState, Totals};
use crate::layers::breaker::transition::Cause;

/// The change from one state into another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::layers::breaker) struct Change {
    pub(in crate::layers::breaker) from: CircuitState,
    pub(in crate::layers::breaker) to: CircuitState,
    pub(in crate::layers::breaker) cause: Cause,
    /// The new epoch.
    pub(in crate::layers::breaker) epoch: u64,
    pub(in crate::layers::breaker) at: SystemTime,
}

/// See the [module](self).
#[derive(Debug)]
pub(in crate::layers::breaker) struct Core {
    settings: Arc<BreakerSettings>,
    /// Whether calls are timed. Each call reads it.
    timed: bool,
    /// Whether a health probe decides when an open circuit becomes half-open.
    asks_health: bool,
    /// The circuit's place among the open ones of its group.
    place: Place,
    state: CircuitState,
    epoch: u64,
    since: Tick,
    window: Rolling,
    /// Learns the slow-call limit.
    learner: Option<Box<Learner>>,
    consecutive_failures: u64,
    /// Whether a call would have opened the circuit, if it were not metrics-only and its group allowed it; until the window
    /// recovers.
    would_open: bool,
    /// How often the circuit opened since it last closed, and the last wait.
    openings: u32,
    last_wait: Duration,
    /// Half-open: taken permits, those of running calls, and when the last one was taken or started.
    reserved: u32,
    running: u32,
    last_probe: Tick,
    probes: Counts,
    /// Callers that wait for a permit.
    queue: u32,
    totals: Totals,
    entered: [u64; CircuitState::ALL.len()],
    pub(super) untold: VecDeque<Change>,
    pub(super) telling: bool,
}

impl Core {
    pub(super) fn new(settings: Arc<BreakerSettings>, place: Place, asks_health: bool, now: Tick) -> Self {
        Self {
            window: Rolling::new(settings.window),
            timed: is_timed(&settings),
            learner: learner(&settings, now),
            settings,
            asks_health,
            place,
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
            untold: VecDeque::new(),
            telling: false,
        }
    }

    // ----- queries -----

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

    /// The counts that decide, of the window or of the probes.
    pub(in crate::layers::breaker) fn counts(&mut self, now: Tick) -> Counts {
        if self.state == CircuitState::HalfOpen { self.probes } else { self.window.counts(now) }
    }

    /// Whether a call would have opened the circuit if its group had allowed it, and the window has not recovered since.
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

    /// When a half-open circuit last gave a permit.
    pub(super) fn half_open_asked_at(&self) -> Option<Tick> {
        (self.state == CircuitState::HalfOpen).then(|| self.last_probe.max(self.since))
    }

    pub(super) fn totals(&self) -> Totals {
        self.totals
    }

    pub(super) fn has_news(&self) -> bool {
        !self.untold.is_empty() && !self.telling
    }

    pub(super) fn is_open_in(&self, epoch: u64) -> bool {
        self.state == CircuitState::Open && self.epoch == epoch
    }

    // ----- admission -----

    pub(super) fn admit(&mut self, machine: &Machine, now: Tick) -> Result<Admission, Refusal> {
        match self.state {
            CircuitState::Open => {
                if now.0 < machine.open_until.load(Ordering::Acquire) {
                    return Err(machine.refuse_open(now));
                }
                self.enter(machine, CircuitState::HalfOpen, Cause::WaitOver, now);
            }
            CircuitState::HalfOpen if self.is_full() => self.end_hanging_probes(machine, now)?,
            CircuitState::HalfOpen => {}
            CircuitState::ForcedOpen => {
                return Err(Refusal { reason: RejectReason::ForcedOpen, retry_after: None });
            }
            CircuitState::Closed | CircuitState::Disabled | CircuitState::MetricsOnly => {
                return Ok(Admission(self.word()));
            }
        }
        // Half-open now, with a free permit.
        self.reserved += 1;
        self.last_probe = self.last_probe.max(now);
        Ok(Admission(self.word()))
    }

    /// Whether running and ended probes together are enough to decide.
    fn is_full(&self) -> bool {
        u64::from(self.reserved) + self.probes.calls >= u64::from(self.settings.half_open.permits)
    }

    /// After the maximum wait, hanging probes open the circuit, and unused permits are released. The wait counts from the
    /// newest probe.
    fn end_hanging_probes(&mut self, machine: &Machine, now: Tick) -> Result<(), Refusal> {
        let left = self.settings.half_open.max_wait.saturating_sub(now.since(self.last_probe));
        if !left.is_zero() {
            return Err(Refusal { reason: RejectReason::ProbesTaken, retry_after: Some(left) });
        }
        if self.running == 0 {
            let (probes, since) = (self.probes, self.since);
            self.enter(machine, CircuitState::HalfOpen, Cause::WaitOver, now);
            (self.probes, self.since) = (probes, since);
            return Ok(());
        }
        self.open(machine, Cause::ProbesHung, now);
        Err(machine.refuse_open(now))
    }

    pub(super) fn start_probe(&mut self, now: Tick) {
        self.running += 1;
        self.last_probe = self.last_probe.max(now);
    }

    pub(super) fn release(&mut self) {
        self.reserved -= 1;
    }

    /// How long another caller may wait, if there is room.
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

    // ----- outcomes -----

    #[inline]
    pub(super) fn count(&mut self, outcome: Outcome, slow: bool) {
        match outcome {
            Outcome::Success => self.totals.successes += 1,
            Outcome::Ignored => self.totals.ignored += 1,
            Outcome::Failure(kind) | Outcome::Permanent(kind) => self.totals.failures[kind.index()] += 1,
        }
        // An ignored call is not slow either: a stream may live for hours.
        self.totals.slow += u64::from(slow && outcome != Outcome::Ignored);
    }

    /// Counts a call of this epoch. Returns whether it released a permit of a circuit that is still half-open.
    pub(super) fn settle(&mut self, machine: &Machine, ended: Ended, now: impl Fn() -> Tick) -> bool {
        match self.state {
            CircuitState::Closed | CircuitState::MetricsOnly => self.settle_closed(machine, ended, now),
            CircuitState::HalfOpen => return self.settle_probe(machine, ended, now()),
            CircuitState::Open | CircuitState::ForcedOpen | CircuitState::Disabled => {}
        }
        false
    }

    #[inline]
    fn settle_closed(&mut self, machine: &Machine, ended: Ended, now: impl Fn() -> Tick) {
        let Some(failed) = ended.failed_closed() else { return };
        self.consecutive_failures = if failed { self.consecutive_failures + 1 } else { 0 };
        let at = if self.window.is_timed() { now() } else { Tick::default() };
        let counts = self.window.record(at, Sample { failed, slow: ended.slow });
        // A learner needs every call.
        let spotless =
            if self.window.is_spotless() && self.learner.is_none() { self.word() } else { SPOTTED };
        machine.spotless.store(spotless, Ordering::Release);
        let verdict = if counts.failures > 0 || counts.slow > 0 { self.verdict(&counts) } else { None };
        // A success never opens the circuit, whatever the window holds.
        let opens = verdict.is_some() && (failed || ended.slow);
        let would_open = self.would_open;
        self.would_open = opens || would_open && verdict.is_some();
        self.learn(machine, ended, failed, verdict.is_some(), &now);
        if self.state == CircuitState::MetricsOnly {
            // Counted once per such period.
            self.totals.would_open += u64::from(opens && !would_open);
        } else if let Some(cause) = verdict.filter(|_| opens) {
            if self.place.take() {
                if matches!(cause, Cause::SlowCallRate(_)) {
                    self.give_way(machine, now());
                }
                self.open(machine, cause, now());
            } else {
                self.totals.kept_closed += 1;
            }
        }
    }

    /// Passes a call to the learner, unless the window is enough to open the circuit.
    #[inline]
    fn learn(&mut self, machine: &Machine, ended: Ended, failed: bool, outage: bool, now: impl Fn() -> Tick) {
        let Some(learner) = &mut self.learner else { return };
        learner.see(failed);
        if outage {
            learner.discard(now());
        } else if failed {
            learner.fail();
        } else if let Some(elapsed) = ended.elapsed
            && let Some(limit) = learner.learn(nanos(elapsed), self.settings.failure_rate, now)
        {
            machine.slow_limit.store(limit, Ordering::Relaxed);
        }
    }

    /// The circuit opens for slow calls. Tells the learner, so that a permanently slower service is admitted some day.
    #[cold]
    fn give_way(&mut self, machine: &Machine, now: Tick) {
        let failure_rate = self.settings.failure_rate;
        if let Some(limit) = self.learner.as_mut().and_then(|learner| learner.give_way(failure_rate, now)) {
            machine.slow_limit.store(limit, Ordering::Relaxed);
        }
    }

    /// The reason for which the next bad call opens a closed circuit, if the window is enough.
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

    /// Returns whether the permit is free for another caller.
    fn settle_probe(&mut self, machine: &Machine, ended: Ended, now: Tick) -> bool {
        self.reserved -= 1;
        self.running -= 1;
        let Some(failed) = ended.failed_as_probe() else { return true };
        self.probes.add(Sample { failed, slow: ended.slow });
        self.consecutive_failures = if failed { self.consecutive_failures + 1 } else { 0 };
        let permits = u64::from(self.settings.half_open.permits);
        let share = |count: u64| Counts { calls: permits, failures: count, slow: 0 }.failure_rate();
        // Decide as soon as the remaining probes cannot change the result.
        let failing = share(self.probes.failures) >= self.settings.failure_rate;
        let slowing = self.settings.slow_call.is_some_and(|limit| share(self.probes.slow) >= limit.rate);
        if failing || slowing {
            if self.probes.failures == 0 {
                self.give_way(machine, now);
            }
            self.open(machine, Cause::ProbesFailed, now);
        } else if self.probes.calls >= permits {
            self.forget_waits();
            self.enter(machine, CircuitState::Closed, Cause::ProbesSucceeded, now);
        }
        false
    }

    // ----- changes -----

    fn open(&mut self, machine: &Machine, cause: Cause, now: Tick) {
        self.draw_wait(machine, now);
        self.enter(machine, CircuitState::Open, cause, now);
    }

    /// The next wait, which is longer each time.
    fn draw_wait(&mut self, machine: &Machine, now: Tick) {
        let wait = self.settings.open_for.delay(self.openings, self.last_wait);
        self.openings = self.openings.saturating_add(1);
        self.last_wait = wait;
        let retry_at = (now + wait).0;
        machine.retry_at.store(retry_at, Ordering::Release);
        machine.open_until.store(if self.asks_health { u64::MAX } else { retry_at }, Ordering::Release);
    }

    /// Takes the result of the health probe of an open circuit.
    pub(super) fn health_probed(&mut self, machine: &Machine, healthy: bool, now: Tick) {
        if healthy {
            self.enter(machine, CircuitState::HalfOpen, Cause::HealthProbe, now);
        } else {
            self.draw_wait(machine, now);
        }
    }

    pub(super) fn force(&mut self, machine: &Machine, to: CircuitState, now: Tick) {
        self.forget_waits();
        self.enter(machine, to, Cause::Operator, now);
    }

    /// Starts again with the first wait.
    fn forget_waits(&mut self) {
        self.openings = 0;
        self.last_wait = Duration::ZERO;
    }

    /// Resets everything.
    pub(super) fn reset(&mut self, machine: &Machine, now: Tick) {
        self.unlearn(machine, now);
        self.force(machine, CircuitState::Closed, now);
    }

    /// Sets the configured slow-call limit until another is learned.
    fn unlearn(&mut self, machine: &Machine, now: Tick) {
        self.learner = learner(&self.settings, now);
        machine.slow_limit.store(slow_limit(&self.settings), Ordering::Relaxed);
    }

    pub(super) fn reconfigure(&mut self, machine: &Machine, settings: Arc<BreakerSettings>, now: Tick) {
        if settings.window != self.settings.window {
            self.window = Rolling::new(settings.window);
        }
        self.timed = is_timed(&settings);
        let limits = |settings: &BreakerSettings| (settings.slow_call, settings.adaptive);
        let other_limits = limits(&settings) != limits(&self.settings);
        self.settings = settings;
        if other_limits {
            self.unlearn(machine, now);
        }
        if matches!(self.state, CircuitState::Open | CircuitState::ForcedOpen) {
            // No call runs that started under the old settings.
            machine.word.store(self.word(), Ordering::Release);
        } else {
            let (state, since) = (self.state, self.since);
            self.enter(machine, state, Cause::Operator, now);
            self.since = since;
        }
    }

    /// Leaves the group, which takes over the counts.
    pub(super) fn retire(&mut self) -> (Totals, [u64; CircuitState::ALL.len()]) {
        self.place = Place::default();
        (mem::take(&mut self.totals), mem::take(&mut self.entered))
    }

    /// Starts a new epoch.
    fn enter(&mut self, machine: &Machine, to: CircuitState, cause: Cause, now: Tick) {
        let from = self.state;
        self.state = to;
        self.epoch += 1;
        self.since = now;
        self.window.clear();
        if let Some(learner) = &mut self.learner {
            learner.discard(now);
        }
        self.would_open = false;
        machine.spotless.store(SPOTTED, Ordering::Release);
        self.reserved = 0;
        self.running = 0;
        self.probes = Counts::default();
        if to == CircuitState::Closed {
            self.consecutive_failures = 0;
        }
        if !matches!(to, CircuitState::Open | CircuitState::HalfOpen) {
            self.place.give_back();
        }
        machine.word.store(self.word(), Ordering::Release);
        // Releasing unused permits starts an epoch in the same state.
        if from != to {
            self.entered[to as usize] += 1;
            self.untold.push_back(Change { from, to, cause, epoch: self.epoch, at: SystemTime::now() });
        }
    }
}

fn learner(settings: &BreakerSettings, now: Tick) -> Option<Box<Learner>> {
    let (adaptive, slow) = settings.adaptive.zip(settings.slow_call)?;
    Some(Box::new(Learner::new(&adaptive, slow.limit, now)))
}
