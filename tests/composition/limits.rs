//! `concurrency_limit` and `load_shed`.

use std::task::{Context, Waker};

use campanile::{CircuitState, FailureKind, RejectReason, Rejected, Timing};
use tower::limit::{ConcurrencyLimitLayer, GlobalConcurrencyLimitLayer};
use tower::load_shed::LoadShedLayer;
use tower::load_shed::error::Overloaded;
use tower::{Layer, Service, ServiceBuilder, ServiceExt};

use crate::support::{Act, Backend, OPEN_FOR, breaker, breaker_builder, call, of_kind, retry, secs};

fn is_ready<S: Service<Act>>(service: &mut S) -> bool {
    service.poll_ready(&mut Context::from_waker(Waker::noop())).is_ready()
}

#[tokio::test(start_paused = true)]
async fn a_limit_inside_of_the_breaker_does_not_delay_a_refusal() {
    let (breaker, backend) = (breaker(), Backend::default());
    let stack = ServiceBuilder::new()
        .layer(breaker.layer())
        .layer(ConcurrencyLimitLayer::new(1))
        .service(backend.clone());
    let mut first = stack.clone();
    let hanging = first.ready().await.unwrap().call(Act::Hang);
    let mut second = stack.clone();
    assert!(!is_ready(&mut second), "the limit is reached");
    breaker.force_open();
    let mut third = stack.clone();
    let error = third.ready().await.unwrap().call(Act::Succeed).await.unwrap_err();
    assert!(Rejected::find(error.as_ref()).is_some());
    drop(hanging);
    assert_eq!(backend.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_limit_inside_of_retry_is_free_during_the_backoff() {
    let stack = ServiceBuilder::new()
        .layer(retry().layer())
        .layer(ConcurrencyLimitLayer::new(1))
        .service(Backend::default());
    assert!(second_gets_in_during_the_backoff(stack).await);
}

#[tokio::test(start_paused = true)]
async fn a_limit_outside_of_retry_is_held_during_the_backoff() {
    let stack = ServiceBuilder::new()
        .layer(ConcurrencyLimitLayer::new(1))
        .layer(retry().layer())
        .service(Backend::default());
    assert!(!second_gets_in_during_the_backoff(stack).await);
}

async fn second_gets_in_during_the_backoff<S>(stack: S) -> bool
where
    S: Service<Act> + Clone,
{
    let mut first = stack.clone();
    let mut waiting = tokio_test::task::spawn(first.ready().await.ok().unwrap().call(Act::Fail));
    assert!(waiting.poll().is_pending(), "it waits for its second attempt");
    is_ready(&mut stack.clone())
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_an_inner_limit_is_not_timed() {
    let timing = Timing::new("test");
    let stack = ServiceBuilder::new()
        .layer(timing.layer())
        .layer(ConcurrencyLimitLayer::new(1))
        .service(Backend::default());
    let (mut first, mut second) = (stack.clone(), stack.clone());
    let (first, second) =
        tokio::join!(call(&mut first, Act::Take(secs(5))), call(&mut second, Act::Take(secs(1))));
    first.and(second).unwrap();
    // The second call waited for five seconds and ran for one.
    assert!(timing.snapshot().min < secs(2), "{:?}", timing.snapshot());
}

#[tokio::test(start_paused = true)]
async fn a_probe_holds_its_permit_while_it_waits_for_an_inner_limit() {
    let (breaker, backend) = (breaker(), Backend::default());
    let stack = ServiceBuilder::new()
        .layer(breaker.layer())
        .layer(ConcurrencyLimitLayer::new(1))
        .service(backend.clone());
    let mut first = stack.clone();
    let hanging = first.ready().await.unwrap().call(Act::Hang);
    let mut other = breaker.layer().layer(backend);
    for _ in 0..4 {
        call(&mut other, Act::Fail).await.unwrap_err();
    }
    tokio::time::advance(OPEN_FOR).await;
    let mut probe = stack.clone();
    assert!(!is_ready(&mut probe));
    let error = call(&mut other, Act::Succeed).await.unwrap_err();
    assert_eq!(Rejected::find(error.as_ref()).unwrap().reason(), RejectReason::ProbesTaken);
    // The probe that then replaces it decides.
    drop(hanging);
    call(&mut probe, Act::Succeed).await.unwrap();
    assert_eq!(breaker.state(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn shedding_outside_of_the_breaker_does_not_reach_it() {
    let breaker = breaker();
    let stack = ServiceBuilder::new()
        .layer(LoadShedLayer::new())
        .layer(breaker.layer())
        .layer(GlobalConcurrencyLimitLayer::new(1))
        .service(Backend::default());
    let mut first = stack.clone();
    let hanging = first.ready().await.unwrap().call(Act::Hang);
    for _ in 0..10 {
        let error = call(&mut stack.clone(), Act::Succeed).await.unwrap_err();
        assert!(error.is::<Overloaded>());
    }
    assert_eq!((breaker.state(), breaker.snapshot().calls), (CircuitState::Closed, 0));
    // A refusal passes unchanged, with the time to wait.
    breaker.force_open();
    let error = call(&mut stack.clone(), Act::Succeed).await.unwrap_err();
    assert!(Rejected::find(error.as_ref()).is_some());
    drop(hanging);
}

#[tokio::test(start_paused = true)]
async fn callers_in_the_queue_of_a_breaker_are_shed_outside_of_it_and_not_timed_inside() {
    let breaker = breaker_builder().half_open_queue(8).build().unwrap();
    let timing = Timing::new("test");
    let stack =
        ServiceBuilder::new().layer(breaker.layer()).layer(timing.layer()).service(Backend::default());
    for _ in 0..4 {
        call(&mut stack.clone(), Act::Fail).await.unwrap_err();
    }
    tokio::time::advance(OPEN_FOR).await;
    let mut first = stack.clone();
    let probe = tokio::spawn(first.ready().await.unwrap().call(Act::Take(secs(5))));
    let error = call(&mut LoadShedLayer::new().layer(stack.clone()), Act::Succeed).await.unwrap_err();
    assert!(error.is::<Overloaded>());
    // Without shedding it waits in `poll_ready` until the probe has ended.
    call(&mut stack.clone(), Act::Succeed).await.unwrap();
    assert!(probe.is_finished());
    assert_eq!(breaker.state(), CircuitState::Closed);
    // Four failures and the second call take no time; the probe takes five seconds.
    assert!(timing.snapshot().mean < secs(1));
}

#[tokio::test(start_paused = true)]
async fn shedding_inside_of_the_breaker_is_overload_and_opens_no_circuit() {
    let (breaker, timing) = (breaker(), Timing::new("test"));
    let stack = ServiceBuilder::new()
        .layer(breaker.layer())
        .layer(timing.layer())
        .layer(LoadShedLayer::new())
        .layer(GlobalConcurrencyLimitLayer::new(1))
        .service(Backend::default());
    let mut first = stack.clone();
    let hanging = first.ready().await.unwrap().call(Act::Hang);
    for _ in 0..10 {
        let error = call(&mut stack.clone(), Act::Succeed).await.unwrap_err();
        assert!(error.is::<Overloaded>());
    }
    assert_eq!((breaker.state(), breaker.snapshot().calls), (CircuitState::Closed, 0));
    assert_eq!(of_kind(breaker.snapshot().totals.failures, FailureKind::Overload), 10);
    assert_eq!(of_kind(timing.snapshot().failures, FailureKind::Overload), 10);
    drop(hanging);
}
