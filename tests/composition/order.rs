//! Dead letters, retry, circuit breaker and timing among themselves.

use campanile::retry::GiveUp;
use campanile::{CircuitState, DeadLetterQueue, FailureKind, Rejected, Timing};
use tokio::time::Instant;
use tower::ServiceBuilder;

use crate::support::{Act, Backend, OPEN_FOR, breaker, call, of_kind, retry, secs};

#[tokio::test(start_paused = true)]
async fn dead_letters_outside_of_retry_park_calls_that_failed_for_good() {
    let queue = DeadLetterQueue::in_memory(10);
    let stack = |backend: &Backend| {
        ServiceBuilder::new().layer(queue.layer()).layer(retry().layer()).service(backend.clone())
    };
    call(&mut stack(&Backend::default()), Act::FailFirst(2)).await.unwrap();
    assert_eq!(queue.len().await.unwrap(), 0, "the third attempt went well");
    call(&mut stack(&Backend::default()), Act::Fail).await.unwrap_err();
    assert_eq!(queue.len().await.unwrap(), 1, "one letter for one call");
}

#[tokio::test(start_paused = true)]
async fn dead_letters_inside_of_retry_park_attempts_of_calls_that_succeed_later() {
    let queue = DeadLetterQueue::in_memory(10);
    let mut stack =
        ServiceBuilder::new().layer(retry().layer()).layer(queue.layer()).service(Backend::default());
    call(&mut stack, Act::FailFirst(2)).await.unwrap();
    assert_eq!(queue.len().await.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn dead_letters_outside_of_the_breaker_park_refused_calls() {
    let (outside, inside) = (DeadLetterQueue::in_memory(10), DeadLetterQueue::in_memory(10));
    let breaker = breaker();
    let mut stack = ServiceBuilder::new()
        .layer(outside.layer())
        .layer(breaker.layer())
        .layer(inside.layer())
        .service(Backend::default());
    breaker.force_open();
    call(&mut stack, Act::Succeed).await.unwrap_err();
    assert_eq!((outside.len().await.unwrap(), inside.len().await.unwrap()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_breaker_inside_of_retry_sees_every_attempt_and_ends_the_retry() {
    let (retry, breaker, backend) = (retry(), breaker(), Backend::default());
    let mut stack =
        ServiceBuilder::new().layer(retry.layer()).layer(breaker.layer()).service(backend.clone());
    call(&mut stack, Act::Fail).await.unwrap_err();
    assert_eq!(breaker.snapshot().failures, 3);
    // The fourth attempt opens it. The fifth is refused, which ends the call.
    let began = Instant::now();
    let error = call(&mut stack, Act::Fail).await.unwrap_err();
    assert!(Rejected::find(error.as_ref()).is_some());
    assert_eq!((backend.calls(), breaker.state()), (4, CircuitState::Open));
    assert_eq!(retry.snapshot().given_up[&GiveUp::Rejected], 1);
    assert!(began.elapsed() < secs(2), "no second backoff");
}

#[tokio::test(start_paused = true)]
async fn a_breaker_outside_of_retry_sees_one_outcome_for_all_attempts() {
    let (retry, breaker, backend) = (retry(), breaker(), Backend::default());
    let mut stack =
        ServiceBuilder::new().layer(breaker.layer()).layer(retry.layer()).service(backend.clone());
    for _ in 0..4 {
        assert_eq!(breaker.state(), CircuitState::Closed);
        call(&mut stack, Act::Fail).await.unwrap_err();
    }
    assert_eq!((backend.calls(), breaker.state()), (12, CircuitState::Open));
}

#[tokio::test(start_paused = true)]
async fn timing_counts_what_passes_its_place() {
    let [outer, middle, inner] = ["caller", "attempts", "service"].map(Timing::new);
    let breaker = breaker();
    let mut stack = ServiceBuilder::new()
        .layer(outer.layer())
        .layer(retry().layer())
        .layer(middle.layer())
        .layer(breaker.layer())
        .layer(inner.layer())
        .service(Backend::default());
    call(&mut stack, Act::FailFirst(2)).await.unwrap();
    breaker.force_open();
    call(&mut stack, Act::Succeed).await.unwrap_err();

    let rejected = |timing: &Timing| of_kind(timing.snapshot().failures, FailureKind::Rejected);
    // The time of the caller, with both backoffs.
    assert_eq!((outer.snapshot().calls, outer.snapshot().failed, rejected(&outer)), (2, 1, 1));
    assert!(outer.snapshot().max >= secs(2));
    // Attempts, including refused ones.
    assert_eq!((middle.snapshot().calls, middle.snapshot().failed, rejected(&middle)), (4, 3, 1));
    // The calls that reached the service.
    assert_eq!((inner.snapshot().calls, inner.snapshot().failed, rejected(&inner)), (3, 2, 0));
    assert!(inner.snapshot().max < secs(1));
}

#[tokio::test(start_paused = true)]
async fn clients_of_one_service_share_its_circuit() {
    let (breaker, broken, fine) = (breaker(), Backend::default(), Backend::default());
    let mut first = ServiceBuilder::new().layer(retry().layer()).layer(breaker.layer()).service(broken);
    let mut second = ServiceBuilder::new().layer(breaker.layer()).service(fine.clone());
    for _ in 0..2 {
        call(&mut first, Act::Fail).await.unwrap_err();
    }
    let error = call(&mut second, Act::Succeed).await.unwrap_err();
    assert!(Rejected::find(error.as_ref()).is_some());
    // The probe of one closes it for all.
    tokio::time::advance(OPEN_FOR).await;
    call(&mut second, Act::Succeed).await.unwrap();
    call(&mut first, Act::Succeed).await.unwrap();
    assert_eq!(fine.calls(), 1);
}
