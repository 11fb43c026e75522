//! Checks of services, and of a primary with alternatives.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use campanile::health::{CheckOutcome, Every, Finding, FirstOf, Health, ServiceCheck};
use campanile::outcome::{ByResult, FailureKind, Outcome};
use campanile::{CircuitBreaker, CircuitState};
use tower::{BoxError, Service, ServiceBuilder, ServiceExt, service_fn};

fn every() -> Every {
    Every::seconds(10).timeout(Duration::from_secs(2))
}

#[tokio::test(start_paused = true)]
async fn a_service_is_called_through_its_layers_and_classified_as_they_classify() {
    let breaker = CircuitBreaker::builder("asked-service").minimum_calls(100).build().unwrap();
    let answer = Arc::new(AtomicUsize::new(0));
    let answers = Arc::clone(&answer);
    let service =
        ServiceBuilder::new().concurrency_limit(1).layer(breaker.layer()).service_fn(move |plus: usize| {
            let number = answers.load(Ordering::SeqCst) + plus;
            async move {
                match number {
                    1..10 => Ok(number),
                    10 => Err(BoxError::from(std::io::Error::other("the disk is full"))),
                    _ => pending().await,
                }
            }
        });
    let odd_is_bad = |result: Result<&usize, &BoxError>| match result {
        Ok(number) if number % 2 == 0 => Outcome::Success,
        Ok(_) => Outcome::Failure(FailureKind::Overload),
        Err(_) => Outcome::Permanent(FailureKind::Error),
    };
    let health = Health::standalone();
    let check =
        health.check("asked-service", every(), ServiceCheck::new(service.clone(), || 1, odd_is_bad)).unwrap();
    for (number, outcome, message) in [
        (1, CheckOutcome::Pass, None),
        (2, CheckOutcome::Fail, Some("the response was classified as a failure: overload")),
        (9, CheckOutcome::Fail, Some("the disk is full")),
        (10, CheckOutcome::TimedOut, Some("no answer within 2s")),
        (1, CheckOutcome::Pass, None),
    ] {
        answer.store(number, Ordering::SeqCst);
        let report = check.run().await;
        assert_eq!((report.outcome, report.message.as_deref()), (outcome, message), "{number}");
    }
    breaker.force_open();
    assert_eq!(breaker.state(), CircuitState::ForcedOpen);
    let refused = check.run().await;
    assert_eq!(refused.message.as_deref(), Some("circuit `asked-service` was forced open by an operator"));

    // The test holds the only permit: waiting for it is part of the run.
    let mut held = service;
    held.ready().await.unwrap();
    assert_eq!(check.run().await.outcome, CheckOutcome::TimedOut);
    drop(held);
    breaker.reset();
    assert_eq!(check.run().await.outcome, CheckOutcome::Pass);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_never_ready_fails_with_the_reason() {
    #[derive(Clone)]
    struct Closed;
    impl Service<()> for Closed {
        type Response = ();
        type Error = std::io::Error;
        type Future = std::future::Ready<Result<(), std::io::Error>>;
        fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<std::io::Result<()>> {
            std::task::Poll::Ready(Err(std::io::Error::other("closed")))
        }
        fn call(&mut self, (): ()) -> Self::Future {
            panic!("it is not ready")
        }
    }
    let health = Health::standalone();
    let check = health.check("never-ready", every(), ServiceCheck::new(Closed, || (), ByResult)).unwrap();
    let report = check.run().await;
    assert_eq!((report.outcome, report.message.as_deref()), (CheckOutcome::Fail, Some("closed")));
    let well = service_fn(|(): ()| async { Ok::<_, std::convert::Infallible>(()) });
    let check = health.check("ever-ready", every(), ServiceCheck::new(well, || (), ByResult)).unwrap();
    assert_eq!(check.run().await.outcome, CheckOutcome::Pass);
}

/// A candidate whose behaviour the test changes.
#[derive(Clone, Default)]
struct Candidate {
    does: Arc<AtomicUsize>,
    asked: Arc<AtomicUsize>,
}

impl Candidate {
    async fn ask(&self) -> Finding {
        self.asked.fetch_add(1, Ordering::SeqCst);
        match self.does.load(Ordering::SeqCst) {
            PASS => Finding::Pass,
            WARN => Finding::Warn("full".to_owned()),
            FAIL => Finding::Fail("gone".to_owned()),
            PANIC => panic!("on purpose"),
            _ => pending().await,
        }
    }
}

const PASS: usize = 0;
const WARN: usize = 1;
const FAIL: usize = 2;
const PANIC: usize = 3;
const HANG: usize = 4;

#[tokio::test(start_paused = true)]
async fn alternatives_are_checked_in_order_and_each_has_its_share_of_the_time() {
    use CheckOutcome::{Fail, Pass, Warn};
    let candidates: [Candidate; 3] = Default::default();
    let check = |place: usize| {
        let candidate = candidates[place].clone();
        move || {
            let candidate = candidate.clone();
            async move { candidate.ask().await }
        }
    };
    let first_of = FirstOf::new("a", check(0)).or("b", check(1)).or("c", check(2));
    let health = Health::standalone();
    let handle = health.check("stand-ins", every(), first_of).unwrap();
    for (does, outcome, message, millis) in [
        ([PASS, HANG, HANG], Pass, None, 0),
        ([WARN, PASS, PASS], Warn, Some("full"), 0),
        ([FAIL, PASS, PANIC], Warn, Some("`b` serves; `a` failed: gone"), 0),
        ([FAIL, WARN, PASS], Warn, Some("`b` serves (full); `a` failed: gone"), 0),
        (
            [PANIC, FAIL, PASS],
            Warn,
            Some("`c` serves; `a` failed: it panicked: on purpose; `b` failed: gone"),
            0,
        ),
        ([HANG, PASS, FAIL], Warn, Some("`b` serves; `a` failed: no answer within 600.0ms"), 600),
        (
            [HANG, FAIL, PASS],
            Warn,
            Some("`c` serves; `a` failed: no answer within 600.0ms; `b` failed: gone"),
            600,
        ),
        ([FAIL, FAIL, FAIL], Fail, Some("`a` failed: gone; `b` failed: gone; `c` failed: gone"), 0),
    ] {
        for (candidate, does) in candidates.iter().zip(does) {
            candidate.does.store(does, Ordering::SeqCst);
        }
        let report = handle.run().await;
        assert_eq!((report.outcome, report.message.as_deref()), (outcome, message), "{does:?}");
        assert_eq!(report.took, Duration::from_millis(millis), "{does:?}");
    }
    candidates.iter().for_each(|candidate| candidate.does.store(HANG, Ordering::SeqCst));
    let report = handle.run().await;
    assert_eq!(report.outcome, Fail, "there is time to report the last one: {:?}", report.message);
    assert!(report.message.as_deref().unwrap().contains("`c` failed: no answer within"));
    let asked = candidates.map(|candidate| candidate.asked.load(Ordering::SeqCst));
    assert_eq!(asked, [9, 7, 4], "no candidate is checked without need");
}

#[tokio::test(start_paused = true)]
async fn within_limits_the_time_of_each_candidate() {
    let slow = || tokio::time::sleep(Duration::from_millis(300));
    let quick = || async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Finding::Warn("nearly full".to_owned())
    };
    let first_of = FirstOf::new("slow", slow).or("quick", quick);
    let health = Health::standalone();
    let check = health.check("less-time", every(), first_of.within(Duration::from_millis(250))).unwrap();
    let report = check.run().await;
    assert_eq!(report.took, Duration::from_millis(270));
    let expected = "`quick` serves (nearly full); `slow` failed: no answer within 250.0ms";
    assert_eq!(report.message.as_deref(), Some(expected));
}
