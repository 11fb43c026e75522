//! The layers for HTTP and gRPC, and their service.

use std::fmt;
use std::task::{Context, Poll};

use http::response::Parts;
use http::{Method, Request, Response};
use http_body::Body;
use tower::{Layer, Service};

use super::gate::Gate;
use super::handle::KeyedBreaker;
use super::key::Key;
use crate::base::bounds::{CloneService, HttpService};
use crate::base::error::{ByError, Cause};
#[cfg(feature = "grpc")]
use crate::base::outcome::ByGrpcStatus;
use crate::base::outcome::{ByCause, ByHttpStatus, Classify};
#[cfg(feature = "grpc")]
use crate::layers::breaker::http::refuse_grpc;
use crate::layers::breaker::http::{HttpResponseFuture, Refuse, ResponseBody, refuse_http};

impl<K: Key, F: Clone> KeyedBreaker<K, F> {
    /// A layer for services of `http::Request` and `http::Response`, on servers (such as by axum's
    /// `Router::layer`) and on clients.
    ///
    /// A refusal is a response, as with [`CircuitBreaker::http_layer`](crate::CircuitBreaker::http_layer).
    #[must_use]
    #[cfg_attr(docsrs, doc(cfg(feature = "http")))]
    pub fn http_layer<M>(&self) -> KeyedHttpLayer<K, F, ByHttpStatus, M> {
        KeyedHttpLayer { breaker: self.clone(), classifier: ByCause::new(ByHttpStatus), refuse: refuse_http }
    }

    /// A layer for gRPC services over HTTP, such as tonic's, on servers and on clients.
    ///
    /// A refusal is `UNAVAILABLE`, as with [`CircuitBreaker::grpc_layer`](crate::CircuitBreaker::grpc_layer).
    #[must_use]
    #[cfg(feature = "grpc")]
    #[cfg_attr(docsrs, doc(cfg(feature = "grpc")))]
    pub fn grpc_layer<M>(&self) -> KeyedHttpLayer<K, F, ByGrpcStatus, M> {
        KeyedHttpLayer { breaker: self.clone(), classifier: ByCause::new(ByGrpcStatus), refuse: refuse_grpc }
    }
}

/// Puts an HTTP or gRPC service behind a circuit for each key: see [`KeyedBreaker::http_layer`].
///
/// `M` is inferred: see [`Cause`](crate::base::error::Cause).
pub struct KeyedHttpLayer<K, F, C = ByHttpStatus, M = ByError> {
    breaker: KeyedBreaker<K, F>,
    classifier: ByCause<C, M>,
    refuse: Refuse,
}

impl<K, F, C, M> KeyedHttpLayer<K, F, C, M> {
    /// Sets the classifier that decides what failed: a [`Classify`]`<http::response::Parts>`.
    pub fn classify<D>(self, classifier: D) -> KeyedHttpLayer<K, F, D, M> {
        let classifier = self.classifier.with(classifier);
        KeyedHttpLayer { breaker: self.breaker, classifier, refuse: self.refuse }
    }
}

impl<S: CloneService, K, F: Clone, C: Clone, M> Layer<S> for KeyedHttpLayer<K, F, C, M> {
    type Service = KeyedHttpService<S, K, F, C, M>;

    fn layer(&self, inner: S) -> Self::Service {
        KeyedHttpService {
            gate: Gate::new(inner, self.breaker.clone()),
            classifier: self.classifier.clone(),
            refuse: self.refuse,
        }
    }
}

impl<K, F: Clone, C: Clone, M> Clone for KeyedHttpLayer<K, F, C, M> {
    fn clone(&self) -> Self {
        Self { breaker: self.breaker.clone(), classifier: self.classifier.clone(), refuse: self.refuse }
    }
}

impl<K, F, C, M> fmt::Debug for KeyedHttpLayer<K, F, C, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedHttpLayer").field("breaker", &self.breaker).finish_non_exhaustive()
    }
}

/// An HTTP or gRPC service behind a circuit for each key; made by [`KeyedHttpLayer`].
pub struct KeyedHttpService<
    S,                // a `Service<http::Request<_>, Response = http::Response<_>> + Clone`
    K,                // a `Key`
    F,                // a `Fn(&http::Request<_>) -> K`
    C = ByHttpStatus, // a `Classify<http::response::Parts>`
    M = ByError,      // the error of `S` is a `Cause<M>`
> {
    gate: Gate<S, K, F>,
    classifier: ByCause<C, M>,
    refuse: Refuse,
}

#[cfg(feature = "grpc")]
named! { KeyedHttpService<S, K, F, C, M> }

impl<S, K, F, C, M, ReqBody, ResBody> Service<Request<ReqBody>> for KeyedHttpService<S, K, F, C, M>
where
    S: HttpService<ReqBody, ResBody = ResBody> + CloneService,
    S::Err: Cause<M>,
    ResBody: Body,
    K: Key,
    F: Fn(&Request<ReqBody>) -> K,
    C: Classify<Parts> + Clone,
{
    type Response = Response<ResponseBody<ResBody, C, M>>;
    type Error = S::Error;
    type Future = HttpResponseFuture<S::Future, ByCause<C, M>>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.gate.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let to_head = request.method() == Method::HEAD;
        HttpResponseFuture::new(self.gate.call(request), to_head, &self.classifier, self.refuse)
    }
}

impl<S: Clone, K, F: Clone, C: Clone, M> Clone for KeyedHttpService<S, K, F, C, M> {
    fn clone(&self) -> Self {
        Self { gate: self.gate.clone(), classifier: self.classifier.clone(), refuse: self.refuse }
    }
}

impl<S: fmt::Debug, K, F, C, M> fmt::Debug for KeyedHttpService<S, K, F, C, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedHttpService").field("gate", &self.gate).finish_non_exhaustive()
    }
}
