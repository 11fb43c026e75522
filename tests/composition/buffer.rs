//! `buffer`, and errors of `poll_ready`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use campanile::retry::GiveUp;
use campanile::{CircuitState, Rejected, Timing};
use tower::buffer::{Buffer, BufferLayer};
use tower::limit::ConcurrencyLimitLayer;
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt};

use crate::support::{Act, Backend, breaker, call, retry, secs};

#[tokio::test(start_paused = true)]
async fn a_breaker_needs_a_clone_and_a_buffer_makes_one() {
    /// Not `Clone`.
    struct Connection(Backend);
    impl Service<Act> for Connection {
        type Response = ();
        type Error = BoxError;
        type Future = <Backend as Service<Act>>::Future;
        fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
            self.0.poll_ready(cx)
        }
        fn call(&mut self, act: Act) -> Self::Future {
            self.0.call(act)
        }
    }
    let breaker = breaker();
    let mut stack = ServiceBuilder::new()
        .layer(breaker.layer())
        .layer(BufferLayer::new(8))
        .service(Connection(Backend::default()));
    call(&mut stack, Act::Succeed).await.unwrap();
    for _ in 0..4 {
        call(&mut stack, Act::Fail).await.unwrap_err();
    }
    assert_eq!(breaker.state(), CircuitState::Open);
}

#[tokio::test(start_paused = true)]
async fn the_time_in_an_inner_buffer_counts_for_the_call() {
    let (outer, inner) = (Timing::new("outer"), Timing::new("inner"));
    let stack = ServiceBuilder::new()
        .layer(outer.layer())
        .layer(BufferLayer::new(8))
        .layer(inner.layer())
        .layer(ConcurrencyLimitLayer::new(1))
        .service(Backend::default());
    let (mut first, mut second) = (stack.clone(), stack.clone());
    let (first, second) =
        tokio::join!(call(&mut first, Act::Take(secs(5))), call(&mut second, Act::Take(secs(1))));
    first.and(second).unwrap();
    assert!(outer.snapshot().min >= secs(5) && outer.snapshot().max >= secs(6));
    assert!(inner.snapshot().min < secs(2) && inner.snapshot().max < secs(6));
}

#[tokio::test(start_paused = true)]
async fn an_open_circuit_does_not_fill_the_buffer_outside_of_it() {
    let (breaker, backend) = (breaker(), Backend::default());
    let buffer = Buffer::new(breaker.layer().layer(backend.clone()), 1);
    breaker.force_open();
    for _ in 0..10 {
        let error = call(&mut buffer.clone(), Act::Succeed).await.unwrap_err();
        assert!(Rejected::find(error.as_ref()).is_some());
    }
    assert_eq!((breaker.snapshot().totals.rejected, backend.calls()), (10, 0));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_cancelled_in_a_buffer_never_reaches_the_inner_breaker() {
    let breaker = breaker();
    let inner = ServiceBuilder::new()
        .layer(breaker.layer())
        .layer(ConcurrencyLimitLayer::new(1))
        .service(Backend::default());
    let buffer = Buffer::new(inner, 8);
    let mut first = buffer.clone();
    let running = tokio::spawn(first.ready().await.unwrap().call(Act::Take(secs(60))));
    for _ in 0..4 {
        let mut other = buffer.clone();
        let waiting = call(&mut other, Act::Succeed);
        assert!(tokio::time::timeout(secs(5), waiting).await.is_err());
    }
    running.await.unwrap().unwrap();
    call(&mut buffer.clone(), Act::Succeed).await.unwrap();
    let totals = breaker.snapshot().totals;
    assert_eq!((totals.successes, totals.ignored, totals.failures), (2, 0, [0; 6]));
}

/// Ready once, then failed, like a connection that all clones share.
#[derive(Clone, Default)]
struct Worn {
    backend: Backend,
    readied: Arc<AtomicBool>,
}

impl Service<Act> for Worn {
    type Response = ();
    type Error = BoxError;
    type Future = <Backend as Service<Act>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        if self.readied.swap(true, Ordering::SeqCst) {
            return Poll::Ready(Err("worn out".into()));
        }
        self.backend.poll_ready(cx)
    }

    fn call(&mut self, act: Act) -> Self::Future {
        self.backend.call(act)
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_of_poll_ready_is_no_call() {
    let (retry, breaker, timing) = (retry(), breaker(), Timing::new("test"));
    let mut stack = ServiceBuilder::new()
        .layer(retry.layer())
        .layer(breaker.layer())
        .layer(timing.layer())
        .service(Worn::default());
    // The service has failed before the second attempt.
    assert_eq!(call(&mut stack, Act::Fail).await.unwrap_err().to_string(), "worn out");
    assert_eq!(retry.snapshot().given_up[&GiveUp::NotReady], 1);
    assert_eq!((breaker.snapshot().calls, timing.snapshot().calls), (1, 1), "the attempt that was made");
    assert_eq!(breaker.snapshot().totals.ignored, 0);
}

#[tokio::test(start_paused = true)]
async fn a_buffer_around_a_service_that_fails_its_readiness_fails_for_good() {
    let breaker = breaker();
    let mut stack =
        ServiceBuilder::new().layer(breaker.layer()).layer(BufferLayer::new(8)).service(Worn::default());
    call(&mut stack, Act::Succeed).await.unwrap();
    // It fails the calls that it had accepted, and they count. After that `poll_ready` returns the error.
    assert!(call(&mut stack, Act::Succeed).await.unwrap_err().to_string().contains("worn out"));
    for _ in 0..10 {
        assert!(call(&mut stack, Act::Succeed).await.unwrap_err().to_string().contains("worn out"));
    }
    assert_eq!((breaker.state(), breaker.snapshot().failures), (CircuitState::Closed, 1));
}
