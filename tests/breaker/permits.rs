//! Readiness and permits, through the layer.

use std::convert::Infallible;
use std::future::{Ready, pending, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use campanile::{CircuitState, HalfOpen, RejectReason, Rejected};
use tower::limit::ConcurrencyLimit;
use tower::{BoxError, Layer, Service, ServiceExt, service_fn};

use crate::{OPEN_FOR, advance, breaker, builder, fail_times};

/// Panics if an instance is called that was not ready.
#[derive(Default)]
struct Strict {
    ready: bool,
    calls: Arc<AtomicUsize>,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self { ready: false, calls: Arc::clone(&self.calls) }
    }
}

impl Service<bool> for Strict {
    type Response = ();
    type Error = &'static str;
    type Future = Ready<Result<(), &'static str>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, good: bool) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called without having said Ready");
        self.calls.fetch_add(1, Ordering::SeqCst);
        ready(if good { Ok(()) } else { Err("broken") })
    }
}

#[tokio::test(start_paused = true)]
async fn p01_every_call_reaches_the_instance_that_was_ready() {
    let breaker = breaker();
    let inner = Strict::default();
    let calls = Arc::clone(&inner.calls);
    let service = breaker.layer().layer(inner);
    let mut held = service.clone();
    held.ready().await.unwrap();
    for round in 0..50 {
        let mut service = service.clone();
        let _ = service.ready().await.unwrap().call(round % 5 == 0).await;
        let _ = service.ready().await.unwrap().call(false).await;
        advance(OPEN_FOR).await;
    }
    let _ = held.call(true).await;
    assert!(held.ready().await.is_ok());
    assert!(calls.load(Ordering::SeqCst) > 10);
}

#[tokio::test(start_paused = true)]
async fn p01_a_refusal_takes_no_permit_of_an_inner_limit() {
    let breaker = breaker();
    let inner = ConcurrencyLimit::new(service_fn(|(): ()| ready(Ok::<_, BoxError>(()))), 1);
    let service = breaker.layer().layer(inner);

    // Refused in `poll_ready`: the limit was not polled.
    breaker.force_open();
    let mut refused = service.clone();
    refused.ready().await.unwrap();
    let error = refused.ready().await.unwrap().call(()).await.unwrap_err();
    assert_eq!(Rejected::find(error.as_ref()).unwrap().reason(), RejectReason::ForcedOpen);
    refused.ready().await.unwrap();
    assert_eq!(breaker.snapshot().totals.rejected, 1, "asking for readiness is no call");
    breaker.force_closed();
    let mut other = service.clone();
    let mut third = service.clone();
    assert!(other.ready().await.unwrap().call(()).await.is_ok());

    // Refused between `poll_ready` and `call`: the permit of the limit is released.
    other.ready().await.unwrap();
    breaker.force_open();
    assert!(other.call(()).await.is_err());
    assert_eq!(breaker.snapshot().totals.rejected, 2);
    breaker.force_closed();
    let third = tokio::time::timeout(Duration::from_secs(1), third.ready()).await;
    assert!(third.expect("the refusal kept the only permit").unwrap().call(()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn p02_permits_of_probes_are_always_released() {
    let breaker =
        builder().half_open(HalfOpen { permits: 1, max_wait: Duration::from_secs(30) }).build().unwrap();
    fail_times(&breaker, 4).await;
    advance(OPEN_FOR).await;
    let service = breaker.layer().layer(service_fn(|panics: Option<bool>| async move {
        match panics {
            Some(true) => panic!("on purpose"),
            Some(false) => Ok::<_, Infallible>(()),
            None => pending().await,
        }
    }));
    let in_flight = || breaker.snapshot().probes_in_flight;

    // Reserved and never called.
    let mut reserved = service.clone();
    reserved.ready().await.unwrap();
    assert_eq!(in_flight(), 1);
    let mut second = service.clone();
    let error = second.ready().await.unwrap().call(Some(false)).await.unwrap_err();
    assert_eq!(Rejected::find(error.as_ref()).unwrap().reason(), RejectReason::ProbesTaken);
    drop(reserved);
    assert_eq!(in_flight(), 0);

    // Dropped unpolled.
    let unpolled = second.ready().await.unwrap().call(None);
    assert_eq!(in_flight(), 1);
    drop(unpolled);
    assert_eq!(in_flight(), 0);

    // Dropped midway.
    let midway = second.ready().await.unwrap().call(None);
    assert!(tokio::time::timeout(Duration::from_millis(1), midway).await.is_err());
    assert_eq!(in_flight(), 0);
    assert_eq!(breaker.state(), CircuitState::HalfOpen);

    // Ended by a panic, which counts as a failure.
    let panicking = tokio::spawn(second.ready().await.unwrap().call(Some(true)));
    assert!(panicking.await.unwrap_err().is_panic());
    assert_eq!(in_flight(), 0);
    assert_eq!(breaker.state(), CircuitState::Open);
}

#[tokio::test(start_paused = true)]
async fn p02_a_panic_in_call_releases_the_permit() {
    let breaker =
        builder().half_open(HalfOpen { permits: 1, max_wait: Duration::from_secs(30) }).build().unwrap();
    fail_times(&breaker, 4).await;
    advance(OPEN_FOR).await;
    let mut service = breaker.layer().layer(service_fn(|good: bool| {
        assert!(good, "on purpose");
        ready(Ok::<_, Infallible>(()))
    }));
    let panicking = tokio::spawn(async move { service.ready().await.unwrap().call(false).await });
    assert!(panicking.await.unwrap_err().is_panic());
    assert_eq!(breaker.snapshot().probes_in_flight, 0);
    assert_eq!(breaker.state(), CircuitState::Open);
}

#[tokio::test(start_paused = true)]
async fn p02_an_inner_service_that_is_never_ready_keeps_no_permit() {
    let breaker = breaker();
    fail_times(&breaker, 4).await;
    advance(OPEN_FOR).await;
    let (mut service, mut handle) = tower_test::mock::spawn_layer::<(), (), _>(breaker.layer());
    handle.send_error("its own words");
    assert!(service.poll_ready().is_ready());
    assert_eq!(breaker.snapshot().probes_in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn unused_permits_are_revoked() {
    let breaker =
        builder().half_open(HalfOpen { permits: 1, max_wait: Duration::from_secs(30) }).build().unwrap();
    fail_times(&breaker, 4).await;
    advance(OPEN_FOR).await;
    let service = breaker.layer().layer(service_fn(|(): ()| ready(Ok::<_, Infallible>(()))));
    let mut idle = service.clone();
    idle.ready().await.unwrap();
    advance(Duration::from_secs(30)).await;
    let mut busy = service.clone();
    assert!(busy.ready().await.unwrap().call(()).await.is_ok());
    assert_eq!(breaker.state(), CircuitState::Closed);
    assert!(idle.call(()).await.is_ok());
    assert_eq!(breaker.snapshot().calls, 1);
}

#[tokio::test(start_paused = true)]
async fn p12_a_service_that_never_fails_behaves_as_without_the_layer() {
    let breaker = breaker();
    let (mut service, mut handle) = tower_test::mock::spawn_layer::<u32, u32, _>(breaker.layer());
    handle.allow(0);
    tokio_test::assert_pending!(service.poll_ready());
    handle.allow(1);
    tokio_test::assert_ready_ok!(service.poll_ready());
    let response = service.call(7);
    let (request, reply) = handle.next_request().await.unwrap();
    assert_eq!(request, 7);
    reply.send_response(8);
    assert_eq!(response.await.unwrap(), 8);
    // An error of the inner service passes unchanged.
    handle.allow(1);
    tokio_test::assert_ready_ok!(service.poll_ready());
    let response = service.call(9);
    handle.next_request().await.unwrap().1.send_error("its own words");
    assert_eq!(response.await.unwrap_err().to_string(), "its own words");
}
