//! One circuit per key.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::{Ready, pending, ready};
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use campanile::breaker::{
    BreakerSettings, Cancelled, Cause, KeyedBreaker, KeyedBreakerBuilder, KeyedSettings, KeyedSnapshot,
};
use campanile::{CallError, CircuitBreaker, CircuitState, HalfOpen, RejectReason, Rejected, Window};
use tokio_test::task;
use tower::limit::ConcurrencyLimit;
use tower::{BoxError, Layer, Service, ServiceExt, service_fn};

use crate::{OPEN_FOR, advance, breaker, fail, fail_times, succeed};

/// A request is the number of its key, and whether it succeeds.
pub(crate) type KeyOf = fn(&(u64, bool)) -> u64;
pub(crate) type Numbered = KeyedBreaker<u64, KeyOf>;

pub(crate) fn keyed() -> KeyedBreakerBuilder<u64, KeyOf> {
    let key_of: KeyOf = |request| request.0;
    CircuitBreaker::keyed("upstream", key_of).settings(breaker().settings()).max_ejected(1.0)
}

fn answer((_, good): (u64, bool)) -> Ready<Result<(), BoxError>> {
    ready(if good { Ok(()) } else { Err("broken".into()) })
}

pub(crate) async fn call(keyed: &Numbered, key: u64, good: bool) -> Result<(), CallError<&'static str>> {
    keyed.call(key, async move { if good { Ok(()) } else { Err("broken") } }).await
}

/// Opens the circuit of `key`.
pub(crate) async fn breaks(keyed: &Numbered, key: u64) {
    for _ in 0..4 {
        let _ = call(keyed, key, false).await;
    }
    assert_eq!(state(keyed, key), Some(CircuitState::Open));
}

pub(crate) fn state(keyed: &Numbered, key: u64) -> Option<CircuitState> {
    keyed.get(&key).map(|circuit| circuit.state())
}

pub(crate) fn keys(keyed: &Numbered) -> Vec<u64> {
    let mut keys: Vec<_> = keyed.circuits().into_iter().map(|(key, _)| key).collect();
    keys.sort_unstable();
    keys
}

#[tokio::test(start_paused = true)]
async fn a_key_that_fails_does_not_shut_out_other_keys() {
    let keyed = keyed().build().unwrap();
    let mut service = keyed.layer().layer(service_fn(answer));
    for round in 0..4 {
        assert!(service.ready().await.unwrap().call((1, false)).await.is_err(), "{round}");
        assert!(service.ready().await.unwrap().call((2, true)).await.is_ok());
    }
    advance(Duration::from_secs(2)).await;
    let error = service.ready().await.unwrap().call((1, true)).await.unwrap_err();
    let rejected = Rejected::find(error.as_ref()).unwrap();
    assert_eq!((rejected.by(), rejected.reason()), ("upstream/1", RejectReason::Open));
    assert_eq!(rejected.retry_after(), Some(OPEN_FOR - Duration::from_secs(2)));
    assert!(service.ready().await.unwrap().call((2, true)).await.is_ok());
    assert!(service.ready().await.unwrap().call((3, true)).await.is_ok(), "a new key starts anew");

    // The circuit closes by its probes.
    advance(OPEN_FOR).await;
    for _ in 0..2 {
        assert!(service.ready().await.unwrap().call((1, true)).await.is_ok());
    }
    assert_eq!(state(&keyed, 1), Some(CircuitState::Closed));
    let snapshot = keyed.snapshot();
    assert_eq!((snapshot.circuits, snapshot.states.closed, snapshot.transitions), (3, 3, 3));
    assert_eq!((snapshot.totals.successes, snapshot.totals.rejected), (8, 1));
    assert_eq!(snapshot.totals.failures.iter().sum::<u64>(), 4);
}

#[tokio::test(start_paused = true)]
async fn at_most_a_share_is_open_at_once() {
    let keyed = keyed().max_ejected(0.3).build().unwrap();
    for key in 0..10 {
        call(&keyed, key, true).await.unwrap();
    }
    for key in 0..3 {
        for _ in 0..3 {
            let _ = call(&keyed, key, false).await;
        }
        assert_eq!(state(&keyed, key), Some(CircuitState::Open), "{key}");
    }
    let count =
        |snapshot: KeyedSnapshot| (snapshot.ejected, snapshot.kept_closed, snapshot.totals.kept_closed);
    assert_eq!(count(keyed.snapshot()), (3, 0, 0));
    for _ in 0..3 {
        let _ = call(&keyed, 3, false).await;
    }
    assert_eq!(state(&keyed, 3), Some(CircuitState::Closed));
    assert_eq!(count(keyed.snapshot()), (3, 1, 1));
    assert!(!call(&keyed, 3, false).await.unwrap_err().is_rejected());
    assert_eq!(count(keyed.snapshot()), (3, 1, 2));

    // The limit does not bind an operator, and a forced circuit takes no slot of it.
    keyed.circuit(4).force_open();
    keyed.circuit(0).force_open();
    assert_eq!(keyed.snapshot().states.forced_open, 2);
    assert_eq!(keyed.snapshot().max_ejected, 3);
    let _ = call(&keyed, 3, false).await;
    assert_eq!(state(&keyed, 3), Some(CircuitState::Open));
    assert_eq!(count(keyed.snapshot()), (3, 0, 2));

    // A circuit that closes frees its slot for another.
    for _ in 0..3 {
        let _ = call(&keyed, 5, false).await;
    }
    assert_eq!(state(&keyed, 5), Some(CircuitState::Closed));
    advance(OPEN_FOR).await;
    for _ in 0..2 {
        call(&keyed, 1, true).await.unwrap();
    }
    let _ = call(&keyed, 5, false).await;
    assert_eq!(state(&keyed, 5), Some(CircuitState::Open));
    assert_eq!(keyed.snapshot().ejected, 3);
}

#[tokio::test(start_paused = true)]
async fn a_single_key_may_always_open_and_an_evicted_one_frees_its_slot() {
    let keyed = keyed().max_ejected(0.01).max_keys(2).build().unwrap();
    breaks(&keyed, 1).await;
    let held = keyed.circuit(1);
    breaks_not(&keyed, 2).await;
    call(&keyed, 3, true).await.unwrap();
    assert_eq!(keys(&keyed), [1, 3], "the closed one went");
    keyed.circuit(3).force_open();
    call(&keyed, 4, true).await.unwrap();
    assert_eq!(keys(&keyed), [3, 4]);
    assert_eq!(keyed.snapshot().ejected, 0, "the circuit is held, but no request reaches it");
    breaks(&keyed, 4).await;
    assert_eq!(held.state(), CircuitState::Open);
    assert_eq!(keyed.snapshot().ejected, 1);
}

/// Every key fails and recovers: the cause was common to all.
#[tokio::test(start_paused = true)]
async fn successes_after_a_common_outage_open_no_circuit() {
    const KEYS: u64 = 1_000;
    let keyed = keyed().max_ejected(0.36).build().unwrap();
    for good in [true, false] {
        for _ in 0..10 {
            for key in 0..KEYS {
                let _ = call(&keyed, key, good).await;
            }
        }
    }
    let outage = keyed.snapshot();
    assert_eq!((outage.states.open, outage.kept_closed), (360, 640));
    // The open circuits close by their probes, and free their slots for others.
    advance(OPEN_FOR).await;
    for round in 0..10 {
        for key in 0..KEYS {
            call(&keyed, key, true).await.unwrap();
        }
        let states = keyed.snapshot().states;
        let half_open = if round == 0 { 360 } else { 0 };
        assert_eq!((states.open, states.half_open), (0, half_open), "in round {round}");
    }
    let over = keyed.snapshot();
    assert_eq!((over.kept_closed, over.ejected, over.totals.rejected), (0, 0, outage.totals.rejected));
}

#[tokio::test(start_paused = true)]
async fn a_success_takes_no_slot_from_a_circuit_whose_calls_fail() {
    let keyed = keyed().max_ejected(0.01).build().unwrap();
    breaks(&keyed, 1).await;
    breaks_not(&keyed, 2).await;
    keyed.circuit(1).reset();
    call(&keyed, 2, true).await.unwrap();
    assert_eq!(state(&keyed, 2), Some(CircuitState::Closed));
    assert_eq!(keyed.snapshot().kept_closed, 1, "its window still says so");
    breaks(&keyed, 3).await;
    breaks_not(&keyed, 2).await;
    keyed.circuit(3).reset();
    let _ = call(&keyed, 2, false).await;
    assert_eq!(state(&keyed, 2), Some(CircuitState::Open));
}

async fn breaks_not(keyed: &Numbered, key: u64) {
    for _ in 0..10 {
        assert!(!call(keyed, key, false).await.unwrap_err().is_rejected());
    }
}

#[tokio::test(start_paused = true)]
async fn totals_outlive_their_circuits_and_running_calls_are_counted_late() {
    let keyed = keyed().max_keys(1).build().unwrap();
    let mut transitions = keyed.subscribe();
    let counted = || {
        let totals = keyed.snapshot().totals;
        (totals.successes, totals.failures.iter().sum::<u64>(), totals.rejected)
    };
    breaks(&keyed, 1).await;
    assert!(call(&keyed, 1, true).await.is_err());
    call(&keyed, 2, true).await.unwrap();
    assert_eq!(counted(), (1, 4, 1));
    assert_eq!((keyed.snapshot().transitions, keyed.snapshot().evicted), (1, 1));

    let failing: Vec<_> = (0..4)
        .map(|_| {
            let (failed, fails) = tokio::sync::oneshot::channel::<()>();
            let mut call = task::spawn(keyed.call(2, async move { fails.await.map_err(|_| "broken") }));
            assert!(call.poll().is_pending());
            (call, failed)
        })
        .collect();
    call(&keyed, 3, true).await.unwrap();
    for (mut call, failed) in failing {
        drop(failed);
        assert!(call.poll().is_ready());
    }
    assert_eq!(counted(), (2, 8, 1));
    assert_eq!(keyed.snapshot().circuits, 1);
    // The transitions of an evicted circuit are not reported.
    let transition = transitions.try_recv().unwrap();
    assert_eq!((&*transition.breaker, transition.to), ("upstream/1", CircuitState::Open));
    assert!(matches!(transition.cause, Cause::FailureRate(_)));
    assert!(transitions.try_recv().is_none());
}

#[tokio::test(start_paused = true)]
async fn p01_a_refused_key_takes_no_permit_of_an_inner_limit() {
    let keyed = keyed().build().unwrap();
    let limited = ConcurrencyLimit::new(service_fn(answer), 1);
    let mut service = keyed.layer().layer(limited);
    let mut other = service.clone();
    keyed.circuit(1).force_open();
    for _ in 0..3 {
        let error = service.ready().await.unwrap().call((1, true)).await.unwrap_err();
        assert_eq!(Rejected::find(error.as_ref()).unwrap().reason(), RejectReason::ForcedOpen);
        // The refused service held the only permit while it was ready.
        let others = tokio::time::timeout(Duration::from_secs(1), other.ready()).await;
        assert!(others.expect("the refusal kept the permit").unwrap().call((2, true)).await.is_ok());
    }
    assert_eq!(keyed.snapshot().totals.rejected, 3);
}

#[tokio::test(start_paused = true)]
async fn p02_a_dropped_probe_of_a_key_releases_its_permit() {
    let keyed = keyed()
        .half_open(HalfOpen { permits: 1, max_wait: Duration::from_secs(30) })
        .cancelled(Cancelled::Ignored)
        .build()
        .unwrap();
    breaks(&keyed, 1).await;
    advance(OPEN_FOR).await;
    let mut service = keyed.layer().layer(service_fn(|_: (u64, bool)| pending::<Result<(), BoxError>>()));
    let in_flight = || keyed.circuit(1).snapshot().probes_in_flight;
    for polled in [false, true] {
        let mut probe = task::spawn(service.ready().await.unwrap().call((1, true)));
        assert!(!polled || probe.poll().is_pending());
        assert_eq!(in_flight(), 1);
        let error = service.ready().await.unwrap().call((1, true)).await.unwrap_err();
        assert_eq!(Rejected::find(error.as_ref()).unwrap().reason(), RejectReason::ProbesTaken);
        drop(probe);
        assert_eq!(in_flight(), 0);
        assert_eq!(state(&keyed, 1), Some(CircuitState::HalfOpen));
    }
}

#[tokio::test(start_paused = true)]
async fn only_plain_calls_wait_for_a_half_open_circuit() {
    let keyed = keyed().half_open_queue(1).build().unwrap();
    breaks(&keyed, 1).await;
    advance(OPEN_FOR).await;
    let mut service = keyed.layer().layer(service_fn(|_: (u64, bool)| pending::<Result<(), BoxError>>()));
    let mut probes = Vec::new();
    for _ in 0..2 {
        let mut probe = task::spawn(service.ready().await.unwrap().call((1, true)));
        assert!(probe.poll().is_pending());
        probes.push(probe);
    }
    let error = service.ready().await.unwrap().call((1, true)).await.unwrap_err();
    assert_eq!(Rejected::find(error.as_ref()).unwrap().reason(), RejectReason::ProbesTaken);
    let mut waits = task::spawn(keyed.call(1, async { Ok::<_, &str>(()) }));
    assert!(waits.poll().is_pending());
    drop(probes);
    assert!(waits.is_woken());
    assert!(waits.poll().is_ready());
}

#[tokio::test(start_paused = true)]
async fn a_key_function_that_panics_does_no_harm() {
    let keyed = CircuitBreaker::keyed("upstream", |request: &(u64, bool)| {
        assert_ne!(request.0, 13, "on purpose");
        request.0
    })
    .build()
    .unwrap();
    let limited = ConcurrencyLimit::new(service_fn(answer), 1);
    let mut service = keyed.layer().layer(limited);
    service.ready().await.unwrap();
    assert!(catch_unwind(AssertUnwindSafe(|| drop(service.call((13, true))))).is_err());
    assert!(service.ready().await.unwrap().call((1, true)).await.is_ok());
    assert_eq!((keyed.snapshot().circuits, keyed.snapshot().totals.successes), (1, 1));
}

thread_local! {
    static PANICS: Cell<&'static str> = const { Cell::new("") };
}

/// A key that panics in the operation that the test selects.
struct Explosive(u64);

impl Explosive {
    fn panic_in(what: &str) {
        assert_ne!(PANICS.get(), what, "on purpose");
    }
}

impl PartialEq for Explosive {
    fn eq(&self, other: &Self) -> bool {
        Self::panic_in("eq");
        self.0 == other.0
    }
}

impl Eq for Explosive {}

impl Hash for Explosive {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Self::panic_in("hash");
        self.0.hash(state);
    }
}

impl Clone for Explosive {
    fn clone(&self) -> Self {
        Self::panic_in("clone");
        Self(self.0)
    }
}

impl fmt::Display for Explosive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Self::panic_in("display");
        self.0.fmt(f)
    }
}

#[test]
fn a_key_that_panics_does_no_harm() {
    let keyed = CircuitBreaker::keyed("upstream", |key: &Explosive| key.clone()).max_keys(2).build().unwrap();
    let bursts = |what, run: &dyn Fn()| {
        PANICS.set(what);
        assert!(catch_unwind(AssertUnwindSafe(run)).is_err(), "{what}");
        PANICS.set("");
    };
    keyed.circuit(Explosive(1)).force_open();
    bursts("hash", &|| drop(keyed.circuit(Explosive(1))));
    bursts("eq", &|| drop(keyed.circuit(Explosive(1))));
    bursts("eq", &|| drop(keyed.get(&Explosive(1))));
    bursts("display", &|| drop(keyed.circuit(Explosive(2))));
    bursts("clone", &|| drop(keyed.circuits()));
    assert_eq!(keyed.snapshot().circuits, 1);
    for key in 2..10 {
        keyed.circuit(Explosive(key));
    }
    assert_eq!(keyed.get(&Explosive(1)).unwrap().state(), CircuitState::ForcedOpen);
    assert_eq!((keyed.snapshot().circuits, keyed.snapshot().evicted), (2, 7));
}

type Meanwhile = Box<dyn FnOnce()>;

thread_local! {
    static MEANWHILE: RefCell<Option<Meanwhile>> = const { RefCell::new(None) };
}

/// A key whose `Display` runs the code of the test, while its circuit is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Slow(u64);

impl fmt::Display for Slow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(meanwhile) = MEANWHILE.take() {
            meanwhile();
        }
        self.0.fmt(f)
    }
}

#[test]
fn changes_while_a_circuit_is_made_are_not_lost() {
    let keyed = CircuitBreaker::keyed("upstream", |key: &Slow| *key).build().unwrap();
    let other = keyed.clone();
    MEANWHILE.set(Some(Box::new(move || other.circuit(Slow(1)).force_open())));
    assert_eq!(keyed.circuit(Slow(1)).state(), CircuitState::ForcedOpen, "another thread added it first");
    assert_eq!(keyed.snapshot().circuits, 1);

    let other = keyed.clone();
    let settings = BreakerSettings { minimum_calls: 3, ..keyed.settings() };
    let later = settings.clone();
    MEANWHILE.set(Some(Box::new(move || other.reconfigure(later).unwrap())));
    assert_eq!(keyed.circuit(Slow(2)).settings(), settings);
}

#[tokio::test(start_paused = true)]
async fn new_settings_apply_to_all_circuits_and_to_new_ones() {
    let keyed = keyed().build().unwrap();
    call(&keyed, 1, true).await.unwrap();
    let settings = BreakerSettings { consecutive_failures: Some(1), ..keyed.settings() };
    keyed.reconfigure(settings.clone()).unwrap();
    assert_eq!(keyed.settings(), settings);
    for key in [1, 2] {
        let _ = call(&keyed, key, false).await;
        assert_eq!(state(&keyed, key), Some(CircuitState::Open), "{key}");
    }
    let error = keyed.reconfigure(BreakerSettings { failure_rate: 2.0, ..settings.clone() }).unwrap_err();
    assert_eq!(error.setting(), "failure_rate");
    assert_eq!((keyed.settings(), keyed.circuit(1).settings()), (settings.clone(), settings));
}

#[tokio::test(start_paused = true)]
async fn an_admin_page_finds_keyed_breakers_and_their_circuits() {
    let keyed = CircuitBreaker::keyed("found by name", |key: &u64| *key).build().unwrap();
    keyed.circuit(1);
    keyed.circuit(11);
    let found = || CircuitBreaker::all_keyed().into_iter().find(|keyed| keyed.name() == "found by name");
    let listed = found().unwrap();
    assert_eq!(listed.snapshot(), keyed.snapshot());
    assert_eq!(listed.circuits().len(), 2);
    listed.reconfigure(BreakerSettings { minimum_calls: 3, ..listed.settings() }).unwrap();
    assert_eq!(keyed.circuit(1).settings().minimum_calls, 3);
    let mut transitions = listed.subscribe();
    let named = CircuitBreaker::named("found by name/1");
    assert_eq!(named.len(), 1);
    named[0].force_open();
    assert_eq!(keyed.circuit(1).state(), CircuitState::ForcedOpen);
    assert_eq!(&*transitions.recv().await.unwrap().breaker, "found by name/1");
    assert!(CircuitBreaker::all().iter().all(|breaker| !breaker.name().starts_with("found by name")));
    drop((listed, named, keyed));
    assert!(found().is_none());
    assert!(transitions.recv().await.is_none(), "no handle is left");
}

#[test]
fn settings_of_a_keyed_breaker_are_checked_and_read_from_text() {
    for (builder, setting, value) in [
        (keyed().max_keys(0), "max_keys", "0"),
        (keyed().max_keys(1_000_001), "max_keys", "1000001"),
        (keyed().max_ejected(0.0), "max_ejected", "0.0"),
        (keyed().max_ejected(1.1), "max_ejected", "1.1"),
        (keyed().max_ejected(f64::NAN), "max_ejected", "NaN"),
        (keyed().failure_rate(0.0), "failure_rate", "0.0"),
    ] {
        let error = builder.build().expect_err(setting);
        assert_eq!((error.setting(), error.value()), (setting, value));
        assert!(error.to_string().contains(value), "{error}");
    }
    let read = |text: &str| serde_json::from_str::<KeyedSettings>(text);
    let settings = read(r#"{"circuit": {"minimum_calls": 3}, "max_keys": 5, "max_ejected": 0.1}"#).unwrap();
    assert_eq!((settings.circuit.minimum_calls, settings.max_keys, settings.max_ejected), (3, 5, 0.1));
    assert_eq!(read(&serde_json::to_string(&settings).unwrap()).unwrap(), settings);
    assert_eq!(read("{}").unwrap(), KeyedSettings::default());
    assert!(read(r#"{"max_key": 5}"#).unwrap_err().to_string().contains("max_key"));
    let made = |settings| KeyedBreaker::from_settings("test", |key: &u64| *key, &settings);
    assert_eq!(made(settings.clone()).unwrap().snapshot().max_keys, 5);
    let wrong = BreakerSettings { window: Window::count(0), ..BreakerSettings::default() };
    let error = made(KeyedSettings { circuit: wrong, ..settings }).unwrap_err();
    assert_eq!(error.setting(), "circuit.window");
}

/// A circuit of a keyed breaker works like any other.
#[tokio::test(start_paused = true)]
async fn the_handle_of_a_key_is_a_circuit_breaker() {
    let keyed = keyed().build().unwrap();
    let circuit = keyed.circuit(1);
    fail_times(&circuit, 4).await;
    assert!(!succeed(&circuit).await && !fail(&circuit).await);
    circuit.reset();
    let mut service = circuit.layer().layer(service_fn(answer));
    assert!(service.ready().await.unwrap().call((2, true)).await.is_ok());
    assert_eq!(circuit.snapshot().totals.successes, 1);
    assert_eq!(&*circuit.snapshot().name, "upstream/1");
}

#[test]
fn concurrent_threads_stay_within_the_bounds_and_lose_no_count() {
    const THREADS: u64 = 8;
    const ROUNDS: u64 = 4_000;
    // Two shards, and keys for twice as many.
    let keyed = keyed().max_keys(1_200).max_ejected(0.05).build().unwrap();
    let (done, calls) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut before = 0;
            let mut looks = 0;
            while !done.load(Ordering::SeqCst) || looks == 0 {
                let snapshot = keyed.snapshot();
                assert!(snapshot.circuits <= 1_200, "{snapshot:?}");
                // Circuits that another thread added first count for a moment.
                assert!(snapshot.ejected <= 61, "{snapshot:?}");
                let totals = snapshot.totals;
                let counted = totals.successes + totals.failures.iter().sum::<u64>() + totals.rejected;
                assert!(counted >= before, "{counted} after {before}");
                before = counted;
                looks += 1;
            }
        });
        let callers: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (keyed, calls) = (&keyed, &calls);
                scope.spawn(move || {
                    let mut random = fastrand::Rng::with_seed(thread);
                    let mut service = keyed.layer().layer(service_fn(answer));
                    for _ in 0..ROUNDS {
                        let key = random.u64(..2_400);
                        assert!(task::spawn(service.ready()).poll().is_ready());
                        let answered = task::spawn(service.call((key, key.is_multiple_of(2)))).poll();
                        assert!(answered.is_ready());
                        calls.fetch_add(1, Ordering::SeqCst);
                    }
                })
            })
            .collect();
        let finished: Vec<_> = callers.into_iter().map(|caller| caller.join()).collect();
        done.store(true, Ordering::SeqCst);
        watcher.join().unwrap();
        finished.into_iter().for_each(Result::unwrap);
    });
    let snapshot = keyed.snapshot();
    let totals = snapshot.totals;
    let counted = totals.successes + totals.failures.iter().sum::<u64>() + totals.rejected;
    assert_eq!(counted, calls.load(Ordering::SeqCst));
    assert!(snapshot.evicted > 0 && totals.rejected > 0 && totals.kept_closed > 0, "{snapshot:?}");
    let states = snapshot.states;
    assert_eq!(states.closed + states.open + states.half_open, snapshot.circuits);
    assert_eq!(states.open + states.half_open, snapshot.ejected);
    // Nearly full: keys spread over the shards.
    assert!(snapshot.circuits > 1_150);
}

#[test]
fn concurrent_reconfigurations_agree_in_the_end() {
    const THREADS: u32 = 4;
    let keyed = keyed().max_keys(20).build().unwrap();
    let (barrier, quarrels) = (Barrier::new(THREADS as usize), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (keyed, barrier, quarrels) = (&keyed, &barrier, &quarrels);
            scope.spawn(move || {
                for round in 0..500 {
                    barrier.wait();
                    let minimum_calls = 1 + thread;
                    let settings = BreakerSettings { minimum_calls, ..BreakerSettings::default() };
                    keyed.reconfigure(settings).unwrap();
                    keyed.circuit(u64::from(thread * 500 + round));
                    barrier.wait();
                    let settings = keyed.settings();
                    let agree = keyed.circuits().iter().all(|(_, circuit)| circuit.settings() == settings);
                    quarrels.fetch_add(u64::from(!agree), Ordering::SeqCst);
                }
            });
        }
    });
    assert_eq!(quarrels.load(Ordering::SeqCst), 0);
}

#[cfg(feature = "http")]
mod http {
    use std::convert::Infallible;

    use ::http::{HeaderMap, Request, Response, StatusCode, header};
    use axum::Router;
    use axum::body::Body;
    use axum::routing::get;

    use super::*;

    fn request(host: &str) -> Request<Body> {
        Request::get("/").header(header::HOST, host).body(Body::empty()).unwrap()
    }

    fn host<B>(request: &Request<B>) -> String {
        let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
        host.unwrap_or("none").to_owned()
    }

    #[tokio::test(start_paused = true)]
    async fn axum_accepts_the_layer_and_refuses_by_host() {
        let keyed = CircuitBreaker::keyed("upstream", host)
            .settings(breaker().settings())
            .max_ejected(0.5)
            .build()
            .unwrap();
        let app: Router = Router::new()
            .route(
                "/",
                get(|headers: HeaderMap| async move {
                    if headers[header::HOST] == "bad" { StatusCode::BAD_GATEWAY } else { StatusCode::OK }
                }),
            )
            .layer(keyed.http_layer());
        let status = async |host: &str| app.clone().oneshot(request(host)).await.unwrap().status();
        assert_eq!(status("good").await, StatusCode::OK);
        for _ in 0..4 {
            assert_eq!(status("bad").await, StatusCode::BAD_GATEWAY);
        }
        let refused = app.clone().oneshot(request("bad")).await.unwrap();
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(refused.headers()["retry-after"], "5");
        assert_eq!(refused.extensions().get::<Rejected>().unwrap().by(), "upstream/bad");
        assert_eq!(status("good").await, StatusCode::OK);
    }

    #[tokio::test(start_paused = true)]
    async fn the_body_type_of_the_request_is_inferred() {
        let keyed = CircuitBreaker::keyed("upstream", |request: &Request<_>| host(request)).build().unwrap();
        let inner = service_fn(|_: Request<Body>| ready(Ok::<_, Infallible>(Response::new(Body::empty()))));
        let mut service = keyed.http_layer().layer(inner);
        let response = service.ready().await.unwrap().call(request("a")).await.unwrap();
        drop(response);
        assert_eq!(keyed.circuits().len(), 1);
    }

    #[cfg(feature = "grpc")]
    #[tokio::test(start_paused = true)]
    async fn a_grpc_call_is_judged_by_its_status_and_refused_by_its_key() {
        let keyed = CircuitBreaker::keyed("upstream", host).consecutive_failures(1).build().unwrap();
        let inner = service_fn(|_: Request<Body>| {
            let response = Response::builder().header("grpc-status", "14").body(Body::empty()).unwrap();
            ready(Ok::<_, Infallible>(response))
        });
        let mut service = keyed.grpc_layer().layer(inner);
        drop(service.ready().await.unwrap().call(request("a")).await.unwrap());
        assert_eq!(keyed.get(&"a".to_owned()).unwrap().state(), CircuitState::Open);
        let refused = service.ready().await.unwrap().call(request("a")).await.unwrap();
        assert_eq!(refused.headers()["grpc-status"], "14");
        assert_eq!(refused.extensions().get::<Rejected>().unwrap().by(), "upstream/a");
    }
}
