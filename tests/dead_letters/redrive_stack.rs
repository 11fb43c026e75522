//! Property 23 through the whole stack: dead letters, retry, circuit breaker, service.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use campanile::breaker::HalfOpen;
use campanile::dead_letter::{LetterFilter, Redrive};
use campanile::{Backoff, CircuitBreaker, DeadLetterQueue, FailureKind, Jitter, Retry, RetryBudget};
use tokio::time::{Instant, sleep};
use tower::{BoxError, Service, ServiceBuilder, ServiceExt, service_fn};

use crate::support::{Order, order, waiting};

const SECOND: Duration = Duration::from_secs(1);

fn breaker() -> CircuitBreaker {
    let wait = Backoff::constant(5 * SECOND);
    let one = HalfOpen { permits: 1, max_wait: 30 * SECOND };
    CircuitBreaker::builder("payments").consecutive_failures(5).open_for(wait).half_open(one).build().unwrap()
}

fn retry(budget: RetryBudget) -> Retry {
    let wait = Backoff::constant(Duration::from_millis(10));
    Retry::builder().max_attempts(3).backoff(wait).budget(budget).build().unwrap()
}

/// A service in all layers.
fn stack<S>(
    queue: &DeadLetterQueue,
    retry: &Retry,
    breaker: &CircuitBreaker,
    service: S,
) -> impl Service<Order, Response = (), Error = BoxError, Future: Send> + Clone + Send + 'static
where
    S: Service<Order, Response = (), Error = BoxError, Future: Send> + Clone + Send + 'static,
{
    ServiceBuilder::new().layer(queue.layer()).layer(retry.layer()).layer(breaker.layer()).service(service)
}

/// A service that fails until `repaired`, and the number of its calls.
fn down_until(
    repaired: Arc<Mutex<Option<Instant>>>,
) -> (
    impl Service<Order, Response = (), Error = BoxError, Future: Send> + Clone + Send + 'static,
    Arc<AtomicU32>,
) {
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let service = service_fn(move |_: Order| {
        counted.fetch_add(1, Ordering::SeqCst);
        let works = repaired.lock().unwrap().is_some_and(|at| Instant::now() >= at);
        async move { if works { Ok(()) } else { Err(BoxError::from("down")) } }
    });
    (service, calls)
}

#[tokio::test(start_paused = true)]
async fn p23_letters_go_through_the_stack_that_failed_them() {
    let queue = DeadLetterQueue::in_memory(100);
    let (breaker, retry) = (breaker(), retry(RetryBudget::ratio(1.0)));
    let repaired = Arc::default();
    let (service, calls) = down_until(Arc::clone(&repaired));
    let stack = stack(&queue, &retry, &breaker, service);
    for number in 1..=12 {
        stack.clone().oneshot(order(number)).await.unwrap_err();
    }
    // Three attempts, two more that opened the circuit, and ten rejections.
    assert_eq!((calls.swap(0, Ordering::SeqCst), queue.len().await.unwrap()), (5, 12));
    assert_eq!(queue.list(LetterFilter::all().kind(FailureKind::Rejected)).await.unwrap().len(), 11);

    let began = Instant::now();
    *repaired.lock().unwrap() = Some(began + 12 * SECOND);
    let report = queue.redrive(stack.clone(), Redrive::all().concurrency(8)).await.unwrap();
    // One call was rejected, and then one probe was admitted each time, at 5 s and at 10 s. Both
    // arrived, regardless of their retries.
    assert_eq!((report.redriven, report.failed, report.stopped), (10, 2, None));
    assert_eq!(calls.load(Ordering::SeqCst), 2 + 10);
    assert!((14 * SECOND..16 * SECOND).contains(&began.elapsed()), "{:?}", began.elapsed());
    assert_eq!((queue.snapshot().failures, queue.len().await.unwrap()), (12, 2), "nothing was parked again");
    for letter in queue.list(LetterFilter::all()).await.unwrap() {
        assert_eq!((letter.redrives, letter.kind, letter.message.as_str()), (1, FailureKind::Error, "down"));
    }
    assert_eq!(queue.redrive(stack, Redrive::all()).await.unwrap().redriven, 2);
}

#[tokio::test(start_paused = true)]
async fn p23_the_retry_budget_applies_to_a_redrive() {
    let queue = DeadLetterQueue::in_memory(100);
    let retry = retry(RetryBudget::ratio(0.2).min_per_second(1));
    let breaker = breaker();
    breaker.disable();
    let (service, calls) = down_until(Arc::default());
    let stack = stack(&queue, &retry, &breaker, service);
    for number in 1..=50 {
        stack.clone().oneshot(order(number)).await.unwrap_err();
    }
    sleep(60 * SECOND).await;
    calls.store(0, Ordering::SeqCst);
    let report = queue.redrive(stack, Redrive::all().stop_after(100)).await.unwrap();
    let sent = u32::try_from(report.failed).unwrap();
    let retries = calls.load(Ordering::SeqCst) - sent;
    // A minimum of ten retries, and one for five letters.
    assert!(retries >= 10 && retries <= 10 + sent / 5 + 1, "{retries} retries of {sent} letters");
    assert_eq!((queue.snapshot().failures, queue.len().await.unwrap()), (50, 50));
}

#[tokio::test(start_paused = true)]
async fn a_letter_that_opens_the_circuit_does_not_block_the_others() {
    let queue = DeadLetterQueue::in_memory(100);
    let breaker = breaker();
    let retry = retry(RetryBudget::ratio(1.0));
    let poison = service_fn(|order: Order| async move {
        if order.number == 1 { Err(BoxError::from("poison")) } else { Ok(()) }
    });
    breaker.force_open();
    let stack = stack(&queue, &retry, &breaker, poison);
    for number in 1..=10 {
        stack.clone().oneshot(order(number)).await.unwrap_err();
    }
    breaker.reset();
    // The circuit opens at the first failure, so that the retry of the failing letter is always rejected.
    let strict = CircuitBreaker::builder("strict").consecutive_failures(1).build().unwrap();
    breaker
        .reconfigure(campanile::breaker::BreakerSettings {
            open_for: Backoff::constant(5 * SECOND),
            ..strict.settings()
        })
        .unwrap();
    let wait = Backoff::exponential(SECOND, 60 * SECOND).jitter(Jitter::None);
    let running = queue.redrive_automatically(stack, Redrive::all().backoff(wait)).unwrap();
    sleep(60 * SECOND).await;
    assert_eq!(waiting(&queue).await, [1]);
    assert_eq!(running.stop(SECOND).await.redriven, 9);
}
