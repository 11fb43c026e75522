//! The circuit itself: admission without a lock while it is closed, everything else under one.

mod source;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::settings::BreakerSettings;
use super::snapshot::{CircuitState, Totals};
use super::transition::{Cause, Subscribers, Transition};
use crate::clock::{self, Tick};
use crate::error::{RejectReason, Rejected};
use crate::outcome::{FailureKind, Outcome};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Mutex, MutexGuard};
use crate::window::{Counts, Rolling, Sample};

/// The bits of [`Circuit::word`] that hold the state; the rest is the epoch.
const STATE_BITS: u32 = 3;

/// What all handles and services of one breaker share.
#[derive(Debug)]
pub(crate) struct Circuit {
    pub(crate) name: Arc<str>,
    pub(crate) settings: BreakerSettings,
    /// Epoch and state in one, so that a closed circuit admits with a single load.
    word: AtomicU64,
    /// When an open circuit admits a probe, in ticks.
    open_until: AtomicU64,
    rejected: [AtomicU64; 3],
    /// One more than the epoch whose window holds good calls alone, as many as it can; else 0. A good call then
    /// changes nothing but a total, and needs no lock.
    spotless: AtomicU64,
    /// The calls that found it so.
    spotless_successes: AtomicU64,
    core: Mutex<Core>,
    pub(crate) subscribers: Subscribers,
}

#[derive(Debug)]
struct Core {
    state: CircuitState,
    epoch: u64,
    since: Tick,
    window: Rolling,
    consecutive_failures: u64,
    /// Times the circuit opened since it was last closed by its probes or by hand, and the last wait drawn.
    openings: u32,
    last_wait: Duration,
    /// Half-open: permits that are reserved, those among them that run, and when the last one was taken or began.
    reserved: u32,
    running: u32,
    last_probe: Tick,
    probes: Counts,
    totals: Totals,
    entered: [u64; CircuitState::ALL.len()],
    untold: VecDeque<Transition>,
    telling: bool,
}

/// A call's ticket: the epoch it belongs to and whether it is a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Admission {
    epoch: u64,
    probe: bool,
}

impl Circuit {
    pub(crate) fn new(name: Arc<str>, settings: BreakerSettings) -> Self {
        let window = Rolling::new(settings.window);
        Self {
            name,
            settings,
            word: AtomicU64::new(word(0, CircuitState::Closed)),
            open_until: AtomicU64::new(0),
            rejected: [const { AtomicU64::new(0) }; 3],
            spotless: AtomicU64::new(0),
            spotless_successes: AtomicU64::new(0),
            core: Mutex::new(Core {
                state: CircuitState::Closed,
                epoch: 0,
                since: clock::now(),
                window,
                consecutive_failures: 0,
                openings: 0,
                last_wait: Duration::ZERO,
                reserved: 0,
                running: 0,
                last_probe: Tick::default(),
                probes: Counts::default(),
                totals: Totals::default(),
                entered: [0; CircuitState::ALL.len()],
                untold: VecDeque::new(),
                telling: false,
            }),
            subscribers: Subscribers::default(),
        }
    }

    /// Whether a call needs to know when it began: slowness is judged from there.
    pub(crate) fn is_timed(&self) -> bool {
        self.settings.slow_call.is_some()
    }

    pub(crate) fn state(&self) -> CircuitState {
        state_of(self.word.load(Ordering::Acquire))
    }

    /// Whether `admission` still stands for the state the circuit is in.
    #[inline]
    fn is_current(&self, admission: Admission) -> bool {
        self.word.load(Ordering::Acquire) >> STATE_BITS == admission.epoch
    }

    /// Lets a call in, or says why not. A probe that is let in must come back by [`Circuit::settle`] or
    /// [`Circuit::release`]; a refusal that meets a call is for [`Circuit::count_refusal`].
    #[inline]
    pub(crate) fn admit(&self) -> Result<Admission, Rejected> {
        let word = self.word.load(Ordering::Acquire);
        match state_of(word) {
            CircuitState::Closed | CircuitState::Disabled => {
                Ok(Admission { epoch: word >> STATE_BITS, probe: false })
            }
            _ => self.admit_slowly(),
        }
    }

    #[cold]
    fn admit_slowly(&self) -> Result<Admission, Rejected> {
        let now = clock::now();
        // An open circuit refuses without the lock: this is when calls come in floods.
        if self.state() == CircuitState::Open {
            let until = Tick(self.open_until.load(Ordering::Acquire));
            if now < until {
                return Err(self.refuse(RejectReason::Open, Some(until.since(now))));
            }
        }
        let mut core = self.core.lock();
        let admitted = self.admit_locked(&mut core, now);
        self.unlock_and_tell(core);
        admitted.map_err(|(reason, wait)| self.refuse(reason, wait))
    }

    fn admit_locked(
        &self,
        core: &mut Core,
        now: Tick,
    ) -> Result<Admission, (RejectReason, Option<Duration>)> {
        match core.state {
            CircuitState::Open => {
                let until = Tick(self.open_until.load(Ordering::Acquire));
                if now < until {
                    return Err((RejectReason::Open, Some(until.since(now))));
                }
                self.enter(core, CircuitState::HalfOpen, Cause::WaitOver, now);
            }
            CircuitState::HalfOpen if self.is_full(core) => self.end_hanging_probes(core, now)?,
            CircuitState::HalfOpen => {}
            CircuitState::ForcedOpen => return Err((RejectReason::ForcedOpen, None)),
            CircuitState::Closed | CircuitState::Disabled => {
                return Ok(Admission { epoch: core.epoch, probe: false });
            }
        }
        // Half-open now, with a free permit.
        core.reserved += 1;
        core.last_probe = core.last_probe.max(now);
        Ok(Admission { epoch: core.epoch, probe: true })
    }

    /// Whether the probes that run and those that ended are all that decide.
    fn is_full(&self, core: &Core) -> bool {
        u64::from(core.reserved) + core.probes.calls >= u64::from(self.settings.half_open.permits)
    }

    /// After the longest wait, probes that hang are a verdict; permits that nobody used are taken back. It runs
    /// from the youngest probe: while that may still end, so may the verdict.
    fn end_hanging_probes(&self, core: &mut Core, now: Tick) -> Result<(), (RejectReason, Option<Duration>)> {
        let left = self.settings.half_open.max_wait.saturating_sub(now.since(core.last_probe));
        if !left.is_zero() {
            return Err((RejectReason::ProbesTaken, Some(left)));
        }
        if core.running == 0 {
            let (probes, since) = (core.probes, core.since);
            self.enter(core, CircuitState::HalfOpen, Cause::WaitOver, now);
            (core.probes, core.since) = (probes, since);
            return Ok(());
        }
        let wait = self.open(core, Cause::ProbesHung, now);
        Err((RejectReason::Open, Some(wait)))
    }

    /// A call was refused. Being asked for readiness is no call, and may happen more than once before one.
    pub(crate) fn count_refusal(&self, rejected: &Rejected) {
        self.rejected[rejected.reason() as usize].fetch_add(1, Ordering::Relaxed);
    }

    fn refuse(&self, reason: RejectReason, retry_after: Option<Duration>) -> Rejected {
        Rejected::new(Arc::clone(&self.name), reason, retry_after)
    }

    /// The call of `admission` begins, unless the circuit is no longer in the state it was let in by.
    #[inline]
    pub(crate) fn start(&self, admission: Admission) -> bool {
        if admission.probe { self.start_probe(admission) } else { self.is_current(admission) }
    }

    #[cold]
    fn start_probe(&self, admission: Admission) -> bool {
        let now = clock::now();
        let mut core = self.core.lock();
        let is_current = core.epoch == admission.epoch;
        if is_current {
            core.running += 1;
            core.last_probe = core.last_probe.max(now);
        }
        is_current
    }

    /// A permit comes back unused: its call never began.
    pub(crate) fn release(&self, admission: Admission) {
        if admission.probe {
            let mut core = self.core.lock();
            if core.epoch == admission.epoch {
                core.reserved -= 1;
            }
        }
    }

    /// The call of `admission` ended; `elapsed` is its time where it was measured.
    pub(crate) fn settle(&self, admission: Admission, outcome: Outcome, elapsed: Option<Duration>) {
        let slow = match (self.settings.slow_call, elapsed) {
            (Some(slow), Some(elapsed)) => elapsed > slow.limit,
            _ => false,
        };
        if outcome == Outcome::Success
            && !slow
            && self.spotless.load(Ordering::Acquire) == admission.epoch + 1
        {
            self.spotless_successes.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.settle_locked(admission, outcome, slow);
    }

    fn settle_locked(&self, admission: Admission, outcome: Outcome, slow: bool) {
        let mut core = self.core.lock();
        core.count(outcome, slow);
        if core.epoch != admission.epoch {
            return;
        }
        match core.state {
            CircuitState::Closed => self.settle_closed(&mut core, outcome, slow),
            CircuitState::HalfOpen => self.settle_probe(&mut core, outcome, slow),
            CircuitState::Open | CircuitState::ForcedOpen | CircuitState::Disabled => {}
        }
        self.unlock_and_tell(core);
    }

    #[inline]
    fn settle_closed(&self, core: &mut Core, outcome: Outcome, slow: bool) {
        let failed = match outcome {
            Outcome::Success => false,
            Outcome::Ignored => return,
            Outcome::Failure(kind) | Outcome::Permanent(kind) => match kind {
                // Too much to do is no sign of being broken, and another breaker's refusal is that breaker's affair.
                FailureKind::Overload | FailureKind::Rejected => return,
                _ => true,
            },
        };
        core.consecutive_failures = if failed { core.consecutive_failures + 1 } else { 0 };
        let now = if core.window.is_timed() { clock::now() } else { Tick(0) };
        let counts = core.window.record(now, Sample { failed, slow });
        let spotless = if core.window.is_spotless() { core.epoch + 1 } else { 0 };
        self.spotless.store(spotless, Ordering::Release);
        if (counts.failures > 0 || counts.slow > 0)
            && let Some(cause) = self.verdict(&counts, core.consecutive_failures)
        {
            self.open(core, cause, clock::now());
        }
    }

    /// What opens a closed circuit, if something does.
    fn verdict(&self, counts: &Counts, consecutive_failures: u64) -> Option<Cause> {
        let settings = &self.settings;
        if settings.consecutive_failures.is_some_and(|limit| consecutive_failures >= u64::from(limit)) {
            return Some(Cause::ConsecutiveFailures(consecutive_failures));
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

    fn settle_probe(&self, core: &mut Core, outcome: Outcome, slow: bool) {
        core.reserved -= 1;
        core.running -= 1;
        let failed = match outcome {
            Outcome::Success => false,
            Outcome::Ignored
            | Outcome::Failure(FailureKind::Rejected)
            | Outcome::Permanent(FailureKind::Rejected) => return,
            Outcome::Failure(_) | Outcome::Permanent(_) => true,
        };
        core.probes.add(Sample { failed, slow });
        core.consecutive_failures = if failed { core.consecutive_failures + 1 } else { 0 };
        let permits = u64::from(self.settings.half_open.permits);
        let share = |count: u64| Counts { calls: permits, failures: count, slow: 0 }.failure_rate();
        // As soon as the rest cannot change the verdict, there is no need to wait for it.
        let failing = share(core.probes.failures) >= self.settings.failure_rate;
        let slowing = self.settings.slow_call.is_some_and(|limit| share(core.probes.slow) >= limit.rate);
        if failing || slowing {
            self.open(core, Cause::ProbesFailed, clock::now());
        } else if core.probes.calls >= permits {
            core.openings = 0;
            core.last_wait = Duration::ZERO;
            self.enter(core, CircuitState::Closed, Cause::ProbesSucceeded, clock::now());
        }
    }

    /// Opens the circuit and gives the time it will stay so.
    fn open(&self, core: &mut Core, cause: Cause, now: Tick) -> Duration {
        let wait = self.settings.open_for.delay(core.openings, core.last_wait);
        core.openings = core.openings.saturating_add(1);
        core.last_wait = wait;
        self.open_until.store((now + wait).0, Ordering::Release);
        self.enter(core, CircuitState::Open, cause, now);
        wait
    }

    /// Begins a new epoch.
    fn enter(&self, core: &mut Core, to: CircuitState, cause: Cause, now: Tick) {
        let from = core.state;
        core.state = to;
        core.epoch += 1;
        core.since = now;
        core.window.clear();
        self.spotless.store(0, Ordering::Release);
        core.reserved = 0;
        core.running = 0;
        core.probes = Counts::default();
        if to == CircuitState::Closed {
            core.consecutive_failures = 0;
        }
        self.word.store(word(core.epoch, to), Ordering::Release);
        // Permits that were taken back start an epoch, but the state is the same.
        if from != to {
            core.entered[to as usize] += 1;
            core.untold.push_back(Transition {
                breaker: Arc::clone(&self.name),
                from,
                to,
                cause,
                epoch: core.epoch,
                at: SystemTime::now(),
            });
        }
    }

    /// Lets the lock go and tells the transitions that came about under it. One thread tells at a time, so that
    /// all see them in order.
    #[inline]
    fn unlock_and_tell<'a>(&'a self, core: MutexGuard<'a, Core>) {
        if core.untold.is_empty() || core.telling {
            return;
        }
        self.tell(core);
    }

    #[cold]
    fn tell<'a>(&'a self, mut core: MutexGuard<'a, Core>) {
        core.telling = true;
        // A subscriber's waker may panic; the next transition must find a teller all the same.
        struct Done<'a>(&'a Mutex<Core>);
        impl Drop for Done<'_> {
            fn drop(&mut self) {
                self.0.lock().telling = false;
            }
        }
        while let Some(transition) = core.untold.pop_front() {
            drop(core);
            let done = Done(&self.core);
            self.subscribers.tell(&transition);
            std::mem::forget(done);
            core = self.core.lock();
        }
        core.telling = false;
    }

    /// An operator's word: into `to`, whatever the state is.
    pub(crate) fn force(&self, to: CircuitState) {
        let now = clock::now();
        let mut core = self.core.lock();
        core.openings = 0;
        core.last_wait = Duration::ZERO;
        self.enter(&mut core, to, Cause::Operator, now);
        self.unlock_and_tell(core);
    }
}

impl Core {
    #[inline]
    fn count(&mut self, outcome: Outcome, slow: bool) {
        match outcome {
            Outcome::Success => self.totals.successes += 1,
            Outcome::Ignored => self.totals.ignored += 1,
            Outcome::Failure(kind) | Outcome::Permanent(kind) => self.totals.failures[kind.index()] += 1,
        }
        self.totals.slow += u64::from(slow);
    }
}

fn word(epoch: u64, state: CircuitState) -> u64 {
    epoch << STATE_BITS | state as u64
}

fn state_of(word: u64) -> CircuitState {
    CircuitState::from_code(word & ((1 << STATE_BITS) - 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::breaker::HalfOpen;

    #[tokio::test(start_paused = true)]
    async fn p02_a_permit_that_was_taken_back_starts_nothing() {
        let half_open = HalfOpen { permits: 1, max_wait: Duration::from_secs(1) };
        let circuit = Circuit::new("test".into(), BreakerSettings { half_open, ..Default::default() });
        circuit.open(&mut circuit.core.lock(), Cause::Operator, clock::now());
        tokio::time::advance(Duration::from_secs(10)).await;
        let idle = circuit.admit().unwrap();
        tokio::time::advance(half_open.max_wait).await;
        let busy = circuit.admit().unwrap();
        assert!(!circuit.start(idle), "two probes on one permit");
        assert!(circuit.start(busy));
        circuit.release(idle);
        let snapshot = circuit.snapshot();
        assert_eq!((snapshot.probes_in_flight, snapshot.in_state_for), (1, half_open.max_wait));
    }
}
