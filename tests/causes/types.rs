//! Error types: custom, boxed, plain text, and misbehaving.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use campanile::dead_letter::{LetterFilter, Redrive};
use campanile::error::Cause;
use campanile::outcome::Outcome;
use campanile::retry::{GiveUp, ReplayBody};
use campanile::{
    Backoff, CallError, CircuitBreaker, DeadLetterQueue, FailureKind, RejectReason, Rejected, Retry, Timing,
};
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, StreamBody};
use tower::{BoxError, Layer, ServiceBuilder, ServiceExt, service_fn};

/// A custom error with a source.
#[derive(Debug)]
pub(crate) struct Payment(BoxError);

impl fmt::Display for Payment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the payment failed")
    }
}

impl Error for Payment {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.0.as_ref())
    }
}

pub(crate) fn payment(cause: impl Into<BoxError>) -> Payment {
    Payment(Payment(cause.into()).into())
}

fn timed_out() -> io::Error {
    io::ErrorKind::TimedOut.into()
}

/// The kinds that all layers which pass errors on have counted for it.
async fn kinds<E, K: 'static>(error: impl Fn() -> E + Clone) -> Vec<FailureKind>
where
    E: Cause<K> + fmt::Debug,
{
    let kind = |failures: [u64; 6]| {
        let place = failures.iter().position(|count| *count > 0).unwrap();
        FailureKind::ALL[place]
    };
    let mut kinds = Vec::new();

    let fails = error.clone();
    let plain = service_fn(move |()| std::future::ready(Err::<(), _>(fails())));
    let timing = Timing::new("plain");
    timing.layer().layer(plain).oneshot(()).await.unwrap_err();
    kinds.push(kind(timing.snapshot().failures));

    let breaker = CircuitBreaker::builder("function").build().unwrap();
    breaker.call(std::future::ready(Err::<(), _>(error()))).await.unwrap_err();
    kinds.push(kind(breaker.snapshot().totals.failures));

    let keyed = CircuitBreaker::keyed("keyed", |key: &u8| *key).build().unwrap();
    keyed.call(7, std::future::ready(Err::<(), _>(error()))).await.unwrap_err();
    kinds.push(kind(keyed.circuits()[0].1.snapshot().totals.failures));

    let (timing, breaker) = (Timing::new("http"), CircuitBreaker::builder("http").build().unwrap());
    let keyed = CircuitBreaker::keyed("keyed", |_: &Request<ReplayBody>| 7).build().unwrap();
    let queue = DeadLetterQueue::in_memory(10);
    let fails = error.clone();
    let service = ServiceBuilder::new()
        .layer(queue.http_layer())
        .layer(timing.http_server_layer())
        .layer(breaker.http_layer())
        .layer(keyed.http_layer())
        .service(service_fn(move |_: Request<ReplayBody>| {
            std::future::ready(Err::<Response<Full<Bytes>>, _>(fails()))
        }));
    service.clone().oneshot(Request::new(Full::<Bytes>::default())).await.unwrap_err();
    kinds.push(kind(timing.snapshot().failures));
    kinds.push(kind(breaker.snapshot().totals.failures));
    kinds.push(kind(keyed.circuits()[0].1.snapshot().totals.failures));
    kinds.push(queue.list(LetterFilter::all()).await.unwrap()[0].kind);

    // The same in a redrive.
    queue.redrive_http(service, Redrive::all().dry_run(false)).await.unwrap();
    kinds.push(queue.list(LetterFilter::all()).await.unwrap()[0].attempts[1].kind);
    kinds
}

#[tokio::test]
async fn every_layer_sees_the_causes_of_every_type_of_error() {
    let all = |kind| vec![kind; 8];
    assert_eq!(kinds(timed_out).await, all(FailureKind::Timeout));
    assert_eq!(kinds(|| payment(timed_out())).await, all(FailureKind::Timeout));
    assert_eq!(kinds(|| BoxError::from(payment(timed_out()))).await, all(FailureKind::Timeout));
    assert_eq!(kinds(|| Box::new(payment(timed_out())) as Box<dyn Error>).await, all(FailureKind::Timeout));
    assert_eq!(kinds(|| Arc::new(payment(timed_out()))).await, all(FailureKind::Timeout));
    assert_eq!(kinds(|| io::Error::other(payment(timed_out()))).await, all(FailureKind::Timeout));
    assert_eq!(kinds(|| CallError::Inner(payment(timed_out()))).await, all(FailureKind::Timeout));
    let overloaded = || payment(tower::load_shed::error::Overloaded::new());
    assert_eq!(kinds(overloaded).await, all(FailureKind::Overload));
    assert_eq!(kinds(|| tonic::Status::deadline_exceeded("late")).await, all(FailureKind::Timeout));
    assert_eq!(kinds(|| "a text").await, all(FailureKind::Error));
    assert_eq!(kinds(|| "a text".to_owned()).await, all(FailureKind::Error));
    assert_eq!(kinds(|| payment("a text")).await, all(FailureKind::Error));
}

/// A response whose body breaks off.
async fn breaks_off<B>(
    _: Request<B>,
) -> Result<Response<impl Body<Data = Bytes, Error = Payment>>, Infallible> {
    let frames = [Ok(Frame::data(Bytes::from("a"))), Err(payment(timed_out()))];
    Ok(Response::new(StreamBody::new(tokio_stream::iter(frames))))
}

/// The same without a frame before.
async fn breaks_off_at_once<B>(
    _: Request<B>,
) -> Result<Response<impl Body<Data = Bytes, Error = Payment> + Send>, Infallible> {
    Ok(Response::new(StreamBody::new(tokio_stream::iter([Err::<Frame<Bytes>, _>(payment(timed_out()))]))))
}

#[tokio::test]
async fn every_layer_sees_the_causes_of_an_error_of_a_body() {
    let place = FailureKind::Timeout.index();
    let (timing, breaker) = (Timing::new("body"), CircuitBreaker::builder("body").build().unwrap());
    let service = ServiceBuilder::new()
        .layer(timing.http_client_layer())
        .layer(breaker.http_layer())
        .service(service_fn(breaks_off));
    let response = service.oneshot(Request::new(Full::<Bytes>::default())).await.unwrap();
    let error = response.into_body().collect().await.unwrap_err();
    assert!(error.is::<Payment>(), "it is the error of the body, in one box: {error:?}");
    assert_eq!(timing.snapshot().failures[place], 1);
    assert_eq!(breaker.snapshot().totals.failures[place], 1);

    let queue = DeadLetterQueue::in_memory(10);
    let service = queue.grpc_layer().layer(service_fn(breaks_off_at_once));
    let response = service.oneshot(Request::new(Full::<Bytes>::default())).await.unwrap();
    response.into_body().collect().await.unwrap_err();
    queue.redrive_http(service_fn(breaks_off_at_once), Redrive::all().dry_run(false)).await.unwrap();
    let letter = queue.list(LetterFilter::all()).await.unwrap().remove(0);
    assert_eq!((letter.kind, letter.error_type.as_str()), (FailureKind::Timeout, "body"));
    assert_eq!(
        (letter.attempts[0].kind, letter.attempts[1].kind),
        (FailureKind::Timeout, FailureKind::Timeout)
    );
    assert_eq!(letter.causes.last().unwrap(), "timed out");
}

fn quick_retry() -> Retry {
    Retry::builder().backoff(Backoff::constant(Duration::from_millis(1))).build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_refusal_deep_in_a_custom_error_is_not_retried() {
    let retry = quick_retry();
    let rejected = || payment(Rejected::new("db", RejectReason::Open, None));
    let service =
        service_fn(move |_: Request<ReplayBody>| async move { Err::<Response<Full<Bytes>>, _>(rejected()) });
    let error = retry.http_layer().layer(service).oneshot(Request::new(Full::<Bytes>::default())).await;
    assert_eq!(error.unwrap_err().to_string(), "the payment failed");
    let counted = retry.snapshot();
    assert_eq!((counted.retries, counted.given_up.get(&GiveUp::Rejected)), (0, Some(&1)));
}

#[tokio::test(start_paused = true)]
async fn a_classifier_of_an_http_layer_gets_the_error() {
    let retry = quick_retry();
    let rule = |result: Result<&http::response::Parts, &(dyn Error + 'static)>| match result {
        Err(error) if error.is::<Payment>() => Outcome::Permanent(FailureKind::Error),
        Err(_) => Outcome::Failure(FailureKind::Error),
        Ok(_) => Outcome::Success,
    };
    let service =
        service_fn(|_: Request<ReplayBody>| async { Err::<Response<Full<Bytes>>, _>(payment("no funds")) });
    let service = retry.http_layer().classify(rule).layer(service);
    service.oneshot(Request::new(Full::<Bytes>::default())).await.unwrap_err();
    assert_eq!(retry.snapshot().retries, 0);
}

/// An error with misbehaving code.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Odd {
    /// It is its own source.
    Ring,
    /// Its `source` panics, and its `Debug` too.
    Panics,
}

impl fmt::Debug for Odd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ring => f.write_str("Ring"),
            Self::Panics => panic!("on purpose"),
        }
    }
}

impl fmt::Display for Odd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("odd")
    }
}

impl Error for Odd {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Ring => Some(self),
            Self::Panics => panic!("on purpose"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn p21_an_error_that_misbehaves_reaches_its_caller_and_is_counted_as_an_error() {
    for odd in [Odd::Ring, Odd::Panics] {
        let retry = quick_retry();
        let (timing, breaker) = (Timing::new("odd"), CircuitBreaker::builder("odd").build().unwrap());
        let queue = DeadLetterQueue::in_memory(10);
        let service = ServiceBuilder::new()
            .layer(queue.http_layer())
            .layer(retry.http_layer())
            .layer(breaker.http_layer())
            .layer(timing.http_client_layer())
            .service(service_fn(move |_: Request<ReplayBody>| async move {
                Err::<Response<Full<Bytes>>, _>(odd)
            }));
        let error = service.oneshot(Request::post("/").body(Full::<Bytes>::default()).unwrap()).await;
        assert!(error.err() == Some(odd));
        let letters = queue.list(LetterFilter::all()).await.unwrap();
        assert_eq!((letters[0].kind, letters[0].message.as_str()), (FailureKind::Error, "odd"));
        assert_eq!(timing.snapshot().failures[FailureKind::Error.index()], 1);
        assert_eq!(breaker.snapshot().totals.failures[FailureKind::Error.index()], 1);
    }
}
