//! Operators, subscribers, and layers of one handle.

use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock, mpsc};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::Duration;

use campanile::{CircuitBreaker, CircuitState, FailureKind, Outcome};
use futures_core::Stream;
use tower::{BoxError, Layer, Service, ServiceExt, service_fn};
use tower_resilience_circuitbreaker::CircuitState as State;

use crate::subject::{
    Act, Failed, OPEN_FOR, Subject, Wanted, call, open, ours, peer, peer_builder, peer_failed, wait,
};

/// The result of a call long after the circuit was forced open.
async fn long_after_force_open(subject: &impl Subject) -> Result<(), Failed> {
    subject.force_open().await;
    wait(3 * OPEN_FOR).await;
    call(&mut subject.client(), Act::Succeed).await
}

#[tokio::test(start_paused = true)]
async fn fault_07_forced_open_stays() {
    assert_eq!(long_after_force_open(&ours(Wanted::default())).await, Err(Failed::Refused));
}

/// Its `manual_mode` keeps the circuit open, but then the circuit never opens by itself either.
#[tokio::test]
#[ignore = "shows the fault in tower-resilience 0.14; run with --ignored"]
async fn peer_07_forced_open_recovers_by_itself() {
    assert_eq!(long_after_force_open(&peer(Wanted::default())).await, Ok(()));
}

/// A waker that reads the state of the breaker and changes it.
struct Meddler {
    breaker: CircuitBreaker,
    seen: OnceLock<CircuitState>,
}

impl Wake for Meddler {
    fn wake(self: Arc<Self>) {
        if self.seen.set(self.breaker.state()).is_ok() {
            self.breaker.force_open();
        }
    }
}

/// Runs in another thread, because a lock that is held while a subscriber or a classifier runs would block it for ever.
fn within_a_minute<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(work()));
    receiver.recv_timeout(Duration::from_secs(60)).expect("blocked by a lock of the breaker, or a panic")
}

#[test]
fn fault_09_listeners_and_classifiers_run_outside_of_the_lock() {
    let seen = within_a_minute(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let breaker = ours(Wanted::default());
            let mut transitions = breaker.subscribe();
            let meddler = Arc::new(Meddler { breaker: breaker.clone(), seen: OnceLock::new() });
            let waker = Waker::from(Arc::clone(&meddler));
            assert!(Pin::new(&mut transitions).poll_next(&mut Context::from_waker(&waker)).is_pending());
            let asking = breaker.clone();
            let classifier = move |result: Result<&(), &BoxError>| {
                assert!(asking.snapshot().calls < 10);
                if result.is_ok() { Outcome::Success } else { Outcome::Failure(FailureKind::Error) }
            };
            let inner = service_fn(|()| async { Err::<(), _>(BoxError::from("broken")) });
            let mut service = breaker.layer().classify(classifier).layer(inner);
            for _ in 0..10 {
                let _ = service.ready().await.unwrap().call(()).await;
            }
            let transitions: Vec<_> =
                std::iter::from_fn(|| transitions.try_recv()).map(|transition| transition.to).collect();
            assert_eq!(transitions, [CircuitState::Open, CircuitState::ForcedOpen]);
            meddler.seen.get().copied()
        })
    });
    assert_eq!(seen, Some(CircuitState::Open), "reported after the state is visible");
}

#[tokio::test]
#[ignore = "shows the fault in tower-resilience 0.14; run with --ignored"]
async fn peer_09_listeners_and_classifiers_run_under_the_lock_and_before_the_state() {
    let look: Arc<OnceLock<Look>> = Arc::default();
    let (reported, asked) = (Arc::new(OnceLock::new()), Arc::new(OnceLock::new()));
    let listener = {
        let (look, reported) = (Arc::clone(&look), Arc::clone(&reported));
        move |_: State, _: State| reported.set(look.get().unwrap()()).unwrap()
    };
    let classifier = {
        let (look, asked) = (Arc::clone(&look), Arc::clone(&asked));
        move |result: &Result<(), &str>| {
            let _ = asked.set(look.get().unwrap()());
            result.is_err()
        }
    };
    let builder = peer_builder(Wanted::default()).on_state_transition(listener);
    let (layer, handle) = builder.failure_classifier(classifier).build_with_handle().unwrap();
    // The metrics of the peer wait for the lock.
    let looks = move || {
        let metrics = pin!(handle.metrics()).poll(&mut Context::from_waker(Waker::noop()));
        (handle.state(), metrics.is_pending())
    };
    assert!(look.set(Box::new(looks)).is_ok());
    let mut service = layer.layer(service_fn(|()| async { Err::<(), _>("broken") }));
    for _ in 0..10 {
        let _ = service.ready().await.unwrap().call(()).await;
    }
    assert_eq!(look.get().unwrap()(), (State::Open, false));
    assert_eq!(reported.get(), Some(&(State::Closed, true)), "before the state, under the lock");
    assert_eq!(asked.get(), Some(&(State::Closed, true)), "under the lock");
}

/// The state, and whether the lock is taken.
type Look = Box<dyn Fn() -> (State, bool) + Send + Sync>;

#[tokio::test(start_paused = true)]
async fn fault_10_every_layer_of_a_handle_has_the_same_circuit() {
    let breaker = ours(Wanted::default());
    let mut other = breaker.client();
    open(&breaker).await;
    assert_eq!(call(&mut other, Act::Succeed).await, Err(Failed::Refused));
    assert_eq!(call(&mut breaker.client(), Act::Succeed).await, Err(Failed::Refused));
}

/// With `build`. Its `build_with_handle` shares the state.
#[tokio::test]
#[ignore = "shows the fault in tower-resilience 0.14; run with --ignored"]
async fn peer_10_every_layer_has_a_circuit_of_its_own() {
    let layer = peer_builder(Wanted::default()).build().unwrap();
    let service = || {
        layer
            .layer(service_fn(|good: bool| async move { if good { Ok(()) } else { Err("broken") } }))
            .map_err(peer_failed)
    };
    let (mut first, mut second) = (service(), service());
    for _ in 0..10 {
        let _ = first.ready().await.unwrap().call(false).await;
    }
    assert_eq!(first.ready().await.unwrap().call(true).await, Err(Failed::Refused));
    assert_eq!(second.ready().await.unwrap().call(true).await, Ok(()));
}
