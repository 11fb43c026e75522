//! Models of the state machine, with threads in every order under `loom` (`tests/run loom`), otherwise in one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::word::EPOCH_SHIFT;
use super::{Admission, Change, Machine, Observer};
use crate::base::backoff::{Backoff, Jitter};
use crate::base::clock::Tick;
use crate::base::outcome::{FailureKind, Outcome};
use crate::base::window::Window;
use crate::layers::breaker::ejections::EjectionSlot;
use crate::layers::breaker::settings::{BreakerSettings, HalfOpen};
use crate::layers::breaker::snapshot::{CircuitState, Totals};

const WAIT: Duration = Duration::from_secs(5);
const START: Tick = Tick(1_000_000_000);
const SUCCESS: Outcome = Outcome::Success;
const FAILURE: Outcome = Outcome::Failure(FailureKind::Error);

/// Runs `model` with its threads in every order under `loom`, otherwise in one.
fn model(model: impl Fn() + Send + Sync + 'static) {
    #[cfg(campanile_loom)]
    loom::model(model);
    #[cfg(not(campanile_loom))]
    model();
}

#[cfg(campanile_loom)]
use loom::thread;
#[cfg(not(campanile_loom))]
use std::thread;

/// The reported changes, in order. Its lock is not part of the model.
#[derive(Debug)]
struct TestCircuit {
    machine: Machine,
    changes: crate::base::sync::Mutex<Vec<Change>>,
}

impl Observer for TestCircuit {
    fn changed(&self, change: Change) {
        // The state is visible before its report, and no older state after.
        let word = self.machine.atomics.word.load(crate::base::sync::raced::atomic::Ordering::Acquire);
        assert!(word >> EPOCH_SHIFT >= change.epoch, "reported before it was visible");
        self.changes.lock().push(change);
    }

    fn freed(&self) {}
}

impl TestCircuit {
    /// A circuit that opens at the first failure and has one probe.
    fn new(window: u32) -> Arc<Self> {
        let settings = BreakerSettings {
            failure_rate: 0.5,
            window: Window::count(window),
            minimum_calls: 1,
            open_for: Backoff::constant(WAIT).jitter(Jitter::None),
            half_open: HalfOpen { permits: 1, max_wait: WAIT },
            ..Default::default()
        };
        let machine = Machine::new(settings.into(), EjectionSlot::default(), false, START);
        Arc::new(Self { machine, changes: crate::base::sync::Mutex::default() })
    }

    fn opened() -> Arc<Self> {
        let circuit = Self::new(2);
        circuit.call(FAILURE, START);
        assert_eq!(circuit.machine.state(), CircuitState::Open);
        circuit
    }

    fn admit(&self, now: Tick) -> Option<Admission> {
        self.machine.admit(now, self).ok()
    }

    fn end(&self, admission: Admission, outcome: Outcome, now: Tick) {
        self.machine.settle(admission, outcome, None, || now, self);
    }

    /// A call that ends at once. Returns whether it was admitted.
    fn call(&self, outcome: Outcome, now: Tick) -> bool {
        let Some(admission) = self.admit(now) else { return false };
        let started = self.machine.start(admission, || now);
        if started {
            self.end(admission, outcome, now);
        }
        started
    }

    /// Each change starts from the state before it, and all changes are reported.
    fn assert_in_order(&self) {
        let changes = self.changes.lock();
        let mut before = (CircuitState::Closed, 0);
        for change in &*changes {
            assert_eq!(change.from, before.0);
            assert!(change.epoch > before.1);
            before = (change.to, change.epoch);
        }
        assert_eq!(before.0, self.machine.state());
        assert!(self.machine.core.lock().unreported.is_empty());
    }

    fn times(&self, to: CircuitState) -> usize {
        self.changes.lock().iter().filter(|change| change.to == to).count()
    }

    fn totals(&self) -> Totals {
        self.machine.read(|_, totals| totals)
    }
}

/// Runs both closures at once, to their ends.
fn race(
    circuit: &Arc<TestCircuit>,
    one: impl Fn(&TestCircuit) + Send + 'static,
    other: impl Fn(&TestCircuit),
) {
    let shared = Arc::clone(circuit);
    let thread = thread::spawn(move || one(&shared));
    other(circuit);
    thread.join().unwrap();
}

#[test]
fn p06_two_failures_at_once_open_the_circuit_once() {
    model(|| {
        let circuit = TestCircuit::new(2);
        let (first, second) = (circuit.admit(START).unwrap(), circuit.admit(START).unwrap());
        race(
            &circuit,
            move |circuit| circuit.end(first, FAILURE, START),
            |circuit| circuit.end(second, FAILURE, START),
        );
        assert_eq!(circuit.times(CircuitState::Open), 1);
        circuit.assert_in_order();
        assert_eq!(circuit.totals().failures[FailureKind::Error.index()], 2);
    });
}

#[test]
fn p02_p06_two_callers_compete_for_one_permit() {
    model(|| {
        let circuit = TestCircuit::opened();
        let inside = Arc::new(AtomicU32::new(0));
        let again = Arc::clone(&inside);
        let probe = |inside: &AtomicU32, circuit: &TestCircuit| {
            let Some(admission) = circuit.admit(START + WAIT) else { return };
            if admission.is_probe() {
                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two probes on one permit");
            }
            let started = circuit.machine.start(admission, || START + WAIT);
            if admission.is_probe() {
                assert!(started);
                inside.fetch_sub(1, Ordering::SeqCst);
            }
            if started {
                circuit.end(admission, SUCCESS, START + WAIT);
            }
        };
        race(&circuit, move |circuit| probe(&again, circuit), |circuit| probe(&inside, circuit));
        assert_eq!(circuit.machine.state(), CircuitState::Closed);
        assert_eq!(circuit.times(CircuitState::HalfOpen), 1);
        assert_eq!(circuit.times(CircuitState::Closed), 1);
        circuit.assert_in_order();
    });
}

#[test]
fn p02_a_released_permit_is_free_for_another_caller() {
    model(|| {
        let circuit = TestCircuit::opened();
        let probe = circuit.admit(START + WAIT).unwrap();
        let passed = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&passed);
        race(
            &circuit,
            move |circuit| {
                count.fetch_add(u32::from(circuit.call(SUCCESS, START + WAIT)), Ordering::SeqCst);
            },
            move |circuit| circuit.machine.release(probe, circuit),
        );
        let snapshot = circuit.machine.read(|core, _| (core.state(), core.probes_in_flight()));
        let passed = passed.load(Ordering::SeqCst);
        let state = if passed == 1 { CircuitState::Closed } else { CircuitState::HalfOpen };
        assert_eq!(snapshot, (state, 0));
        assert!(passed == 1 || circuit.call(SUCCESS, START + WAIT), "the permit is lost");
    });
}

#[test]
fn p02_a_revoked_permit_starts_no_call() {
    model(|| {
        let circuit = TestCircuit::opened();
        let idle = circuit.admit(START + WAIT).unwrap();
        let late = START + WAIT + WAIT;
        let started = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&started);
        race(
            &circuit,
            move |circuit| {
                if circuit.machine.start(idle, || late) {
                    count.fetch_add(1, Ordering::SeqCst);
                } else {
                    circuit.machine.release(idle, circuit);
                }
            },
            |circuit| {
                if let Some(busy) = circuit.admit(late) {
                    started.fetch_add(u32::from(circuit.machine.start(busy, || late)), Ordering::SeqCst);
                }
            },
        );
        assert_eq!(started.load(Ordering::SeqCst), 1, "as many probes as permits");
        assert_eq!(circuit.machine.read(|core, _| core.probes_in_flight()), 1);
    });
}

#[test]
fn p03_an_outcome_of_an_older_epoch_changes_nothing() {
    model(|| {
        let circuit = TestCircuit::new(2);
        let old = circuit.admit(START).unwrap();
        race(
            &circuit,
            |circuit| {
                circuit.machine.force(CircuitState::ForcedOpen, START, circuit);
                circuit.machine.force(CircuitState::Closed, START, circuit);
            },
            move |circuit| circuit.end(old, FAILURE, START),
        );
        assert_eq!(circuit.machine.state(), CircuitState::Closed);
        assert_eq!(circuit.machine.read(|core, _| core.counts(START).calls), 0);
        assert_eq!(circuit.totals().failures[FailureKind::Error.index()], 1, "the totals count it");
        circuit.assert_in_order();
    });
}

#[test]
fn p05_a_failure_is_never_lost_among_successes_that_take_no_lock() {
    model(|| {
        let circuit = TestCircuit::new(1);
        assert!(circuit.call(SUCCESS, START));
        let (good, bad) = (circuit.admit(START).unwrap(), circuit.admit(START).unwrap());
        race(
            &circuit,
            move |circuit| circuit.end(good, SUCCESS, START),
            move |circuit| circuit.end(bad, FAILURE, START),
        );
        assert_eq!(circuit.machine.state(), CircuitState::Open);
        let totals = circuit.totals();
        assert_eq!((totals.successes, totals.failures[FailureKind::Error.index()]), (2, 1));
    });
}

#[test]
fn p06_concurrent_changes_by_operators_are_reported_in_order() {
    model(|| {
        let circuit = TestCircuit::new(2);
        race(
            &circuit,
            |circuit| circuit.machine.force(CircuitState::ForcedOpen, START, circuit),
            |circuit| {
                circuit.machine.force(CircuitState::Disabled, START, circuit);
                let settings = circuit.machine.read(|core, _| core.settings().clone());
                circuit.machine.reconfigure(settings.into(), START, circuit);
            },
        );
        circuit.assert_in_order();
    });
}
