//! The bounds of layers, as traits whose names and messages say what a service, a request or a body lacks.
//!
//! Each is implemented for all types that have what it asks for. No type implements one by hand. They exist for the messages
//! of the compiler: without them, a request that is not `Clone` fails with the name of a service and no reason.
//!
//! # Where the message comes out
//! Wherever a service is passed to something that asks for a [`tower::Service`]: axum's `Router::layer`, tonic's `Server`,
//! `BoxCloneService::new`, a function of your own, `redrive`. A method of `tower::ServiceExt`, such as `ready` or `oneshot`,
//! is only looked up, and the compiler reports that its bounds are not satisfied. It then shows the definition of our
//! service, whose comments name them. To get the whole message, call the method by its path:
//! `tower::ServiceExt::<Request>::oneshot(service, request)`.
//!
//! # Example
//! ```
//! use campanile::bounds::{CloneRequest, IntoBoxError};
//! use tower::{BoxError, Service};
//!
//! // Code that is generic over a service may use them, or what they stand for.
//! fn can_be_retried<S, Req>(_: &S)
//! where
//!     S: Service<Req> + Clone,
//!     S::Error: IntoBoxError,
//!     Req: CloneRequest,
//! {
//! }
//!
//! can_be_retried(&tower::service_fn(|order: u32| async move { Ok::<_, BoxError>(order) }));
//! ```

use std::future::Future;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tower::BoxError;
#[cfg(feature = "http")]
use tower::Service;

/// A service that can be cloned. A breaker replaces the instance that it calls by a clone, and a retry calls clones.
#[diagnostic::on_unimplemented(
    message = "the service `{Self}` is not `Clone`, as this layer needs it",
    label = "this service has to be `Clone`",
    note = "box it as `tower::util::BoxCloneService` instead of `BoxService`",
    note = "or put `ServiceBuilder::buffer` inside of the layer: clones of a `tower::buffer::Buffer` share one service"
)]
pub trait CloneService: Clone {}

#[diagnostic::do_not_recommend]
impl<S: Clone> CloneService for S {}

/// A request that can be cloned, so that a retry can send it again.
#[diagnostic::on_unimplemented(
    message = "a retry cannot send `{Self}` again, because it is not `Clone`",
    label = "requests of this service have to be `Clone`",
    note = "derive `Clone` for it, or send an `Arc` of it",
    note = "for `http::Request` use `http_layer` or `grpc_layer`: they replay bodies that are not `Clone`"
)]
pub trait CloneRequest: Clone {}

#[diagnostic::do_not_recommend]
impl<Req: Clone> CloneRequest for Req {}

/// A request that can be kept as a dead letter: it is cloned before the call, written as JSON, and read back for a redrive.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be kept as a dead letter",
    label = "requests of this service have to be `Clone + serde::Serialize + serde::de::DeserializeOwned`",
    note = "derive them: `#[derive(Clone, serde::Serialize, serde::Deserialize)]`, without borrowed fields",
    note = "for `http::Request` use `http_layer` or `grpc_layer` of the queue"
)]
pub trait LetterRequest: Clone + Serialize + DeserializeOwned {}

#[diagnostic::do_not_recommend]
impl<Req: Clone + Serialize + DeserializeOwned> LetterRequest for Req {}

/// An error that becomes a [`BoxError`], as the layers for any service pass it on.
#[diagnostic::on_unimplemented(
    message = "the error `{Self}` cannot become a `tower::BoxError`",
    label = "this error type has to implement `std::error::Error`",
    note = "`std::error::Error + Send + Sync + 'static` works, and so do `tower::BoxError`, `String` and `&str`",
    note = "map any other error type of a service with `ServiceBuilder::map_err` inside of the layer"
)]
pub trait IntoBoxError: Into<BoxError> {}

#[diagnostic::do_not_recommend]
impl<E: Into<BoxError>> IntoBoxError for E {}

/// A future of a `Result`, as `call` of a breaker takes it and the closure of a retry returns it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a future of a `Result`",
    label = "this has to be a future whose output is a `Result`",
    note = "`call` of a breaker takes the future itself: `breaker.call(async {{ Ok::<_, Error>(value) }})`",
    note = "`run` of a retry takes a closure that makes one for each attempt: `retry.run(|| async {{ Ok::<_, Error>(value) }})`"
)]
pub trait Work<T, E>: Future<Output = Result<T, E>> {}

#[diagnostic::do_not_recommend]
impl<F: Future<Output = Result<T, E>>, T, E> Work<T, E> for F {}

/// A closure that makes a future for each attempt of a retry.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a closure that makes a future for each attempt",
    label = "this has to be a closure or function without arguments that returns a future",
    note = "a future runs once, so a retry needs one for each attempt: `retry.run(|| call(&order))` instead of `retry.run(call(&order))`"
)]
pub trait Attempts<Fut>: FnMut() -> Fut {}

#[diagnostic::do_not_recommend]
impl<F: FnMut() -> Fut, Fut> Attempts<Fut> for F {}

/// The body of a request that can be replayed: its chunks are `Bytes`, and it may move to another thread.
#[cfg(feature = "http")]
#[cfg_attr(docsrs, doc(cfg(feature = "http")))]
#[diagnostic::on_unimplemented(
    message = "a request with the body `{Self}` cannot be sent again",
    label = "the body of these requests has to be `http_body::Body<Data = bytes::Bytes> + Send + 'static`",
    note = "its error has to become a `tower::BoxError`",
    note = "`axum::body::Body`, `tonic::body::Body`, `reqwest::Body`, `hyper::body::Incoming` and `http_body_util::Full<Bytes>` work",
    note = "convert any other outside of the layer: `ServiceBuilder::map_request(|request: http::Request<_>| request.map(axum::body::Body::new))`"
)]
pub trait RequestBody: http_body::Body<Data = bytes::Bytes, Error: Into<BoxError>> + Send + 'static {}

#[cfg(feature = "http")]
#[diagnostic::do_not_recommend]
impl<B> RequestBody for B where B: http_body::Body<Data = bytes::Bytes, Error: Into<BoxError>> + Send + 'static
{}

/// The body of a response whose end a layer sees: its error becomes a [`BoxError`].
#[cfg(feature = "http")]
#[cfg_attr(docsrs, doc(cfg(feature = "http")))]
#[diagnostic::on_unimplemented(
    message = "the end of the response body `{Self}` cannot be observed",
    label = "the body of these responses has to be a `http_body::Body` whose error becomes a `tower::BoxError`",
    note = "map the error of the body with `http_body_util::BodyExt::map_err` inside of the layer"
)]
pub trait ResponseBody: http_body::Body<Error: Into<BoxError>> {}

#[cfg(feature = "http")]
#[diagnostic::do_not_recommend]
impl<B: http_body::Body<Error: Into<BoxError>>> ResponseBody for B {}

/// A service of `http::Request<B>` and `http::Response`.
#[cfg(feature = "http")]
#[cfg_attr(docsrs, doc(cfg(feature = "http")))]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a service of `http::Request<{B}>` and `http::Response`",
    label = "this service has to take `http::Request<{B}>` and answer with `http::Response`",
    note = "`http_layer` of a retry or a queue passes bodies on as `ReplayBody`, which can be read twice",
    note = "if the service takes another body, put this inside of the layer: \
            `ServiceBuilder::map_request(|request: http::Request<ReplayBody>| request.map(axum::body::Body::new))`",
    note = "for a service that is not one of HTTP, use `layer`"
)]
pub trait HttpService<B>:
    Service<
        http::Request<B>,
        Response = http::Response<<Self as HttpService<B>>::ResBody>,
        Error = <Self as HttpService<B>>::Err,
    >
{
    /// The body of its responses.
    type ResBody;
    /// Its error. Bounds name it instead of `Service::Error`, for which the compiler would report `Service` as missing.
    type Err;
}

#[cfg(feature = "http")]
#[diagnostic::do_not_recommend]
impl<S, B, R> HttpService<B> for S
where
    S: Service<http::Request<B>, Response = http::Response<R>>,
{
    type ResBody = R;
    type Err = S::Error;
}
