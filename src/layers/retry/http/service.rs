//! The service of the layers for HTTP and gRPC.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::response::Parts;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tower::Service;

use super::body::RetryBody;
use super::exchange::{Exchange, ReplayableRequest, send};
use super::protocol::Protocol;
use crate::base::bounds::{CloneService, HttpService, RequestBody};
use crate::base::error::{ByError, Cause};
use crate::base::outcome::{ByCause, ByHttpStatus, Classify};
use crate::layers::replay::ReplayBody;
use crate::layers::retry::attempt_loop::AttemptLoop;
use crate::layers::retry::policy::Policy;
use crate::layers::retry::prototype::{Prototype, Shared};

/// An HTTP or gRPC service whose failed requests are sent again; made by
/// [`HttpRetryLayer`](super::layer::HttpRetryLayer).
#[derive(Debug)]
pub struct HttpRetrying<
    S,                // a `Service<http::Request<ReplayBody>, Response = http::Response<_>> + Clone`
    C = ByHttpStatus, // a `Classify<http::response::Parts>`
    K = ByError,      // the error of `S` is a `Cause<K>`
> {
    inner: S,
    shared: Arc<Shared<S>>,
    classifier: ByCause<C, K>,
    protocol: Protocol,
}

cloned! { HttpRetrying<S, C; K> { inner, shared, classifier, protocol } }

impl<S: Clone, C, K> HttpRetrying<S, C, K> {
    pub(super) fn new(inner: S, policy: Arc<Policy>, classifier: ByCause<C, K>, protocol: Protocol) -> Self {
        let shared = Arc::new(Shared { policy, prototype: Prototype::new(inner.clone()) });
        Self { inner, shared, classifier, protocol }
    }
}

#[cfg(feature = "grpc")]
named! { HttpRetrying<S, C, K> }

impl<S, C, K, B, R> Service<Request<B>> for HttpRetrying<S, C, K>
where
    S: HttpService<ReplayBody, ResBody = R> + CloneService,
    S::Err: Cause<K>,
    C: Classify<Parts> + Clone,
    B: RequestBody,
{
    type Response = Response<RetryBody<R>>;
    type Error = S::Error;
    type Future = HttpRetryFuture<S, C, K, R>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let request = ReplayableRequest::new(request, &self.shared.policy.settings.load(), self.protocol);
        let target = Exchange::new(self.classifier.clone(), self.protocol);
        let (link, inner) = (Arc::clone(&self.shared), &mut self.inner);
        HttpRetryFuture {
            attempts: AttemptLoop::new(link, target, request, |_, request, attempt| {
                send(inner, request, attempt)
            }),
        }
    }
}

pin_project! {
    /// The future of [`HttpRetrying`].
    pub struct HttpRetryFuture<S, C, K, R>
    where
        S: Service<Request<ReplayBody>, Response = Response<R>>,
        S: Clone,
        S::Error: Cause<K>,
        C: Classify<Parts>,
    {
        #[pin]
        attempts: AttemptLoop<Exchange<S, C, K, R>>,
    }
}

impl<S, C, K, R> Future for HttpRetryFuture<S, C, K, R>
where
    S: Service<Request<ReplayBody>, Response = Response<R>> + Clone,
    S::Error: Cause<K>,
    C: Classify<Parts>,
{
    type Output = Result<Response<RetryBody<R>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().attempts.poll(cx)
    }
}

impl<S, C, K, R> fmt::Debug for HttpRetryFuture<S, C, K, R>
where
    S: Service<Request<ReplayBody>, Response = Response<R>> + Clone,
    S::Error: Cause<K>,
    C: Classify<Parts>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRetryFuture").finish_non_exhaustive()
    }
}
