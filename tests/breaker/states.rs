//! When a circuit opens, probes and closes, and which transitions it reports.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use campanile::breaker::{Cancelled, Cause};
use campanile::outcome::{FailureKind, Outcome};
use campanile::{Backoff, CallError, CircuitBreaker, CircuitState, HalfOpen, RejectReason, Window};

use futures_core::Stream;

use crate::{OPEN_FOR, advance, breaker, builder, fail, fail_times, succeed};

#[tokio::test(start_paused = true)]
async fn a_window_that_slides_opens_after_a_long_time_of_success() {
    let breaker = breaker();
    for _ in 0..1_000 {
        assert!(succeed(&breaker).await);
    }
    fail_times(&breaker, 4).await;
    assert_eq!(breaker.state(), CircuitState::Closed);
    fail_times(&breaker, 1).await;
    assert_eq!(breaker.state(), CircuitState::Open);
}

/// A success opens no circuit, whatever calls are in the window.
#[tokio::test(start_paused = true)]
async fn a_success_opens_no_circuit() {
    for window in [Window::count(10), Window::time(Duration::from_secs(60))] {
        let breaker = builder().window(window).build().unwrap();
        fail_times(&breaker, 3).await;
        // This call completes the minimum of calls.
        assert!(succeed(&breaker).await);
        assert_eq!((breaker.state(), breaker.snapshot().failures), (CircuitState::Closed, 3), "{window:?}");
        breaker.metrics_only();
        fail_times(&breaker, 3).await;
        succeed(&breaker).await;
        assert_eq!(breaker.snapshot().totals.would_open, 0);
        fail_times(&breaker, 2).await;
        assert_eq!(breaker.snapshot().totals.would_open, 1, "once for as long as it lasts");
        breaker.force_closed();
        fail_times(&breaker, 3).await;
        succeed(&breaker).await;
        fail_times(&breaker, 1).await;
        assert_eq!(breaker.state(), CircuitState::Open, "{window:?}");
    }
}

/// For any calls, on both windows: the call that opened the circuit failed or was slow.
#[tokio::test(start_paused = true)]
async fn only_a_failed_or_slow_call_opens_a_circuit() {
    let mut random = fastrand::Rng::with_seed(23);
    let mut opened = [0; 2];
    for round in 0..60 {
        let window = if round % 2 == 0 { Window::count(10) } else { Window::time(Duration::from_secs(20)) };
        let breaker = builder()
            .window(window)
            .minimum_calls(6)
            .slow_call(Duration::from_millis(100), 0.5)
            .build()
            .unwrap();
        for _ in 0..200 {
            let bad = if random.bool() { 0.2 } else { 0.6 };
            let (fails, is_slow) = (random.f64() < bad, random.f64() < bad);
            let was_closed = breaker.state() == CircuitState::Closed;
            let _ = breaker
                .call(async {
                    advance(Duration::from_millis(if is_slow { 200 } else { 10 })).await;
                    if fails { Err("broken") } else { Ok(()) }
                })
                .await;
            if was_closed && breaker.state() == CircuitState::Open {
                assert!(fails || is_slow, "a good call opened it");
                opened[usize::from(fails)] += 1;
            }
            advance(Duration::from_millis(random.u64(..4_000))).await;
        }
    }
    assert!(opened.iter().all(|times| *times > 20), "{opened:?}");
}

/// After any number of successes, a failure is one of the last ten calls, and the counts equal those of a list of them.
#[tokio::test(start_paused = true)]
async fn p05_the_window_has_the_last_calls_after_any_number_of_successes() {
    let mut random = fastrand::Rng::with_seed(17);
    for good in [0.7, 0.9, 0.99] {
        let breaker = builder().failure_rate(1.0).build().unwrap();
        let mut all = Vec::new();
        for _ in 0..2_000 {
            let succeeds = random.f64() < good;
            if succeeds {
                assert!(succeed(&breaker).await)
            } else {
                assert!(fail(&breaker).await)
            }
            all.push(succeeds);
            let last = || all.iter().rev().take(10);
            let snapshot = breaker.snapshot();
            assert_eq!(snapshot.calls, last().count() as u64);
            assert_eq!(snapshot.failures, last().filter(|good| !**good).count() as u64);
            assert_eq!(snapshot.totals.successes, all.iter().filter(|good| **good).count() as u64);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn p03_successes_do_not_count_in_the_next_epoch() {
    let breaker = builder().minimum_calls(1).build().unwrap();
    for _ in 0..100 {
        succeed(&breaker).await;
    }
    breaker.force_closed();
    assert_eq!(breaker.snapshot().calls, 0);
    succeed(&breaker).await;
    assert_eq!(breaker.snapshot().calls, 1);
    fail(&breaker).await;
    assert_eq!(breaker.state(), CircuitState::Open);
    assert_eq!(breaker.snapshot().totals.successes, 101);
}

#[tokio::test(start_paused = true)]
async fn rates_decide_from_the_minimum_of_calls_on() {
    let breaker = breaker();
    fail_times(&breaker, 3).await;
    assert_eq!(breaker.state(), CircuitState::Closed);
    fail_times(&breaker, 1).await;
    assert_eq!(breaker.state(), CircuitState::Open);
}

#[tokio::test(start_paused = true)]
async fn failures_in_a_row_open_before_the_rate_does() {
    let breaker = builder().consecutive_failures(2).minimum_calls(10).build().unwrap();
    fail(&breaker).await;
    succeed(&breaker).await;
    fail_times(&breaker, 2).await;
    assert_eq!(breaker.state(), CircuitState::Open);
}

#[tokio::test(start_paused = true)]
async fn a_time_window_drops_old_calls() {
    let breaker = builder().window(Window::time(Duration::from_secs(10))).build().unwrap();
    fail_times(&breaker, 3).await;
    advance(Duration::from_secs(12)).await;
    fail_times(&breaker, 3).await;
    assert_eq!(breaker.state(), CircuitState::Closed);
    assert_eq!(breaker.snapshot().calls, 3);
    fail_times(&breaker, 1).await;
    assert_eq!(breaker.state(), CircuitState::Open);
}

#[tokio::test(start_paused = true)]
async fn an_open_circuit_refuses_with_the_wait_and_probes_after_it() {
    let breaker = breaker();
    fail_times(&breaker, 4).await;
    advance(Duration::from_secs(2)).await;
    let Err(CallError::Rejected(rejected)) = breaker.call(async { Ok::<_, &str>(()) }).await else {
        panic!("an open circuit let a call pass");
    };
    assert_eq!(rejected.reason(), RejectReason::Open);
    assert_eq!(rejected.by(), "test");
    assert_eq!(rejected.retry_after(), Some(OPEN_FOR - Duration::from_secs(2)));
    assert_eq!(breaker.snapshot().next_probe_in, rejected.retry_after());
    advance(Duration::from_secs(3)).await;
    assert!(succeed(&breaker).await);
    assert_eq!(breaker.state(), CircuitState::HalfOpen);
    assert!(succeed(&breaker).await);
    assert_eq!(breaker.state(), CircuitState::Closed);
    assert_eq!(breaker.snapshot().totals.rejected, 1);
}

#[tokio::test(start_paused = true)]
async fn the_wait_grows_until_the_circuit_closes() {
    let breaker = breaker();
    fail_times(&breaker, 4).await;
    for wait in [5, 10, 20] {
        assert_eq!(breaker.snapshot().next_probe_in, Some(Duration::from_secs(wait)));
        advance(Duration::from_secs(wait)).await;
        assert!(fail(&breaker).await);
        assert_eq!(breaker.state(), CircuitState::Open);
    }
    advance(Duration::from_secs(40)).await;
    succeed(&breaker).await;
    succeed(&breaker).await;
    assert_eq!(breaker.state(), CircuitState::Closed);
    fail_times(&breaker, 4).await;
    assert_eq!(breaker.snapshot().next_probe_in, Some(OPEN_FOR));
    // After a reset the first wait comes again.
    breaker.reset();
    fail_times(&breaker, 4).await;
    assert_eq!(breaker.snapshot().next_probe_in, Some(OPEN_FOR));
}

async fn slow(breaker: &CircuitBreaker) {
    let work = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        Ok::<_, &str>(())
    };
    assert!(breaker.call(work).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn p08_slow_probes_do_not_close_a_circuit_that_slow_calls_opened() {
    let breaker = builder().slow_call(Duration::from_secs(2), 0.8).build().unwrap();
    for _ in 0..4 {
        slow(&breaker).await;
    }
    assert_eq!(breaker.state(), CircuitState::Open);
    advance(OPEN_FOR).await;
    slow(&breaker).await;
    slow(&breaker).await;
    assert_eq!(breaker.state(), CircuitState::Open);
    assert_eq!(breaker.snapshot().totals.slow, 6);
    advance(Duration::from_secs(60)).await;
    succeed(&breaker).await;
    succeed(&breaker).await;
    assert_eq!(breaker.state(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn p08_forced_open_stays_until_it_is_changed() {
    let breaker = breaker();
    breaker.force_open();
    advance(Duration::from_secs(86_400)).await;
    let error = breaker.call(async { Ok::<_, &str>(()) }).await.unwrap_err();
    assert!(
        matches!(error, CallError::Rejected(ref rejected) if rejected.reason() == RejectReason::ForcedOpen)
    );
    assert_eq!(breaker.state(), CircuitState::ForcedOpen);
    breaker.force_closed();
    assert!(succeed(&breaker).await);
    breaker.disable();
    for _ in 0..100 {
        assert!(fail(&breaker).await);
    }
    assert_eq!(breaker.state(), CircuitState::Disabled);
    breaker.reset();
    assert_eq!(breaker.state(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn p03_epochs_fence_outcomes() {
    let breaker = breaker();
    // Admitted while the circuit is closed. They end in later epochs.
    let late = |result: Result<(), &'static str>, after: Duration| {
        let breaker = breaker.clone();
        tokio::spawn(async move {
            breaker
                .call(async move {
                    tokio::time::sleep(after).await;
                    result
                })
                .await
        })
    };
    let late_failures: Vec<_> = (0..8).map(|_| late(Err("late"), Duration::from_secs(6))).collect();
    let late_successes: Vec<_> = (0..8).map(|_| late(Ok(()), Duration::from_secs(1))).collect();
    tokio::task::yield_now().await;
    fail_times(&breaker, 4).await;
    assert_eq!(breaker.state(), CircuitState::Open);
    for call in late_successes {
        assert!(call.await.unwrap().is_ok());
    }
    assert_eq!(breaker.state(), CircuitState::Open);
    assert_eq!(breaker.snapshot().calls, 0);
    advance(OPEN_FOR).await;
    // One of two probes succeeded. Calls that were admitted before must not decide.
    assert!(succeed(&breaker).await);
    for call in late_failures {
        assert!(call.await.unwrap().is_err());
    }
    assert_eq!(breaker.state(), CircuitState::HalfOpen);
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.calls, snapshot.failures), (1, 0));
    // The same after `force_open` and `reset`.
    let before_force = late(Err("late"), Duration::from_secs(1));
    tokio::task::yield_now().await;
    breaker.force_open();
    breaker.reset();
    assert!(before_force.await.unwrap().is_err());
    assert_eq!(breaker.snapshot().calls, 0);
    assert_eq!(breaker.snapshot().probes_in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn p04_half_open_ends_when_a_probe_hangs() {
    let breaker = breaker();
    fail_times(&breaker, 4).await;
    advance(OPEN_FOR).await;
    let hanging: Vec<_> = (0..2)
        .map(|_| {
            let breaker = breaker.clone();
            tokio::spawn(async move { breaker.call(std::future::pending::<Result<(), &str>>()).await })
        })
        .collect();
    tokio::task::yield_now().await;
    assert_eq!(breaker.snapshot().probes_in_flight, 2);
    assert!(!succeed(&breaker).await, "both probes are taken");
    advance(Duration::from_secs(30)).await;
    assert!(!succeed(&breaker).await);
    assert_eq!(breaker.state(), CircuitState::Open);
    advance(Duration::from_secs(60)).await;
    assert!(succeed(&breaker).await && succeed(&breaker).await);
    assert_eq!(breaker.state(), CircuitState::Closed);
    for call in hanging {
        call.abort();
        assert!(call.await.unwrap_err().is_cancelled());
    }
    assert_eq!(breaker.state(), CircuitState::Closed);
    assert_eq!(breaker.snapshot().calls, 0);
}

#[tokio::test(start_paused = true)]
async fn p04_ignored_and_cancelled_probes_release_their_permits() {
    let breaker = breaker();
    fail_times(&breaker, 4).await;
    advance(OPEN_FOR).await;
    let ignore = |_: Result<&(), &&str>| Outcome::Ignored;
    for _ in 0..5 {
        assert!(breaker.call_with(ignore, async { Ok(()) }).await.is_ok());
    }
    for _ in 0..5 {
        let cancelled = breaker.call(std::future::pending::<Result<(), &str>>());
        assert!(tokio::time::timeout(Duration::from_millis(10), cancelled).await.is_err());
    }
    assert_eq!(breaker.state(), CircuitState::HalfOpen);
    assert_eq!(breaker.snapshot().probes_in_flight, 0);
    assert!(succeed(&breaker).await && succeed(&breaker).await);
    assert_eq!(breaker.state(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn p04_probes_further_apart_than_the_window_still_decide() {
    let breaker = builder()
        .window(Window::time(Duration::from_secs(1)))
        .half_open(HalfOpen { permits: 3, max_wait: Duration::from_secs(2) })
        .build()
        .unwrap();
    fail_times(&breaker, 4).await;
    advance(OPEN_FOR).await;
    for _ in 0..3 {
        assert!(succeed(&breaker).await);
        advance(Duration::from_secs(3_600)).await;
    }
    assert_eq!(breaker.state(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn p04_a_probe_that_began_just_now_does_not_hang() {
    let breaker = breaker();
    fail_times(&breaker, 4).await;
    advance(OPEN_FOR).await;
    assert!(succeed(&breaker).await);
    // Long after the circuit became half-open the second probe begins, and another call comes while it runs.
    advance(Duration::from_secs(3_600)).await;
    let probe = {
        let breaker = breaker.clone();
        tokio::spawn(async move {
            let work = async {
                tokio::time::sleep(Duration::from_millis(10)).await;
                Ok::<_, &str>(())
            };
            breaker.call(work).await
        })
    };
    tokio::task::yield_now().await;
    let Err(CallError::Rejected(rejected)) = breaker.call(async { Ok::<_, &str>(()) }).await else {
        panic!("more probes than permits");
    };
    assert_eq!(rejected.reason(), RejectReason::ProbesTaken);
    assert_eq!(rejected.retry_after(), Some(Duration::from_secs(30)));
    assert_eq!(breaker.state(), CircuitState::HalfOpen);
    assert!(probe.await.unwrap().is_ok());
    assert_eq!(breaker.state(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn p07_a_panic_is_a_failure() {
    let breaker = breaker();
    for _ in 0..4 {
        let breaker = breaker.clone();
        let call = tokio::spawn(async move {
            breaker
                .call(async {
                    tokio::task::yield_now().await;
                    if true {
                        panic!("on purpose");
                    }
                    Ok::<_, &str>(())
                })
                .await
        });
        assert!(call.await.unwrap_err().is_panic());
    }
    assert_eq!(breaker.state(), CircuitState::Open);
    assert_eq!(breaker.snapshot().totals.failures[FailureKind::Panic.index()], 4);
}

#[tokio::test(start_paused = true)]
async fn p07_a_cancellation_counts_once_as_configured() {
    async fn cancel_after(breaker: &CircuitBreaker, time: Duration) {
        let hanging = breaker.call(std::future::pending::<Result<(), &str>>());
        assert!(tokio::time::timeout(time, hanging).await.is_err());
    }
    let cancelled =
        |breaker: &CircuitBreaker| breaker.snapshot().totals.failures[FailureKind::Cancelled.index()];

    // By default a call that hangs longer than the slow limit is a failure, so an outer timeout does not hide it.
    let breaker = builder().slow_call(Duration::from_secs(2), 1.0).build().unwrap();
    cancel_after(&breaker, Duration::from_secs(1)).await;
    assert_eq!((cancelled(&breaker), breaker.snapshot().totals.ignored), (0, 1));
    for _ in 0..4 {
        cancel_after(&breaker, Duration::from_secs(3)).await;
    }
    assert_eq!(cancelled(&breaker), 4);
    assert_eq!(breaker.state(), CircuitState::Open);

    let breaker = builder().cancelled(Cancelled::Ignored).build().unwrap();
    cancel_after(&breaker, Duration::from_secs(3_600)).await;
    assert_eq!((cancelled(&breaker), breaker.snapshot().totals.ignored), (0, 1));

    let breaker = builder().cancelled(Cancelled::FailureAfter(Duration::from_millis(50))).build().unwrap();
    cancel_after(&breaker, Duration::from_millis(100)).await;
    assert_eq!(cancelled(&breaker), 1);
}

#[tokio::test(start_paused = true)]
async fn overload_and_inner_refusals_open_no_circuit_but_overload_fails_a_probe() {
    let breaker = breaker();
    let as_kind = |kind| move |_: Result<&(), &&'static str>| Outcome::Failure(kind);
    for kind in [FailureKind::Overload, FailureKind::Rejected] {
        for _ in 0..20 {
            assert!(breaker.call_with(as_kind(kind), async { Err::<(), _>("busy") }).await.is_err());
        }
    }
    assert_eq!(breaker.state(), CircuitState::Closed);
    fail_times(&breaker, 4).await;
    advance(OPEN_FOR).await;
    for _ in 0..5 {
        let _ = breaker.call_with(as_kind(FailureKind::Rejected), async { Err::<(), _>("busy") }).await;
        assert_eq!(breaker.state(), CircuitState::HalfOpen);
    }
    let _ = breaker.call_with(as_kind(FailureKind::Overload), async { Err::<(), _>("busy") }).await;
    assert_eq!(breaker.state(), CircuitState::Open);
}

#[tokio::test(start_paused = true)]
async fn subscribers_get_transitions_in_order_with_their_causes() {
    let breaker = breaker();
    let mut transitions = breaker.subscribe();
    fail_times(&breaker, 4).await;
    advance(OPEN_FOR).await;
    succeed(&breaker).await;
    succeed(&breaker).await;
    breaker.force_open();
    let mut seen = Vec::new();
    while let Some(transition) = transitions.try_recv() {
        assert_eq!(&*transition.breaker, "test");
        assert_eq!(transition.epoch, seen.len() as u64 + 1);
        seen.push((transition.from, transition.to, transition.cause));
    }
    assert_eq!(
        seen,
        [
            (CircuitState::Closed, CircuitState::Open, Cause::FailureRate(1.0)),
            (CircuitState::Open, CircuitState::HalfOpen, Cause::WaitOver),
            (CircuitState::HalfOpen, CircuitState::Closed, Cause::ProbesSucceeded),
            (CircuitState::Closed, CircuitState::ForcedOpen, Cause::Operator),
        ]
    );
    drop(breaker);
    assert_eq!(transitions.recv().await, None);
}

/// A waker that forces the circuit open.
struct Forces(CircuitBreaker);

impl Wake for Forces {
    fn wake(self: Arc<Self>) {
        if self.0.state() != CircuitState::ForcedOpen {
            self.0.force_open();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn p06_a_subscriber_that_calls_the_breaker_keeps_the_order() {
    let breaker = breaker();
    let mut meddler = breaker.subscribe();
    let mut witness = breaker.subscribe();
    let waker = Waker::from(Arc::new(Forces(breaker.clone())));
    assert!(Pin::new(&mut meddler).poll_next(&mut Context::from_waker(&waker)).is_pending());
    fail_times(&breaker, 4).await;
    let next = || witness.try_recv().map(|transition| transition.to);
    assert_eq!(std::iter::from_fn(next).collect::<Vec<_>>(), [CircuitState::Open, CircuitState::ForcedOpen]);
}

#[test]
fn p06_concurrent_threads_open_once_per_epoch_and_never_exceed_the_permits() {
    let breaker = builder()
        .open_for(Backoff::constant(Duration::from_micros(1)))
        .half_open(HalfOpen { permits: 2, max_wait: Duration::from_secs(30) })
        .build()
        .unwrap();
    let mut transitions = breaker.subscribe();
    let probes = Arc::new(AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for thread in 0..8_usize {
            let (breaker, probes) = (breaker.clone(), Arc::clone(&probes));
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
                runtime.block_on(async move {
                    for round in 0..2_000_usize {
                        let probes = Arc::clone(&probes);
                        let state = breaker.clone();
                        let work = async move {
                            let before = state.snapshot();
                            probes.fetch_add(1, Ordering::SeqCst);
                            tokio::task::yield_now().await;
                            probes.fetch_sub(1, Ordering::SeqCst);
                            assert!(before.probes_in_flight <= 2, "{before:?}");
                            if (thread + round) % 3 == 0 { Ok(()) } else { Err("broken") }
                        };
                        let _ = breaker.call(work).await;
                    }
                });
            });
        }
    });
    assert_eq!(probes.load(Ordering::SeqCst), 0);
    assert_eq!(breaker.snapshot().probes_in_flight, 0);
    let (mut state, mut epoch, mut opened) = (CircuitState::Closed, 0, 0);
    while let Some(transition) = transitions.try_recv() {
        assert_eq!(transition.from, state);
        assert!(transition.epoch > epoch);
        opened += usize::from(transition.to == CircuitState::Open);
        (state, epoch) = (transition.to, transition.epoch);
    }
    assert!(opened > 0);
}
