//! What counts as a failure, and when.

use std::time::Duration;

use campanile::{CircuitState, FailureKind};
use tower::{Layer, Service, ServiceExt};

use crate::subject::{Act, Subject, Wanted, call, ours, peer};

const SLOW: Duration = Duration::from_millis(10);

/// The state after ten calls that hang until an outer timeout ends them.
async fn after_hangs(subject: &impl Subject) -> CircuitState {
    let mut client = tower::timeout::TimeoutLayer::new(3 * SLOW)
        .layer(subject.client().map_err(|failed| tower::BoxError::from(format!("{failed:?}"))));
    for _ in 0..10 {
        let error = client.ready().await.unwrap().call(Act::Hang).await.unwrap_err();
        assert!(error.is::<tower::timeout::error::Elapsed>(), "{error}");
    }
    subject.state()
}

/// The state after ten calls that panic.
async fn after_panics(subject: &impl Subject) -> CircuitState {
    for _ in 0..10 {
        let mut client = subject.client();
        let calling = tokio::spawn(async move { call(&mut client, Act::Panic).await });
        assert!(calling.await.unwrap_err().is_panic());
    }
    subject.state()
}

fn with_a_slow_limit() -> Wanted {
    Wanted { slow: Some(SLOW), ..Wanted::default() }
}

#[tokio::test(start_paused = true)]
async fn fault_06_an_outer_timeout_does_not_hide_a_hang() {
    let breaker = ours(with_a_slow_limit());
    assert_eq!(after_hangs(&breaker).await, CircuitState::Open);
    assert_eq!(breaker.snapshot().totals.failures[FailureKind::Cancelled.index()], 10);
}

#[tokio::test(start_paused = true)]
async fn fault_06_a_panic_is_a_failure() {
    let breaker = ours(Wanted::default());
    assert_eq!(after_panics(&breaker).await, CircuitState::Open);
    assert_eq!(breaker.snapshot().totals.failures[FailureKind::Panic.index()], 10);
}

#[tokio::test]
#[ignore = "shows the fault in tower-resilience 0.14; run with --ignored"]
async fn peer_06_cancelled_calls_and_panics_record_nothing() {
    let peer = peer(with_a_slow_limit());
    assert_eq!(after_hangs(&peer).await, CircuitState::Closed);
    assert_eq!(after_panics(&peer).await, CircuitState::Closed);
    assert_eq!(peer.handle.metrics().await.total_calls, 0);
}

#[cfg(feature = "grpc")]
mod streams {
    use std::convert::Infallible;

    use bytes::Bytes;
    use campanile::{CircuitState, FailureKind};
    use http::{HeaderMap, HeaderValue, Request, Response};
    use http_body::{Body, Frame};
    use http_body_util::{BodyExt, Empty, StreamBody};
    use tower::{Layer, Service, ServiceExt, service_fn};

    use crate::subject::{Subject, Wanted, ours, peer_builder};

    type Frames = Vec<Result<Frame<Bytes>, Infallible>>;

    /// A gRPC service that answers 200 with a message, and a failure in the trailers.
    async fn fails_in_the_trailers(
        _: Request<Empty<Bytes>>,
    ) -> Result<
        Response<StreamBody<tokio_stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>>>,
        Infallible,
    > {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("13"));
        let frames: Frames =
            vec![Ok(Frame::data(Bytes::from_static(b"half an answer"))), Ok(Frame::trailers(trailers))];
        Ok(Response::new(StreamBody::new(tokio_stream::iter(frames))))
    }

    /// Reads ten responses to their end.
    async fn read_ten<S, B>(mut service: S)
    where
        S: Service<Request<Empty<Bytes>>, Response = Response<B>>,
        S::Error: std::fmt::Debug,
        B: Body<Data = Bytes>,
        B::Error: std::fmt::Debug,
    {
        for _ in 0..10 {
            let response = service.ready().await.unwrap().call(Request::new(Empty::new())).await.unwrap();
            let trailers = response.into_body().collect().await.unwrap().trailers().cloned();
            assert!(trailers.is_some_and(|trailers| trailers["grpc-status"] == "13"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn fault_11_the_end_of_the_stream_decides() {
        let breaker = ours(Wanted::default());
        read_ten(breaker.grpc_layer().layer(service_fn(fails_in_the_trailers))).await;
        assert_eq!(Subject::state(&breaker), CircuitState::Open);
        assert_eq!(breaker.snapshot().totals.failures[FailureKind::Error.index()], 10);
    }

    #[tokio::test]
    #[ignore = "shows the fault in tower-resilience 0.14; run with --ignored"]
    async fn peer_11_the_head_alone_is_a_success() {
        let (layer, handle) = peer_builder(Wanted::default()).build_with_handle().unwrap();
        read_ten(layer.layer(service_fn(fails_in_the_trailers))).await;
        let counted = handle.metrics().await;
        assert_eq!((counted.success_count, counted.failure_count), (10, 0));
    }
}
