//! Which calls decide whether a circuit closes.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use campanile::{Backoff, CircuitBreaker, CircuitState, HalfOpen, Window};
use tower::{BoxError, Layer, Service, ServiceExt, service_fn};

use crate::subject::{
    Act, Client, Failed, OPEN_FOR, Running, Subject, Wanted, call, open, open_and_wait, ours, peer,
    peer_builder, wait,
};

fn one_permit() -> Wanted {
    Wanted { permits: 1, ..Wanted::default() }
}

/// Whether a circuit whose only probe hangs admits another call within a hundred times its bounds.
async fn recovers_while_a_probe_hangs(subject: &impl Subject) -> bool {
    open_and_wait(subject).await;
    let mut client = subject.client();
    let hanging = tokio::spawn({
        let mut client = client.clone();
        async move { call(&mut client, Act::Hang).await }
    });
    tokio::task::yield_now().await;
    let mut recovered = false;
    for _ in 0..20 {
        wait(OPEN_FOR).await;
        recovered |= call(&mut client, Act::Succeed).await.is_ok();
    }
    hanging.abort();
    recovered
}

#[tokio::test(start_paused = true)]
async fn fault_03_a_hanging_probe_does_not_hold_half_open_for_ever() {
    assert!(recovers_while_a_probe_hangs(&ours(one_permit())).await);
}

#[tokio::test]
#[ignore = "shows the fault in tower-resilience 0.14; run with --ignored"]
async fn peer_03_a_hanging_probe_holds_half_open_for_ever() {
    assert!(!recovers_while_a_probe_hangs(&peer(one_permit())).await);
}

/// The state of a half-open circuit after the end of calls that were admitted while it was closed.
async fn after_late_results(subject: &impl Subject, succeed: bool) -> CircuitState {
    let mut late = Vec::new();
    for _ in 0..8 {
        late.push(Running::start(subject).await);
    }
    open_and_wait(subject).await;
    // One of two probes succeeded: the circuit is still half-open.
    assert_eq!(call(&mut subject.client(), Act::Succeed).await, Ok(()));
    assert_eq!(subject.state(), CircuitState::HalfOpen);
    for call in late {
        call.end(succeed).await;
    }
    subject.state()
}

#[tokio::test(start_paused = true)]
async fn fault_04_results_of_an_older_epoch_decide_nothing() {
    for succeed in [true, false] {
        let breaker = ours(Wanted::default());
        assert_eq!(after_late_results(&breaker, succeed).await, CircuitState::HalfOpen);
        assert_eq!(breaker.snapshot().calls, 1, "only the probe counts");
    }
}

#[tokio::test]
#[ignore = "shows the fault in tower-resilience 0.14; run with --ignored"]
async fn peer_04_results_of_an_older_epoch_decide() {
    assert_eq!(after_late_results(&peer(Wanted::default()), true).await, CircuitState::Closed);
    assert_eq!(after_late_results(&peer(Wanted::default()), false).await, CircuitState::Open);
}

const SLOW: Duration = Duration::from_millis(20);

/// The state of a circuit that slow calls opened, after two slow probes.
async fn after_slow_probes(subject: &impl Subject) -> CircuitState {
    let mut client = subject.client();
    for _ in 0..10 {
        assert_eq!(call(&mut client, Act::Take(2 * SLOW)).await, Ok(()));
    }
    assert_eq!(subject.state(), CircuitState::Open);
    wait(OPEN_FOR).await;
    for _ in 0..2 {
        let _ = call(&mut client, Act::Take(2 * SLOW)).await;
    }
    subject.state()
}

fn with_a_slow_limit() -> Wanted {
    Wanted { slow: Some(SLOW), ..Wanted::default() }
}

#[tokio::test(start_paused = true)]
async fn fault_05_slow_probes_do_not_close_a_circuit_that_slow_calls_opened() {
    assert_eq!(after_slow_probes(&ours(with_a_slow_limit())).await, CircuitState::Open);
}

#[tokio::test]
#[ignore = "shows the fault in tower-resilience 0.14; run with --ignored"]
async fn peer_05_slow_probes_close_a_circuit_that_slow_calls_opened() {
    assert_eq!(after_slow_probes(&peer(with_a_slow_limit())).await, CircuitState::Closed);
}

/// Two clones are polled while there is one permit; then both are called, the second first.
#[derive(Debug, PartialEq)]
struct Race {
    /// The number of `poll_ready` calls that reached the inner service, which may have reserved capacity.
    inner_asked: usize,
    first: Result<(), Failed>,
    second: Result<(), Failed>,
}

async fn race_for_one_permit(subject: &impl Subject) -> Race {
    open_and_wait(subject).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let inner = Asked { asked: Arc::clone(&asked) };
    let mut first = subject.protect(inner.boxed_clone());
    let mut second = first.clone();
    first.ready().await.unwrap();
    second.ready().await.unwrap();
    let in_hand = second.call(Act::Take(Duration::from_millis(5)));
    let (second, first) = tokio::join!(in_hand, first.call(Act::Take(Duration::from_millis(5))));
    Race { inner_asked: asked.load(Ordering::SeqCst), first, second }
}

/// Counts the calls of `poll_ready`.
#[derive(Clone)]
struct Asked {
    asked: Arc<AtomicUsize>,
}

impl Service<Act> for Asked {
    type Response = ();
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, act: Act) -> Self::Future {
        Box::pin(async move {
            if let Act::Take(time) = act {
                tokio::time::sleep(time).await;
            }
            Ok(())
        })
    }
}

#[tokio::test(start_paused = true)]
async fn fault_08_the_clone_that_was_ready_first_has_the_permit() {
    let race = race_for_one_permit(&ours(one_permit())).await;
    assert_eq!(race, Race { inner_asked: 1, first: Ok(()), second: Err(Failed::Refused) });
}

#[tokio::test]
#[ignore = "shows the fault in tower-resilience 0.14; run with --ignored"]
async fn peer_08_two_clones_are_ready_on_one_permit() {
    let race = race_for_one_permit(&peer(one_permit())).await;
    assert_eq!(race, Race { inner_asked: 2, first: Err(Failed::Refused), second: Ok(()) });
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// The number of wakes of a client within 50 ms while another holds the only permit.
async fn wakes_while_half_open_is_full(mut client: Client) -> usize {
    let mut probe = client.clone();
    probe.ready().await.unwrap();
    let _hanging = tokio::spawn(probe.call(Act::Hang));
    tokio::task::yield_now().await;
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(Arc::clone(&wakes));
    for _ in 0..50 {
        let _ = client.poll_ready(&mut Context::from_waker(&waker));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    wakes.0.load(Ordering::SeqCst)
}

/// Neither a caller that is refused at once nor one that waits for the decision.
#[tokio::test(start_paused = true)]
async fn fault_08_a_full_half_open_circuit_wakes_no_caller_by_a_timer() {
    for queue in [0, 8] {
        let breaker = CircuitBreaker::builder("ours")
            .open_for(Backoff::constant(OPEN_FOR))
            .half_open(HalfOpen { permits: 1, max_wait: Duration::from_secs(30) })
            .half_open_queue(queue)
            .build()
            .unwrap();
        open_and_wait(&breaker).await;
        assert_eq!(wakes_while_half_open_is_full(breaker.client()).await, 0);
    }
}

#[tokio::test]
#[ignore = "shows the fault in tower-resilience 0.14; run with --ignored"]
async fn peer_08_a_full_half_open_polls_every_millisecond() {
    let (layer, handle) = peer_builder(one_permit()).backpressure().build_with_handle().unwrap();
    handle.force_open().await;
    wait(OPEN_FOR).await;
    let inner = service_fn(|_: Act| std::future::pending::<Result<(), BoxError>>());
    let client = layer.layer(inner).map_err(crate::subject::peer_failed).boxed_clone();
    assert!(wakes_while_half_open_is_full(client).await > 10);
}

// ===== other libraries, which are not dependencies of this test =====

/// resilience4j counts a result in the state that is current when it arrives. Here the result of a call arrives in every
/// state that can follow the one that admitted it, and changes none of them.
#[tokio::test(start_paused = true)]
async fn resilience4j_a_result_belongs_to_the_state_that_admitted_its_call() {
    type Enter = fn(&CircuitBreaker);
    let later: [(CircuitState, Enter); 5] = [
        (CircuitState::Closed, |breaker| breaker.reset()),
        (CircuitState::Open, |_| {}),
        (CircuitState::ForcedOpen, |breaker| breaker.force_open()),
        (CircuitState::Disabled, |breaker| breaker.disable()),
        (CircuitState::MetricsOnly, |breaker| breaker.metrics_only()),
    ];
    for succeed in [true, false] {
        for half_open in [false, true] {
            for (state, enter) in later {
                let breaker = ours(Wanted::default());
                if half_open {
                    open_and_wait(&breaker).await;
                }
                let late = Running::start(&breaker).await;
                // The circuit is open after this, unless the next step changes it.
                if half_open {
                    assert_eq!(call(&mut breaker.client(), Act::Fail).await, Err(Failed::ByItself));
                } else {
                    open(&breaker).await;
                }
                enter(&breaker);
                late.end(succeed).await;
                let snapshot = breaker.snapshot();
                assert_eq!((snapshot.state, snapshot.calls), (state, 0), "{snapshot:?}");
                assert_eq!(snapshot.probes_in_flight, 0);
            }
        }
    }
}

/// Polly closes a half-open circuit on a probe that was cancelled.
#[tokio::test(start_paused = true)]
async fn polly_a_cancelled_probe_does_not_close_a_circuit() {
    let breaker = ours(one_permit());
    open_and_wait(&breaker).await;
    for _ in 0..10 {
        let probe = Running::start(&breaker).await;
        assert_eq!(breaker.snapshot().probes_in_flight, 1);
        probe.task.abort();
        assert!(probe.task.await.unwrap_err().is_cancelled());
        assert_eq!((breaker.state(), breaker.snapshot().probes_in_flight), (CircuitState::HalfOpen, 0));
    }
}

/// failsafe-rs admits every call while it is half-open.
#[tokio::test(start_paused = true)]
async fn failsafe_half_open_admits_as_many_as_it_has_permits() {
    let breaker = ours(Wanted { permits: 3, window: Window::count(10), slow: None });
    open_and_wait(&breaker).await;
    let mut running = Vec::new();
    for _ in 0..100 {
        running.push(Running::start(&breaker).await);
    }
    let refused = running.iter().filter(|call| call.task.is_finished()).count();
    assert_eq!((breaker.snapshot().probes_in_flight, refused), (3, 97));
}
