//! What all handles and services of one breaker share: the machine, a name, and those who want to know.

use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use tokio::sync::Notify;

use super::ejections::Place;
use super::health_probe::HealthProbe;
use super::machine::{Admission, Change, Machine, Observer, Refusal};
use super::settings::BreakerSettings;
use super::snapshot::{BreakerSnapshot, CircuitState};
use super::transition::{Subscribers, Transition};
use crate::clock::{self, Tick};
use crate::error::{ConfigError, RejectReason, Rejected};
use crate::outcome::{FailureKind, Outcome};
use crate::signal::{self, BreakerSign, Emit, Sign, Source};

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Circuit {
    /// First, so that what every call touches lies together.
    pub(super) machine: Machine,
    pub(super) name: Arc<str>,
    pub(super) subscribers: Subscribers,
    /// Wakes callers that wait for a half-open circuit; there is none before the first of them.
    waiters: OnceLock<Arc<Notify>>,
    health_probe: Option<HealthProbe>,
    me: Weak<Circuit>,
}

impl Circuit {
    pub(super) fn new(
        name: Arc<str>,
        settings: BreakerSettings,
        place: Place,
        health_probe: Option<HealthProbe>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            machine: Machine::new(settings, place, health_probe.is_some(), clock::now()),
            name,
            subscribers: Subscribers::default(),
            waiters: OnceLock::new(),
            health_probe,
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

    /// The error for a call that was refused; counts it.
    pub(super) fn refuse(&self, refusal: Refusal) -> Rejected {
        self.machine.count_refusal(refusal.reason);
        Rejected::new(Arc::clone(&self.name), refusal.reason, refusal.retry_after)
    }

    pub(super) fn release(&self, admission: Admission) {
        self.machine.release(admission, self);
    }

    /// A call ended that was not timed.
    #[inline]
    pub(super) fn settle(&self, admission: Admission, outcome: Outcome) {
        if outcome != Outcome::Success || !self.machine.settle_spotless(admission) {
            self.machine.settle(admission, outcome, None, clock::now, self);
        }
    }

    /// A call ended that began at `since`.
    pub(super) fn settle_timed(&self, admission: Admission, outcome: Outcome, since: Tick) {
        let now = clock::now();
        self.machine.settle(admission, outcome, Some(now.since(since)), || now, self);
    }

    /// A cancelled call that ran so long is a failure.
    pub(super) fn cancelled_after(&self) -> Option<Duration> {
        self.machine.look(|core, _| core.settings().cancelled_after(self.machine.slow_limit()))
    }

    pub(super) fn settings(&self) -> BreakerSettings {
        self.machine.look(|core, _| core.settings().clone())
    }

    pub(super) fn reconfigure(&self, settings: BreakerSettings) -> Result<(), ConfigError> {
        self.machine.reconfigure(settings, clock::now(), self)
    }

    pub(super) fn force(&self, to: CircuitState) {
        self.machine.force(to, clock::now(), self);
    }

    pub(super) fn waiters(&self) -> &Arc<Notify> {
        self.waiters.get_or_init(Arc::default)
    }

    pub(super) fn snapshot(&self) -> BreakerSnapshot {
        let now = clock::now();
        self.machine.look(|core, totals| {
            let counts = core.counts(now);
            BreakerSnapshot {
                name: Arc::clone(&self.name),
                state: core.state(),
                in_state_for: now.since(core.since()),
                next_probe_in: (core.state() == CircuitState::Open).then(|| self.machine.next_probe_in(now)),
                calls: counts.calls,
                failures: counts.failures,
                slow_calls: counts.slow,
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
        self.subscribers.tell(&Transition {
            breaker: Arc::clone(&self.name),
            from: change.from,
            to: change.to,
            cause: change.cause,
            epoch: change.epoch,
            at: change.at,
        });
        if change.to == CircuitState::Open
            && let Some(probe) = &self.health_probe
        {
            probe.watch(Weak::clone(&self.me), change.epoch);
        }
        self.freed();
    }

    fn freed(&self) {
        if let Some(waiters) = self.waiters.get() {
            waiters.notify_waiters();
        }
    }
}

impl Source for Circuit {
    #[allow(clippy::cast_precision_loss)] // Counts of calls stay far below 2^52.
    fn observe(&self, emit: &mut Emit<'_>) {
        let (state, totals, entered) =
            self.machine.look(|core, totals| (core.state(), totals, core.entered()));
        let name = ("breaker", &*self.name);
        for each in CircuitState::ALL {
            let is_in = f64::from(u8::from(each == state));
            emit(&signal::BREAKER_STATE, is_in, &[name, ("state", each.as_str())]);
            let times = entered[each as usize] as f64;
            emit(&signal::BREAKER_TRANSITIONS, times, &[name, ("state", each.as_str())]);
        }
        emit(&signal::BREAKER_CALLS, totals.successes as f64, &[name, ("outcome", "success")]);
        emit(&signal::BREAKER_CALLS, totals.ignored as f64, &[name, ("outcome", "ignored")]);
        for kind in FailureKind::ALL {
            let count = totals.failures[kind.index()] as f64;
            emit(&signal::BREAKER_CALLS, count, &[name, ("outcome", kind.as_str())]);
        }
        emit(&signal::BREAKER_SLOW_CALLS, totals.slow as f64, &[name]);
        emit(&signal::BREAKER_WOULD_OPEN, totals.would_open as f64, &[name]);
        for reason in [RejectReason::Open, RejectReason::ProbesTaken, RejectReason::ForcedOpen] {
            let count = self.machine.refusals(reason) as f64;
            emit(&signal::BREAKER_REJECTIONS, count, &[name, ("reason", reason.as_str())]);
        }
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
