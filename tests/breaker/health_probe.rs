//! A check that decides when an open circuit becomes half-open.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use campanile::breaker::Cause;
use campanile::{CircuitBreaker, CircuitState, FailureKind, HalfOpen};

use super::{OPEN_FOR, builder, fail_times, succeed};

/// A breaker whose check number n, from 1, returns `answer(n)`.
fn checked(answer: impl Fn(usize) -> Answer + Send + Sync + 'static) -> (CircuitBreaker, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let breaker = builder()
        .half_open(HalfOpen { permits: 2, max_wait: Duration::from_secs(3) })
        .health_probe(move || {
            let answer = answer(counter.fetch_add(1, Ordering::SeqCst) + 1);
            async move {
                match answer {
                    Answer::Well => Ok(()),
                    Answer::Ill => Err("still down"),
                    Answer::Hang => pending().await,
                    Answer::Panic => panic!("on purpose"),
                }
            }
        })
        .build()
        .unwrap();
    (breaker, asked)
}

#[derive(Clone, Copy)]
enum Answer {
    Well,
    Ill,
    Hang,
    Panic,
}

async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_circuit_stays_open_until_the_check_succeeds() {
    let (breaker, asked) = checked(|n| if n < 3 { Answer::Ill } else { Answer::Well });
    let mut transitions = breaker.subscribe();
    fail_times(&breaker, 4).await;
    assert_eq!(breaker.snapshot().next_probe_in, Some(OPEN_FOR));
    pass(OPEN_FOR).await;
    assert_eq!((breaker.state(), asked.load(Ordering::SeqCst)), (CircuitState::Open, 1));
    assert!(!succeed(&breaker).await, "a caller was made the probe");
    assert_eq!(breaker.snapshot().next_probe_in, Some(OPEN_FOR * 2), "the waits grow");
    pass(OPEN_FOR * 2).await;
    assert_eq!((breaker.state(), asked.load(Ordering::SeqCst)), (CircuitState::Open, 2));
    pass(OPEN_FOR * 4).await;
    assert_eq!((breaker.state(), asked.load(Ordering::SeqCst)), (CircuitState::HalfOpen, 3));
    assert_eq!(transitions.try_recv().unwrap().to, CircuitState::Open);
    assert_eq!(transitions.try_recv().unwrap().cause, Cause::HealthProbe);
    // The check makes the circuit half-open; the probes decide.
    assert!(succeed(&breaker).await && succeed(&breaker).await);
    assert_eq!(breaker.state(), CircuitState::Closed);
    pass(Duration::from_secs(3_600)).await;
    assert_eq!(asked.load(Ordering::SeqCst), 3, "a closed circuit is checked");
}

#[tokio::test(start_paused = true)]
async fn p04_a_check_that_hangs_or_panics_has_failed() {
    let (breaker, asked) = checked(|n| match n {
        1 => Answer::Panic,
        2 => Answer::Hang,
        _ => Answer::Well,
    });
    fail_times(&breaker, 4).await;
    pass(Duration::from_secs(5 + 10 + 3 + 20)).await;
    assert_eq!((breaker.state(), asked.load(Ordering::SeqCst)), (CircuitState::HalfOpen, 3));
}

#[tokio::test(start_paused = true)]
async fn p08_an_operator_ends_the_checks() {
    let (breaker, asked) = checked(|_| Answer::Well);
    fail_times(&breaker, 4).await;
    breaker.force_open();
    pass(Duration::from_secs(3_600)).await;
    assert_eq!((breaker.state(), asked.load(Ordering::SeqCst)), (CircuitState::ForcedOpen, 0));
    breaker.reset();
    fail_times(&breaker, 4).await;
    pass(OPEN_FOR).await;
    assert_eq!((breaker.state(), asked.load(Ordering::SeqCst)), (CircuitState::HalfOpen, 1));
}

#[tokio::test(start_paused = true)]
async fn checks_continue_under_new_settings() {
    let (breaker, asked) = checked(|_| Answer::Well);
    fail_times(&breaker, 4).await;
    breaker.reconfigure(breaker.settings()).unwrap();
    pass(OPEN_FOR).await;
    assert_eq!((breaker.state(), asked.load(Ordering::SeqCst)), (CircuitState::HalfOpen, 1));
}

#[tokio::test(start_paused = true)]
async fn no_check_runs_for_a_dropped_breaker() {
    let (breaker, asked) = checked(|_| Answer::Ill);
    fail_times(&breaker, 4).await;
    drop(breaker);
    pass(Duration::from_secs(3_600)).await;
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[test]
fn p04_without_a_runtime_for_checks_callers_probe() {
    let runtime =
        || tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let (breaker, asked) = checked(|_| Answer::Well);
    // The runtime of the check is dropped before the wait is over.
    runtime().block_on(fail_times(&breaker, 4));
    runtime().block_on(async {
        let left = breaker.snapshot().next_probe_in.unwrap();
        tokio::time::advance(left).await;
        assert!(succeed(&breaker).await);
    });
    assert_eq!((breaker.state(), asked.load(Ordering::SeqCst)), (CircuitState::HalfOpen, 0));
}

/// The check may be a call through another circuit.
#[tokio::test(start_paused = true)]
async fn p07_a_check_that_is_ended_for_time_is_a_timeout_for_the_circuit_it_calls() {
    let inner = super::breaker();
    let called = inner.clone();
    let breaker = builder()
        .half_open(HalfOpen { permits: 2, max_wait: Duration::from_millis(500) })
        .health_probe(move || {
            let called = called.clone();
            async move { called.call(pending::<Result<(), std::io::Error>>()).await }
        })
        .build()
        .unwrap();
    fail_times(&breaker, 4).await;
    pass(OPEN_FOR + Duration::from_millis(501)).await;
    let totals = inner.snapshot().totals;
    assert_eq!((totals.failures[FailureKind::Timeout.index()], totals.ignored), (1, 0));
}
