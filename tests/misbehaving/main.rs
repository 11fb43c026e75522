//! Breaker, retry, timing and dead letters in front of real servers and clients that misbehave, over real sockets.
//!
//! Channels control the order of events; no test sleeps for it. [`bounded`] ends a test that hangs.

mod bells;
mod clients;
mod grpc;
mod http;
mod tcp;

use std::collections::BTreeMap;
use std::time::Duration;

use campanile::{Backoff, CircuitBreaker, DeadLetterQueue, FailureKind, HalfOpen, Retry, Timing, Window};

/// The layers of a service.
struct Stack {
    queue: DeadLetterQueue,
    retry: Retry,
    breaker: CircuitBreaker,
    timing: Timing,
}

/// Three attempts with a very short backoff.
fn retry() -> campanile::retry::RetryBuilder {
    Retry::builder().max_attempts(3).backoff(Backoff::constant(Duration::from_micros(1))).budget(None)
}

fn stack(retry: campanile::retry::RetryBuilder) -> Stack {
    Stack {
        queue: DeadLetterQueue::in_memory(100),
        retry: retry.build().unwrap(),
        breaker: breaker(),
        timing: Timing::new("upstream"),
    }
}

/// Opens at the first failure and admits one probe at once, so that the next call shows what became of the permit.
fn breaker() -> CircuitBreaker {
    CircuitBreaker::builder("upstream")
        .window(Window::count(1))
        .minimum_calls(1)
        .open_for(Backoff::constant(Duration::from_nanos(1)))
        .half_open(HalfOpen { permits: 1, max_wait: Duration::from_secs(3_600) })
        .build()
        .unwrap()
}

type Counts = BTreeMap<&'static str, u64>;

fn counts<const N: usize>(counts: [(&'static str, u64); N]) -> Counts {
    counts.into()
}

fn by_kind(failures: [u64; FailureKind::ALL.len()]) -> Counts {
    let kinds = FailureKind::ALL.into_iter().map(|kind| (kind.as_str(), failures[kind.index()]));
    kinds.filter(|(_, count)| *count > 0).collect()
}

/// The outcomes of the calls that a breaker admitted.
fn outcomes(breaker: &CircuitBreaker) -> Counts {
    let totals = breaker.snapshot().totals;
    let mut counts = by_kind(totals.failures);
    for (outcome, count) in [("success", totals.successes), ("ignored", totals.ignored)] {
        if count > 0 {
            counts.insert(outcome, count);
        }
    }
    counts
}

/// The outcomes of the timed calls.
fn timed(timing: &Timing) -> Counts {
    let snapshot = timing.snapshot();
    let mut counts = by_kind(snapshot.failures);
    let fine = snapshot.calls - snapshot.failed - snapshot.ignored;
    for (outcome, count) in [("fine", fine), ("ignored", snapshot.ignored)] {
        if count > 0 {
            counts.insert(outcome, count);
        }
    }
    counts
}

/// Asserts that no call runs and no permit is taken.
#[track_caller]
fn assert_idle(breaker: &CircuitBreaker, timing: &Timing) {
    assert_eq!((timing.snapshot().in_flight, breaker.snapshot().probes_in_flight), (0, 0));
}

/// Ends a test that hangs.
async fn bounded<T>(test: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), test).await.expect("hangs")
}
