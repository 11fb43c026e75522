//! Callers that wait for the decision of a half-open circuit.

use std::convert::Infallible;
use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use campanile::{CircuitBreaker, CircuitState, HalfOpen, RejectReason, Rejected};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tower::limit::ConcurrencyLimit;
use tower::{BoxError, Layer, Service, ServiceExt, service_fn};

use super::{OPEN_FOR, advance, builder, fail_times, succeed};

const MAX_WAIT: Duration = Duration::from_secs(30);

/// A half-open circuit with one permit, and a probe whose end the test controls.
async fn probing(queue: u32) -> (CircuitBreaker, oneshot::Sender<bool>, JoinHandle<bool>) {
    let breaker = builder()
        .half_open(HalfOpen { permits: 1, max_wait: MAX_WAIT })
        .half_open_queue(queue)
        .build()
        .unwrap();
    fail_times(&breaker, 4).await;
    advance(OPEN_FOR).await;
    let (end, ended) = oneshot::channel::<bool>();
    let probe = {
        let breaker = breaker.clone();
        let work = async { ended.await.unwrap_or(false).then_some(()).ok_or("it failed") };
        tokio::spawn(async move { breaker.call(work).await.is_ok() })
    };
    tokio::task::yield_now().await;
    assert_eq!(breaker.snapshot().probes_in_flight, 1);
    (breaker, end, probe)
}

fn caller(breaker: &CircuitBreaker) -> JoinHandle<bool> {
    let breaker = breaker.clone();
    tokio::spawn(async move { succeed(&breaker).await })
}

async fn settle_down() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_callers_pass_when_the_circuit_closes() {
    let (breaker, end, probe) = probing(2).await;
    let waiting = [caller(&breaker), caller(&breaker)];
    settle_down().await;
    assert_eq!(breaker.snapshot().waiting, 2);
    assert!(!succeed(&breaker).await, "the queue is full");
    end.send(true).unwrap();
    assert!(probe.await.unwrap());
    for caller in waiting {
        assert!(caller.await.unwrap());
    }
    assert_eq!((breaker.state(), breaker.snapshot().waiting), (CircuitState::Closed, 0));
    assert_eq!(breaker.snapshot().totals.rejected, 1);
}

#[tokio::test(start_paused = true)]
async fn waiting_callers_are_refused_at_once_when_the_circuit_opens() {
    let (breaker, end, probe) = probing(8).await;
    let began = tokio::time::Instant::now();
    let waiting: Vec<_> = (0..8).map(|_| caller(&breaker)).collect();
    settle_down().await;
    end.send(false).unwrap();
    assert!(!probe.await.unwrap());
    for caller in waiting {
        assert!(!caller.await.unwrap());
    }
    assert_eq!(tokio::time::Instant::now(), began, "a caller waited for a timer");
    assert_eq!((breaker.state(), breaker.snapshot().waiting), (CircuitState::Open, 0));
}

#[tokio::test(start_paused = true)]
async fn p04_a_released_permit_goes_to_a_waiting_caller() {
    let (breaker, end, probe) = probing(8).await;
    let waiting = caller(&breaker);
    settle_down().await;
    probe.abort();
    assert!(probe.await.unwrap_err().is_cancelled());
    assert!(waiting.await.unwrap(), "the queue was not notified of the free permit");
    assert_eq!(breaker.state(), CircuitState::Closed);
    drop(end);
}

#[tokio::test(start_paused = true)]
async fn p04_waiting_callers_detect_a_probe_that_hangs() {
    let (breaker, end, probe) = probing(8).await;
    advance(MAX_WAIT / 2).await;
    let waiting = caller(&breaker);
    settle_down().await;
    advance(MAX_WAIT / 2).await;
    assert!(!waiting.await.unwrap());
    assert_eq!((breaker.state(), breaker.snapshot().waiting), (CircuitState::Open, 0));
    drop(end);
    assert!(!probe.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_gives_up_leaves_the_queue() {
    let (breaker, end, _probe) = probing(1).await;
    let waiting = caller(&breaker);
    settle_down().await;
    assert_eq!(breaker.snapshot().waiting, 1);
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    assert_eq!(breaker.snapshot().waiting, 0);
    let other = caller(&breaker);
    settle_down().await;
    end.send(true).unwrap();
    assert!(other.await.unwrap());
}

/// A waker that counts its wakes.
#[derive(Default)]
struct Counting(AtomicUsize);

impl Wake for Counting {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_waits_in_poll_ready_and_is_woken_once() {
    let (breaker, end, probe) = probing(1).await;
    let mut service = breaker.layer().layer(service_fn(|(): ()| ready(Ok::<_, Infallible>(()))));
    let wakes = Arc::new(Counting::default());
    let waker = Waker::from(Arc::clone(&wakes));
    let mut cx = Context::from_waker(&waker);
    assert!(Service::<()>::poll_ready(&mut service, &mut cx).is_pending());
    advance(MAX_WAIT / 2).await;
    settle_down().await;
    assert_eq!(wakes.0.load(Ordering::SeqCst), 0, "a timer polls");
    end.send(true).unwrap();
    assert!(probe.await.unwrap());
    assert_eq!(wakes.0.load(Ordering::SeqCst), 1);
    assert!(matches!(Service::<()>::poll_ready(&mut service, &mut cx), Poll::Ready(Ok(()))));
    service.call(()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn without_a_queue_a_service_is_refused_at_once() {
    let (breaker, end, _probe) = probing(0).await;
    let service = breaker.layer().layer(service_fn(|(): ()| ready(Ok::<_, BoxError>(()))));
    let error = service.oneshot(()).await.unwrap_err();
    let rejected = Rejected::find(error.as_ref()).unwrap();
    assert_eq!((rejected.reason(), rejected.retry_after()), (RejectReason::ProbesTaken, Some(MAX_WAIT)));
    drop(end);
}

#[test]
fn no_caller_waits_outside_a_runtime() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let (breaker, end, _probe) = runtime.block_on(probing(8));
    let mut service = breaker.layer().layer(service_fn(|(): ()| ready(Ok::<_, BoxError>(()))));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(matches!(Service::<()>::poll_ready(&mut service, &mut cx), Poll::Ready(Ok(()))));
    drop(end);
}

fn unready(breaker: &CircuitBreaker) -> impl Service<(), Response = (), Error = BoxError> + Clone + use<> {
    let inner = ConcurrencyLimit::new(service_fn(|(): ()| ready(Ok::<_, BoxError>(()))), 1);
    breaker.layer().unready_while_open().layer(inner)
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_unready_while_open_is_ready_after_the_wait() {
    let breaker = builder().build().unwrap();
    fail_times(&breaker, 4).await;
    let began = tokio::time::Instant::now();
    let mut service = unready(&breaker);
    service.ready().await.unwrap();
    // The timer is exact to a millisecond.
    assert!(tokio::time::Instant::now() - began <= OPEN_FOR + Duration::from_millis(1));
    assert_eq!((breaker.state(), breaker.snapshot().waiting), (CircuitState::HalfOpen, 0));
    service.call(()).await.unwrap();
    assert_eq!(breaker.snapshot().totals.rejected, 0);
}

#[tokio::test(start_paused = true)]
async fn p01_a_service_that_becomes_unready_releases_inner_permits() {
    let breaker = builder().build().unwrap();
    let mut first = unready(&breaker);
    let mut second = first.clone();
    first.ready().await.unwrap();
    breaker.force_open();
    let mut cx = Context::from_waker(Waker::noop());
    assert!(first.poll_ready(&mut cx).is_pending());
    assert!(second.poll_ready(&mut cx).is_pending());
    breaker.force_closed();
    second.ready().await.unwrap();
    second.call(()).await.unwrap();
    first.ready().await.unwrap();
    first.call(()).await.unwrap();
}

/// A caller that waits for an inner service is refused at its next poll.
#[tokio::test(start_paused = true)]
async fn p01_a_caller_that_waits_for_the_inner_service_is_refused_when_the_circuit_opens() {
    let breaker = builder().build().unwrap();
    let inner = ConcurrencyLimit::new(service_fn(|(): ()| ready(Ok::<_, BoxError>(()))), 1);
    let service = breaker.layer().layer(inner);
    let (mut first, mut second) = (service.clone(), service);
    first.ready().await.unwrap();
    let mut cx = Context::from_waker(Waker::noop());
    assert!(Service::<()>::poll_ready(&mut second, &mut cx).is_pending());
    breaker.force_open();
    assert!(matches!(Service::<()>::poll_ready(&mut second, &mut cx), Poll::Ready(Ok(()))));
    let error = second.call(()).await.unwrap_err();
    assert!(Rejected::find(error.as_ref()).is_some());
    drop(first);
    breaker.force_closed();
    assert!(second.oneshot(()).await.is_ok());
}
