//! A future that is polled after its end panics. It never pends for ever.

use std::convert::Infallible;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::Bytes;
use campanile::breaker::KeyedBreaker;
use campanile::retry::BodyTimeoutLayer;
use campanile::{CircuitBreaker, Retry, Timing};
use http::{Request, Response};
use http_body_util::Empty;
use tower::{BoxError, Layer, Service, ServiceExt, service_fn};

type Body = Empty<Bytes>;

fn request() -> Request<Body> {
    Request::new(Body::new())
}

async fn plain(_: Request<Body>) -> Result<(), Infallible> {
    Ok(())
}

async fn over_http<R>(_: R) -> Result<Response<Body>, Infallible> {
    Ok(Response::new(Body::new()))
}

/// Drives a call to its end, and polls it once more.
async fn panics_after_its_end<S: Service<Request<Body>>>(mut service: S)
where
    S::Error: std::fmt::Debug,
{
    let mut call = pin!(service.ready().await.unwrap().call(request()));
    let _ = call.as_mut().await;
    let again = AssertUnwindSafe(|| call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert!(catch_unwind(again).is_err(), "polled after its end without a panic");
}

#[tokio::test]
async fn a_call_through_a_breaker_panics_when_it_is_polled_after_its_end() {
    let open = CircuitBreaker::builder("open").build().unwrap();
    open.force_open();
    for breaker in [CircuitBreaker::builder("closed").build().unwrap(), open] {
        panics_after_its_end(breaker.layer().layer(service_fn(plain))).await;
        panics_after_its_end(breaker.http_layer().layer(service_fn(over_http))).await;
        panics_after_its_end(breaker.grpc_layer().layer(service_fn(over_http))).await;
    }
    let keyed: KeyedBreaker<u8, _> = CircuitBreaker::keyed("keyed", |_: &Request<Body>| 1).build().unwrap();
    for force_open in [false, true] {
        if force_open {
            keyed.circuit(1).force_open();
        }
        panics_after_its_end(keyed.layer().layer(service_fn(plain))).await;
        panics_after_its_end(keyed.http_layer().layer(service_fn(over_http))).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_through_a_retry_panics_when_it_is_polled_after_its_end() {
    let retry = Retry::builder().attempt_timeout(Duration::from_secs(1)).build().unwrap();
    panics_after_its_end(retry.layer().layer(service_fn(plain))).await;
    panics_after_its_end(retry.layer().layer(service_fn(async |_| Err::<(), BoxError>("broken".into()))))
        .await;
    panics_after_its_end(retry.http_layer().layer(service_fn(over_http))).await;
    panics_after_its_end(retry.grpc_layer().layer(service_fn(over_http))).await;
    let limits = BodyTimeoutLayer::new().idle(Duration::from_secs(1));
    panics_after_its_end(limits.layer(service_fn(over_http))).await;
}

#[tokio::test]
async fn a_timed_call_panics_when_it_is_polled_after_its_end() {
    let timing = Timing::new("test");
    panics_after_its_end(timing.layer().layer(service_fn(plain))).await;
    panics_after_its_end(timing.http_server_layer().layer(service_fn(over_http))).await;
    panics_after_its_end(timing.grpc_client_layer().layer(service_fn(over_http))).await;
}
