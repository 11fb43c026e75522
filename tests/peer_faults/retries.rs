//! What a retry holds, copies and allows.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use campanile::{Backoff, FailureKind, Outcome, Retry, RetryBudget};
use tower::retry::budget::{Budget, TpsBudget};
use tower::util::BoxCloneService;
use tower::{BoxError, Layer, Service, ServiceExt, service_fn};
use tower_resilience_retry as peer;

const BACKOFF: Duration = Duration::from_secs(1);

/// A request that counts its copies.
#[derive(Default)]
struct Request {
    copies: Arc<AtomicUsize>,
}

impl Clone for Request {
    fn clone(&self) -> Self {
        self.copies.fetch_add(1, Ordering::SeqCst);
        Self { copies: Arc::clone(&self.copies) }
    }
}

/// A response that is a success or a failure, and is counted while it exists.
struct Response {
    good: bool,
    alive: Arc<AtomicUsize>,
}

impl Response {
    fn new(good: bool, alive: &Arc<AtomicUsize>) -> Self {
        alive.fetch_add(1, Ordering::SeqCst);
        Self { good, alive: Arc::clone(alive) }
    }
}

impl Drop for Response {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

type Inner = BoxCloneService<Request, Response, BoxError>;

/// A retry of either library: three attempts, a constant backoff, and a classifier for responses.
type Wrap = fn(Inner) -> Inner;

fn ours(inner: Inner) -> Inner {
    let bad = |result: Result<&Response, &BoxError>| match result {
        Ok(response) if response.good => Outcome::Success,
        _ => Outcome::Failure(FailureKind::Error),
    };
    let retry =
        Retry::builder().max_attempts(3).backoff(Backoff::constant(BACKOFF)).budget(None).build().unwrap();
    retry.layer().classify(bad).layer(inner).boxed_clone()
}

fn theirs(inner: Inner) -> Inner {
    peer::RetryLayer::<Request, Response, BoxError>::builder()
        .max_attempts(3)
        .fixed_backoff(BACKOFF)
        .retry_on_response(|response: &Response| !response.good)
        .build()
        .layer(inner)
        .boxed_clone()
}

/// The number of refused responses that exist while the retry waits for its second attempt.
async fn held_during_the_backoff(wrap: Wrap) -> usize {
    let alive = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&alive);
    let inner = service_fn(move |_: Request| {
        let response = Response::new(false, &counted);
        async move { Ok::<_, BoxError>(response) }
    });
    let mut service = wrap(inner.boxed_clone());
    let mut call = tokio_test::task::spawn(service.ready().await.unwrap().call(Request::default()));
    // The first attempt ends at once. Then the retry waits.
    assert!(call.poll().is_pending());
    alive.load(Ordering::SeqCst)
}

/// The number of copies for three failing attempts.
async fn copies_of_a_request(wrap: Wrap) -> usize {
    let inner = service_fn(|_: Request| async { Err::<Response, _>(BoxError::from("broken")) });
    let request = Request::default();
    let copies = Arc::clone(&request.copies);
    assert!(wrap(inner.boxed_clone()).oneshot(request).await.is_err());
    copies.load(Ordering::SeqCst)
}

#[tokio::test(start_paused = true)]
async fn fault_12_the_refused_response_is_dropped_before_the_backoff() {
    assert_eq!(held_during_the_backoff(ours).await, 0);
}

#[tokio::test(start_paused = true)]
async fn fault_12_the_last_attempt_gets_the_request_itself() {
    assert_eq!(copies_of_a_request(ours).await, 2);
}

#[tokio::test(start_paused = true)]
#[ignore = "shows the fault in tower-resilience 0.14; run with --ignored"]
async fn peer_12_the_refused_response_is_held_during_the_backoff() {
    assert_eq!(held_during_the_backoff(theirs).await, 1);
}

#[tokio::test(start_paused = true)]
#[ignore = "shows the fault in tower-resilience 0.14; run with --ignored"]
async fn peer_12_the_last_attempt_costs_a_copy_too() {
    assert_eq!(copies_of_a_request(theirs).await, 3);
}

type Numbered = BoxCloneService<usize, (), BoxError>;

/// The number of retries of 1,000 calls whose first attempt fails and whose second succeeds.
async fn retries_of_a_thousand(wrap: impl FnOnce(Numbered) -> Numbered) -> usize {
    let (last, retries) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&retries);
    let inner = service_fn(move |number: usize| {
        let is_retry = last.swap(number, Ordering::SeqCst) == number;
        counted.fetch_add(usize::from(is_retry), Ordering::SeqCst);
        async move { if is_retry { Ok(()) } else { Err(BoxError::from("broken")) } }
    });
    let mut service = wrap(inner.boxed_clone());
    for number in 1..=1_000 {
        let _ = service.ready().await.unwrap().call(number).await;
    }
    retries.load(Ordering::SeqCst)
}

#[tokio::test(start_paused = true)]
async fn fault_12_the_budget_is_a_share_of_the_calls() {
    let retry = Retry::builder()
        .backoff(Backoff::constant(Duration::from_nanos(1)))
        .budget(RetryBudget::ratio(0.2).min_per_second(0))
        .build()
        .unwrap();
    // A call that is not retried earns too. Each retry sleeps for a moment, and all of them are
    // within the ten seconds of the budget.
    assert_eq!(retries_of_a_thousand(|inner| retry.layer().layer(inner).boxed_clone()).await, 200);
}

/// It has no ratio: every success earns a whole retry, so a full bucket never becomes empty.
#[tokio::test(start_paused = true)]
#[ignore = "shows the fault in tower-resilience 0.14; run with --ignored"]
async fn peer_12_the_budget_allows_a_retry_for_every_call() {
    let budget =
        peer::RetryBudgetBuilder::new().token_bucket().tokens_per_second(0.0).max_tokens(10).build().unwrap();
    let layer = peer::RetryLayer::<usize, (), BoxError>::builder()
        .fixed_backoff(Duration::ZERO)
        .budget(budget)
        .build();
    assert_eq!(retries_of_a_thousand(|inner| layer.layer(inner).boxed_clone()).await, 1_000);
}

#[tokio::test(start_paused = true)]
async fn tps_budget_a_ratio_is_exact() {
    for (ratio, granted) in [(0.1, 100), (0.5, 500), (0.6, 600), (0.7, 700), (0.9, 900)] {
        let retry = Retry::builder()
            .max_attempts(2)
            .backoff(Backoff::constant(Duration::from_nanos(1)))
            .budget(RetryBudget::ratio(ratio).min_per_second(0))
            .build()
            .unwrap();
        for _ in 0..1_000 {
            assert!(retry.run(|| async { Err::<(), _>("broken") }).await.is_err());
        }
        assert_eq!(retry.snapshot().retries, granted, "{ratio}");
    }
}

/// tower's budget, whose clock can be paused.
#[tokio::test(start_paused = true)]
#[ignore = "shows the fault in tower 0.5; run with --ignored"]
async fn peer_tps_budget_truncates_the_reciprocal_of_its_ratio() {
    for ratio in [0.6, 0.7, 0.9] {
        let budget = TpsBudget::new(Duration::from_secs(10), 0, ratio);
        (0..100).for_each(|_| budget.deposit());
        assert_eq!((0..200).filter(|_| budget.withdraw()).count(), 100, "{ratio}");
    }
}
