//! The layer for any service.

use std::sync::Arc;

use campanile::retry::GiveUp;
use campanile::{CircuitBreaker, FailureKind, Outcome, RejectReason, Rejected, Retry, RetryBudget, TimedOut};
use tokio::time::Instant;
use tokio_test::{assert_pending, assert_ready, task};
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt, service_fn};

use crate::support::{Act, Answer, Count, Scripted, builder, fails_then, millis, retry, secs};

async fn call<T: Send + 'static>(retry: &Retry, service: &Scripted<u32, T>) -> Answer<T> {
    retry.layer().layer(service.clone()).ready().await?.call(7).await
}

#[tokio::test(start_paused = true)]
async fn p01_the_service_is_polled_for_readiness_before_each_attempt() {
    // `Scripted` panics otherwise.
    let service = Scripted::new(fails_then(3, "fine"));
    assert_eq!(call(&retry(), &service).await.unwrap(), "fine");
    assert_eq!(service.requests(), [7, 7, 7, 7]);
}

#[tokio::test(start_paused = true)]
async fn p01_a_concurrency_limit_of_one_neither_panics_nor_deadlocks() {
    let calls = Count::default();
    let counted = calls.clone();
    let service =
        ServiceBuilder::new().layer(retry().layer()).concurrency_limit(1).service_fn(move |n: u32| {
            let fails = counted.add() % 3 != 0;
            async move {
                tokio::time::sleep(millis(10)).await;
                if fails { Err("broken") } else { Ok(n) }
            }
        });
    let tasks: Vec<_> = (0..10).map(|n| tokio::spawn(service.clone().oneshot(n))).collect();
    let mut answered = 0;
    for task in tasks {
        answered += usize::from(task.await.unwrap().is_ok());
    }
    assert!(answered > 0);
    // No permit was lost.
    service.clone().oneshot(1).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn p01_a_response_that_holds_a_permit_is_dropped_before_the_next_attempt() {
    let permits = Arc::new(tokio::sync::Semaphore::new(1));
    let used = Arc::clone(&permits);
    let calls = Count::default();
    let service = retry().layer().classify(fails_when_odd).layer(service_fn(move |(): ()| {
        let (permits, number) = (Arc::clone(&used), calls.add());
        async move { Ok::<_, BoxError>((number, permits.try_acquire_owned().expect("a permit"))) }
    }));
    let (number, _permit) = service.oneshot(()).await.unwrap();
    assert_eq!(number, 2);
}

fn fails_when_odd<T>(result: Result<&(usize, T), &BoxError>) -> Outcome {
    match result {
        Ok((number, _)) if number % 2 == 0 => Outcome::Success,
        _ => Outcome::Failure(FailureKind::Error),
    }
}

#[tokio::test(start_paused = true)]
async fn p10_the_refused_response_is_dropped_before_the_wait() {
    let held = Arc::new(());
    let acts = [Act::Answer((1, Arc::clone(&held))), Act::Answer((2, Arc::clone(&held)))];
    let service = Scripted::new(acts);
    let mut layered = retry().layer().classify(fails_when_odd).layer(service.clone());
    let mut call = task::spawn(layered.ready().await.unwrap().call(7));
    assert_pending!(call.poll());
    assert_eq!(service.calls(), 1);
    assert_eq!(Arc::strong_count(&held), 2, "the test's own and the one for the second attempt");
    tokio::time::advance(secs(1)).await;
    assert_eq!(assert_ready!(call.poll()).unwrap().0, 2);
}

#[tokio::test(start_paused = true)]
async fn p10_a_wait_that_would_pass_the_deadline_is_not_started() {
    let retry = builder().max_attempts(10).deadline(millis(2_500)).build().unwrap();
    let service = Scripted::new(fails_then(9, ()));
    let began = Instant::now();
    let error = call(&retry, &service).await.unwrap_err();
    // Attempts at 0, 1 and 2 s; the error of the third comes at once.
    assert_eq!(error.to_string(), "broken");
    assert_eq!(service.calls(), 3);
    assert!((secs(2)..millis(2_010)).contains(&began.elapsed()), "{:?}", began.elapsed());
    assert_eq!(retry.snapshot().given_up[&GiveUp::Deadline], 1);
}

#[tokio::test(start_paused = true)]
async fn p10_a_wait_that_would_end_at_the_deadline_is_not_started() {
    let retry = builder().deadline(secs(1)).build().unwrap();
    let service = Scripted::new(fails_then(3, ()));
    let began = Instant::now();
    call(&retry, &service).await.unwrap_err();
    assert_eq!((service.calls(), began.elapsed()), (1, secs(0)));
}

#[tokio::test(start_paused = true)]
async fn p10_an_attempt_that_hangs_is_ended_at_the_deadline() {
    let retry = builder().deadline(secs(5)).build().unwrap();
    let service = Scripted::new([Act::Fail("broken".into()), Act::<()>::Hang]);
    let began = Instant::now();
    let error = call(&retry, &service).await.unwrap_err();
    assert_eq!(error.downcast_ref::<TimedOut>().unwrap().limit(), secs(5));
    assert!((secs(5)..millis(5_010)).contains(&began.elapsed()), "{:?}", began.elapsed());
    let counted = retry.snapshot();
    assert_eq!((counted.failures, counted.retries, counted.given_up[&GiveUp::Deadline]), (1, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn p10_the_wait_for_readiness_ends_at_the_deadline() {
    let retry = builder().deadline(secs(5)).build().unwrap();
    let service = Scripted::new([Act::<()>::FailAndBlock("broken".into())]);
    let began = Instant::now();
    let error = call(&retry, &service).await.unwrap_err();
    assert!(error.is::<TimedOut>());
    assert!((secs(5)..millis(5_010)).contains(&began.elapsed()), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_error_of_poll_ready_between_attempts_is_returned() {
    let retry = retry();
    let service = Scripted::new([Act::<()>::FailAndBreak("broken".into())]);
    assert_eq!(call(&retry, &service).await.unwrap_err().to_string(), "not ready any more");
    assert_eq!(retry.snapshot().given_up[&GiveUp::NotReady], 1);
    assert_eq!(retry.snapshot().retries, 0);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_times_out_is_retried() {
    let retry = builder().attempt_timeout(secs(3)).build().unwrap();
    let service = Scripted::new([Act::Hang, Act::Answer(())]);
    let began = Instant::now();
    call(&retry, &service).await.unwrap();
    assert!((secs(4)..millis(4_010)).contains(&began.elapsed()), "{:?}", began.elapsed());

    let service = Scripted::new((0..4).map(|_| Act::<()>::Hang));
    let error = call(&retry, &service).await.unwrap_err();
    assert_eq!(error.downcast_ref::<TimedOut>().unwrap().limit(), secs(3));
    assert_eq!(service.calls(), 4);
    assert_eq!(retry.snapshot().given_up[&GiveUp::Attempts], 1);
}

#[tokio::test(start_paused = true)]
async fn p10_a_refusal_is_not_retried_with_any_classifier() {
    let all_fail = |_: Result<&(), &BoxError>| Outcome::Failure(FailureKind::Error);
    for deep in [false, true] {
        let rejected = Rejected::new("db", RejectReason::Open, None);
        let error: BoxError = if deep {
            campanile::CallError::<std::io::Error>::Rejected(rejected).into()
        } else {
            rejected.into()
        };
        let retry = retry();
        let service = Scripted::new([Act::<()>::Fail(error)]);
        let error = retry.layer().classify(all_fail).layer(service.clone()).oneshot(7).await.unwrap_err();
        assert!(Rejected::find(error.as_ref()).is_some());
        assert_eq!((service.calls(), retry.snapshot().given_up[&GiveUp::Rejected]), (1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn p10_an_open_breaker_gets_one_call() {
    let breaker = CircuitBreaker::builder("db").consecutive_failures(2).build().unwrap();
    let retry = builder().max_attempts(10).build().unwrap();
    let calls = Count::default();
    let counted = calls.clone();
    let service =
        ServiceBuilder::new().layer(retry.layer()).layer(breaker.layer()).service_fn(move |(): ()| {
            counted.add();
            async { Err::<(), _>("broken") }
        });
    // The second failure opens the circuit. The third attempt finds it open.
    let error = service.clone().oneshot(()).await.unwrap_err();
    assert_eq!(Rejected::find(error.as_ref()).unwrap().by(), "db");
    assert_eq!(calls.get(), 2);
    let began = Instant::now();
    assert!(service.oneshot(()).await.is_err());
    assert_eq!((calls.get(), began.elapsed()), (2, secs(0)));
    assert_eq!(retry.snapshot().failures, 2);
}

#[tokio::test(start_paused = true)]
async fn p10_attempts_have_a_maximum() {
    for max in [1, 2, 5] {
        let retry = builder().max_attempts(max).build().unwrap();
        let service = Scripted::new((1..=max).map(|n| Act::<()>::Fail(format!("failure {n}").into())));
        let error = call(&retry, &service).await.unwrap_err();
        assert_eq!(error.to_string(), format!("failure {max}"));
        assert_eq!(service.calls(), max as usize);
        let counted = retry.snapshot();
        assert_eq!((counted.calls, counted.failures, counted.retries), (1, 1, u64::from(max) - 1));
        assert_eq!(counted.given_up[&GiveUp::Attempts], 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_permanent_failure_is_not_retried_and_an_ignored_one_is_no_failure() {
    for (outcome, failures) in [(Outcome::Permanent(FailureKind::Error), 1), (Outcome::Ignored, 0)] {
        let retry = retry();
        let service = Scripted::new([Act::<()>::Fail("broken".into())]);
        let layer = retry.layer().classify(move |_: Result<&(), &BoxError>| outcome);
        assert!(layer.layer(service.clone()).oneshot(7).await.is_err());
        assert_eq!((service.calls(), retry.snapshot().failures), (1, failures));
    }
}

/// Counts its clones.
#[derive(Debug)]
struct Counted(Count);

impl Clone for Counted {
    fn clone(&self) -> Self {
        self.0.add();
        Self(self.0.clone())
    }
}

#[tokio::test(start_paused = true)]
async fn p10_the_last_attempt_has_the_request_itself() {
    for (max, copies) in [(1, 0), (2, 1), (4, 3)] {
        let retry = builder().max_attempts(max).build().unwrap();
        let count = Count::default();
        let service = Scripted::<Counted, _>::new(fails_then(max as usize - 1, ()));
        retry.layer().layer(service).oneshot(Counted(count.clone())).await.unwrap();
        assert_eq!(count.get(), copies, "of {max} attempts");
    }
}

/// Counts its clones, and fails a given number of times.
#[derive(Debug)]
struct Copied {
    copies: Count,
    failures: Count,
    to_fail: usize,
}

impl Clone for Copied {
    fn clone(&self) -> Self {
        self.copies.add();
        Self { copies: self.copies.clone(), failures: self.failures.clone(), to_fail: self.to_fail }
    }
}

impl Service<u32> for Copied {
    type Response = u32;
    type Error = BoxError;
    type Future = std::future::Ready<Answer<u32>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Answer<()>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u32) -> Self::Future {
        let fails = self.failures.get() < self.to_fail && self.failures.add() <= self.to_fail;
        std::future::ready(if fails { Err("broken".into()) } else { Ok(request) })
    }
}

#[tokio::test(start_paused = true)]
async fn p12_the_service_is_cloned_for_retries_only() {
    let copies = Count::default();
    let copied = Copied { copies: copies.clone(), failures: Count::default(), to_fail: 3 };
    let mut service = retry().layer().layer(copied);
    assert_eq!(copies.get(), 1, "the layer has one in reserve");
    // Three attempts fail. A clone makes the second and all later attempts.
    assert_eq!(service.ready().await.unwrap().call(1).await.unwrap(), 1);
    assert_eq!(copies.get(), 2);
    for n in 0..100 {
        assert_eq!(service.ready().await.unwrap().call(n).await.unwrap(), n);
    }
    assert_eq!(copies.get(), 2);
    drop(service.clone());
    assert_eq!(copies.get(), 3);
}

#[tokio::test(start_paused = true)]
async fn p01_each_attempt_is_made_by_an_instance_that_was_ready() {
    // `Scripted` panics if an instance is called that was not ready; a clone starts unready.
    let service = Scripted::new(fails_then(2, "fine").into_iter().chain(fails_then(1, "again")));
    let mut layered = retry().layer().layer(service.clone());
    assert_eq!(layered.ready().await.unwrap().call(1).await.unwrap(), "fine");
    assert_eq!(layered.ready().await.unwrap().call(2).await.unwrap(), "again");
    assert_eq!(service.requests(), [1, 1, 1, 2, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_panics_when_it_is_called_is_counted() {
    let retry = retry();
    let service =
        retry.layer().layer(service_fn(|(): ()| -> std::future::Ready<Answer<()>> { panic!("in call") }));
    let panicked = tokio::spawn(service.oneshot(())).await.unwrap_err();
    assert!(panicked.is_panic());
    let counted = retry.snapshot();
    assert_eq!((counted.calls, counted.cancelled), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn p10_a_dropped_future_stops_at_once() {
    let retry = retry();
    let service = Scripted::new([Act::Fail("broken".into()), Act::Hang, Act::Answer(())]);
    let mut layered = retry.layer().layer(service.clone());
    // During the wait.
    let mut waiting = task::spawn(layered.ready().await.unwrap().call(7));
    assert_pending!(waiting.poll());
    drop(waiting);
    tokio::time::advance(secs(60)).await;
    assert_eq!(service.calls(), 1);
    // During an attempt.
    let mut hanging = task::spawn(layered.ready().await.unwrap().call(7));
    assert_pending!(hanging.poll());
    drop(hanging);
    tokio::time::advance(secs(60)).await;
    assert_eq!(service.calls(), 2);
    // Before its first poll: the inner service was called in `call`.
    drop(layered.ready().await.unwrap().call(7));
    let counted = retry.snapshot();
    assert_eq!((counted.calls, counted.cancelled, counted.failures, counted.retries), (3, 3, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn p09_with_a_spent_budget_the_caller_gets_the_last_result() {
    let none = RetryBudget::ratio(0.0).min_per_second(0);
    let retry = builder().budget(none).build().unwrap();
    let service = Scripted::new(fails_then(1, ()));
    let began = Instant::now();
    assert_eq!(call(&retry, &service).await.unwrap_err().to_string(), "broken");
    assert_eq!((service.calls(), began.elapsed()), (1, secs(0)));
    assert_eq!(retry.snapshot().given_up[&GiveUp::Budget], 1);
}

#[tokio::test]
async fn p12_a_service_that_never_fails_behaves_as_without_the_layer() {
    let (mut service, mut handle) =
        tower_test::mock::spawn_layer::<u32, u32, _>(builder().deadline(secs(9)).build().unwrap().layer());
    handle.allow(0);
    assert_pending!(service.poll_ready());
    handle.allow(1);
    tokio_test::assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call(1));
    let (request, answer) = handle.next_request().await.unwrap();
    assert_eq!(request, 1);
    assert_pending!(response.poll());
    answer.send_response(2);
    assert!(response.is_woken());
    assert_eq!(assert_ready!(response.poll()).unwrap(), 2);
    handle.send_error("gone");
    assert_eq!(assert_ready!(service.poll_ready()).unwrap_err().to_string(), "gone");
}
