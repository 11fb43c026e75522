//! The shared state of all handles and services of one breaker: state machine, name and subscribers.

use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use tokio::sync::Notify;

use super::counters::Counters;
use super::group::{KIND, Member};
use super::health_probe::{HealthProbe, ProbedCircuit, Probing};
use super::machine::{Admission, Change, Machine, Observer, Refusal};
use super::settings::BreakerSettings;
use super::snapshot::{BreakerSnapshot, CircuitState};
use super::transition::{Subscribers, Transition};
use crate::base::clock::{self, Tick};
use crate::base::error::{ConfigError, Rejected};
use crate::base::outcome::Outcome;
use crate::base::sync::atomic::{AtomicBool, Ordering};
use crate::signal::{self, BreakerSign, Emit, Place, Sign, Source, UnreadStatus};

/// The shared state of one circuit.
#[derive(Debug)]
pub(crate) struct Circuit {
    /// First, so that the fields of every call are together.
    pub(super) machine: Machine,
    pub(super) name: Arc<str>,
    pub(super) subscribers: Subscribers,
    /// Wakes callers that wait for a half-open circuit. Made for the first of them.
    waiters: OnceLock<Arc<Notify>>,
    probing: Option<Box<Probing>>,
    /// The keyed breaker of the circuit, even after its eviction.
    member: Option<Member>,
    /// Set after its eviction; calls may still run.
    evicted: AtomicBool,
    unread: UnreadStatus,
    me: Weak<Circuit>,
}

impl Circuit {
    pub(super) fn new(
        name: Arc<str>,
        settings: Arc<BreakerSettings>,
        health_probe: Option<HealthProbe>,
        member: Option<Member>,
    ) -> Arc<Self> {
        let slot = member.as_ref().map(|member| member.group.slot()).unwrap_or_default();
        Arc::new_cyclic(|me| Self {
            machine: Machine::new(settings, slot, health_probe.is_some(), clock::now()),
            name,
            subscribers: Subscribers::default(),
            waiters: OnceLock::new(),
            probing: health_probe.map(|probe| Box::new(Probing::new(probe))),
            member,
            evicted: AtomicBool::new(false),
            unread: UnreadStatus::default(),
            me: Weak::clone(me),
        })
    }

    #[inline]
    pub(crate) fn state(&self) -> CircuitState {
        self.machine.state()
    }

    pub(super) fn admit(&self) -> Result<Admission, Refusal> {
        self.machine.admit(clock::now(), self)
    }

    /// The error of a refused call; counts it. Boxed, which keeps the result of an admitted call small and avoids a
    /// store-forwarding stall.
    pub(super) fn refuse(&self, refusal: Refusal) -> Box<Rejected> {
        self.machine.count_refusal(refusal.reason);
        Box::new(Rejected::new(Arc::clone(&self.name), refusal.reason, refusal.retry_after))
    }

    /// Counts a call whose response is a `Res`, if that has a status that the default classifier does not read.
    #[inline(always)]
    pub(super) fn see<Res>(&self, place: Place) {
        match &self.member {
            Some(member) => member.group.see::<Res>(place),
            None => self.unread.see::<Res>(&KIND, &self.name, place),
        }
    }

    pub(super) fn release(&self, admission: Admission) {
        self.machine.release(admission, self);
    }

    /// Counts the end of a call that was not timed.
    #[inline]
    pub(super) fn settle(&self, admission: Admission, outcome: Outcome) {
        if outcome != Outcome::Success || !self.machine.settle_spotless(admission) {
            self.machine.settle(admission, outcome, None, clock::now, self);
        }
    }

    /// Counts the end of a call that started at `since`.
    pub(super) fn settle_timed(&self, admission: Admission, outcome: Outcome, since: Tick) {
        let now = clock::now();
        self.machine.settle(admission, outcome, Some(now.since(since)), || now, self);
    }

    /// A cancelled call that ran longer than this is a failure; `None` if none is.
    pub(super) fn cancelled_after(&self) -> Option<Duration> {
        self.machine.read(|core, _| core.settings().cancelled_after(self.machine.slow_limit()))
    }

    pub(super) fn settings(&self) -> BreakerSettings {
        self.machine.read(|core, _| BreakerSettings::clone(core.settings()))
    }

    pub(super) fn reconfigure(&self, settings: BreakerSettings) -> Result<(), ConfigError> {
        settings.validate(&self.name)?;
        self.reconfigure_valid(Arc::new(settings));
        Ok(())
    }

    pub(super) fn reconfigure_valid(&self, settings: Arc<BreakerSettings>) {
        self.machine.reconfigure(settings, clock::now(), self);
    }

    pub(super) fn force(&self, to: CircuitState) {
        self.machine.force(to, clock::now(), self);
    }

    pub(super) fn reset(&self) {
        self.machine.reset(clock::now(), self);
    }

    /// Evicts the circuit for another key: returns its counts, and releases its slot among the ejected ones.
    pub(super) fn evict(&self) -> Counters {
        self.evicted.store(true, Ordering::Relaxed);
        self.machine.retire()
    }

    /// Stops the health probe after an eviction. Callers that still hold the circuit probe it then.
    pub(super) fn stop_probing(&self) {
        if let Some(probing) = &self.probing {
            probing.stop();
        }
    }

    /// The time without a call since the end of an open circuit's wait, or of a half-open circuit.
    pub(super) fn idle_for(&self, now: Tick) -> Duration {
        self.machine.idle_for(now)
    }

    pub(super) fn waiters(&self) -> &Arc<Notify> {
        self.waiters.get_or_init(Arc::default)
    }

    pub(super) fn snapshot(&self) -> BreakerSnapshot {
        let now = clock::now();
        self.machine.read(|core, totals| {
            let counts = core.counts(now);
            BreakerSnapshot {
                name: Arc::clone(&self.name),
                state: core.state(),
                in_state_for: now.since(core.since()),
                next_probe_in: (core.state() == CircuitState::Open).then(|| self.machine.next_probe_in(now)),
                calls: counts.calls,
                failures: counts.failures,
                slow_calls: counts.slow,
                failure_rate: counts.failure_rate(),
                slow_call_rate: counts.slow_rate(),
                consecutive_failures: core.consecutive_failures(),
                probes_in_flight: core.probes_in_flight(),
                waiting: core.queue(),
                slow_call_limit: self.machine.slow_limit(),
                totals,
                transitions: core.entered().iter().sum(),
            }
        })
    }
}

impl Observer for Circuit {
    fn changed(&self, change: Change) {
        let transition = Transition {
            breaker: Arc::clone(&self.name),
            from: change.from,
            to: change.to,
            cause: change.cause,
            epoch: change.epoch,
            at: change.at,
        };
        transition.log();
        self.subscribers.notify(&transition);
        let evicted = || self.evicted.load(Ordering::Relaxed);
        if let Some(member) = self.member.as_ref().filter(|_| !evicted()) {
            member.changed(&transition);
        }
        if let Some(probing) = &self.probing {
            if change.to == CircuitState::Open {
                let circuit: Weak<dyn ProbedCircuit> = Weak::<Self>::clone(&self.me);
                probing.watch(circuit, change.epoch);
            }
            // An eviction meanwhile has stopped only the probe that it found.
            if change.to != CircuitState::Open || evicted() {
                probing.stop();
            }
        }
        self.freed();
    }

    fn freed(&self) {
        if let Some(waiters) = self.waiters.get() {
            waiters.notify_waiters();
        }
    }
}

impl ProbedCircuit for Circuit {
    fn name(&self) -> &str {
        &self.name
    }

    fn health_probe_at(&self, epoch: u64) -> Option<Tick> {
        self.machine.health_probe_at(epoch)
    }

    fn check_timeout(&self) -> Duration {
        self.machine.read(|core, _| core.settings().half_open.max_wait)
    }

    fn health_probed(&self, epoch: u64, healthy: bool) -> bool {
        self.machine.health_probed(epoch, healthy, clock::now(), self)
    }

    fn let_callers_probe(&self, epoch: u64) {
        self.machine.let_callers_probe(epoch);
        self.freed();
    }
}

impl Source for Circuit {
    fn observe(&self, emit: &mut Emit<'_>) {
        let (counters, state) = self.machine.counters(|core| core.state());
        for each in CircuitState::ALL {
            let is_in = f64::from(u8::from(each == state));
            emit(&signal::BREAKER_STATE, is_in, &[("breaker", &*self.name), ("state", each.as_str())]);
        }
        if let Some(limit) = self.machine.slow_limit() {
            emit(&signal::BREAKER_SLOW_CALL_LIMIT, limit.as_secs_f64(), &[("breaker", &*self.name)]);
        }
        counters.emit(&self.name, emit);
        self.unread.emit(&KIND, &self.name, emit);
    }

    fn signs(&self, emit: &mut dyn FnMut(&str, Sign)) {
        let sign = match self.state() {
            CircuitState::Closed | CircuitState::Disabled | CircuitState::MetricsOnly => BreakerSign::Closed,
            CircuitState::HalfOpen => BreakerSign::HalfOpen,
            CircuitState::Open => BreakerSign::Open,
            CircuitState::ForcedOpen => BreakerSign::ForcedOpen,
        };
        emit(&self.name, Sign::Breaker(sign));
    }
}

impl Drop for Circuit {
    fn drop(&mut self) {
        if let Some(member) = &self.member {
            member.group.add_late(&self.machine.retire());
        }
    }
}
