//! The layers for HTTP and gRPC: the error type of the service stays.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::response::Parts;
use http::{Request, Response};
use http_body::Body;
use tower::{Layer, Service};

use super::super::error::FallbackFailed;
use super::super::falling::{FallbackFuture, Plan};
use super::super::handle::Fallback;
use super::super::layer::Shared;
use super::body::FallbackBody;
use super::substitute::HttpSubstitute;
use crate::base::error::{ByError, Cause};
#[cfg(feature = "grpc")]
use crate::base::outcome::ByGrpcStatus;
use crate::base::outcome::{ByCause, ByHttpStatus, Classify, FailureKind};

impl Fallback {
    /// A layer for services of `http::Request` and `http::Response` whose bodies give [`Bytes`], on servers and on clients.
    ///
    /// `to` is [`value`](super::super::value) with a `Response<Bytes>`, [`service`](super::super::service) with a service of the
    /// same type of response, or [`last_good`](super::super::last_good). [`ByHttpStatus`] decides by the head of the response
    /// what leads to the fallback. A response of the fallback has its [`FallbackKind`](super::super::FallbackKind) among its
    /// extensions. If the fallback fails too, the first response has [`FallbackFailed`] there; an error is passed on unchanged.
    ///
    /// # What is kept as a last good answer
    /// Complete bodies of at most [`max_body`](super::super::FallbackSettings::max_body), in responses of status 200, 203 and 204
    /// to `GET` and `HEAD`, by the rules of a shared cache (RFC 9111, sections 3 and 4.2.4): nothing that may be meant for one
    /// caller, unless [`keep_private`](super::super::FallbackSettings::keep_private), no ranges, and the headers that `Vary` names
    /// have to be the same. A body that its reader drops midway is not kept.
    ///
    /// An answer from there says that it is stale: `Age` (RFC 9111, section 5.1) and `Warning: 110` (RFC 7234, section 5.5.1, which
    /// RFC 9111 made obsolete, so that newer clients ignore it).
    #[must_use]
    #[cfg_attr(docsrs, doc(cfg(feature = "http")))]
    pub fn http_layer<T, K>(&self, to: T) -> HttpFallbackLayer<T, ByHttpStatus, K> {
        HttpFallbackLayer::new(self, to, ByHttpStatus)
    }

    /// A layer for gRPC services over HTTP, such as tonic's.
    ///
    /// [`ByGrpcStatus`] decides by the head of the response: a call that fails before its first message leads to the fallback, one
    /// that fails later does not. `to` is a [`service`](super::super::service), or a [`value`](super::super::value) with the bytes
    /// of a gRPC response. [`last_good`](super::super::last_good) keeps none, because each gRPC call is a `POST`.
    #[must_use]
    #[cfg(feature = "grpc")]
    #[cfg_attr(docsrs, doc(cfg(feature = "grpc")))]
    pub fn grpc_layer<T, K>(&self, to: T) -> HttpFallbackLayer<T, ByGrpcStatus, K> {
        HttpFallbackLayer::new(self, to, ByGrpcStatus)
    }
}

/// Answers the failed calls of an HTTP or gRPC service: see [`Fallback::http_layer`].
///
/// `K` is inferred: see [`Cause`].
pub struct HttpFallbackLayer<T, C = ByHttpStatus, K = ByError> {
    shared: Arc<Shared<T>>,
    classifier: ByCause<C, K>,
}

impl<T, C, K> HttpFallbackLayer<T, C, K> {
    fn new(fallback: &Fallback, to: T, classifier: C) -> Self {
        let shared = Arc::new(Shared { policy: Arc::clone(&fallback.policy), to });
        Self { shared, classifier: ByCause::new(classifier) }
    }

    /// Sets the classifier that decides which outcomes lead to the fallback: a [`Classify`]`<http::response::Parts>`.
    pub fn when<D>(self, classifier: D) -> HttpFallbackLayer<T, D, K> {
        HttpFallbackLayer { shared: self.shared, classifier: self.classifier.with(classifier) }
    }
}

impl<T, C: Clone, K> Clone for HttpFallbackLayer<T, C, K> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), classifier: self.classifier.clone() }
    }
}

impl<T, C, K> fmt::Debug for HttpFallbackLayer<T, C, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpFallbackLayer")
            .field("fallback", &self.shared.policy.name)
            .finish_non_exhaustive()
    }
}

impl<S, T, C: Clone, K> Layer<S> for HttpFallbackLayer<T, C, K> {
    type Service = HttpWithFallback<S, T, C, K>;

    fn layer(&self, inner: S) -> Self::Service {
        HttpWithFallback { inner, shared: Arc::clone(&self.shared), classifier: self.classifier.clone() }
    }
}

/// An HTTP or gRPC service whose failed calls get another answer; made by [`HttpFallbackLayer`].
pub struct HttpWithFallback<S, T, C = ByHttpStatus, K = ByError> {
    inner: S,
    shared: Arc<Shared<T>>,
    classifier: ByCause<C, K>,
}

impl<S: Clone, T, C: Clone, K> Clone for HttpWithFallback<S, T, C, K> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            shared: Arc::clone(&self.shared),
            classifier: self.classifier.clone(),
        }
    }
}

impl<S, T, C, K> fmt::Debug for HttpWithFallback<S, T, C, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpWithFallback").field("fallback", &self.shared.policy.name).finish_non_exhaustive()
    }
}

impl<S, T, C, K, ReqBody, ResBody> Service<Request<ReqBody>> for HttpWithFallback<S, T, C, K>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    S::Error: Cause<K>,
    ResBody: Body<Data = Bytes>,
    T: HttpSubstitute<ReqBody, ResBody>,
    C: Classify<Parts> + Clone,
{
    type Response = Response<FallbackBody<ResBody>>;
    type Error = S::Error;
    type Future = FallbackFuture<S::Future, Exchange<ReqBody, ResBody, S::Error, T, ByCause<C, K>>>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let held = Some(self.shared.to.hold(&self.shared.policy, &request));
        let plan = Exchange { held, classifier: self.classifier.clone(), types: std::marker::PhantomData };
        FallbackFuture::new(self.inner.call(request), plan, Arc::clone(&self.shared), T::KIND)
    }
}

/// What happens around the two tries of an HTTP call.
#[derive(Debug)]
pub struct Exchange<ReqBody, ResBody, E, T: HttpSubstitute<ReqBody, ResBody>, C> {
    held: Option<T::Held>,
    classifier: C,
    types: std::marker::PhantomData<fn() -> E>,
}

impl<ReqBody, ResBody, E, T, C> Plan for Exchange<ReqBody, ResBody, E, T, C>
where
    ResBody: Body<Data = Bytes>,
    T: HttpSubstitute<ReqBody, ResBody>,
    C: Classify<Parts, E>,
{
    type First = Result<Response<ResBody>, E>;
    type Response = Response<FallbackBody<ResBody>>;
    type Error = E;
    type Second = T::Future;
    type Owner = Arc<Shared<T>>;

    #[inline]
    fn judge(
        &mut self,
        owner: &Arc<Shared<T>>,
        first: Self::First,
    ) -> (Result<Self::Response, E>, Option<FailureKind>) {
        let response = match first {
            Ok(response) => response,
            Err(error) => {
                let failure = self.classifier.classify(Err(&error)).failure();
                return (Err(error), failure);
            }
        };
        let (head, body) = response.into_parts();
        let failure = self.classifier.classify(Ok(&head)).failure();
        let response = match self.held.take() {
            Some(held) if failure.is_none() => owner.to.good(&owner.policy, held, head, body),
            held => {
                self.held = held;
                Response::from_parts(head, FallbackBody::passed(body))
            }
        };
        (Ok(response), failure)
    }

    fn second(&mut self, owner: &Arc<Shared<T>>) -> Option<T::Future> {
        owner.to.answer(&owner.policy, self.held.take()?)
    }

    fn attach(mut first: Result<Self::Response, E>, failed: FallbackFailed) -> Result<Self::Response, E> {
        if let Ok(response) = &mut first {
            response.extensions_mut().insert(failed);
        }
        first
    }
}
