//! The layers for HTTP and gRPC, and their service.

use std::fmt;
use std::task::{Context, Poll};

use http::response::Parts;
use http::{Request, Response};
use http_body::Body;
use tower::{Layer, Service};

use super::circuits::Key;
use super::gate::Gate;
use super::handle::KeyedBreaker;
#[cfg(feature = "grpc")]
use crate::breaker::http::refuse_grpc;
use crate::breaker::http::{HttpResponseFuture, Refuse, ResponseBody, refuse_http};
#[cfg(feature = "grpc")]
use crate::outcome::ByGrpcStatus;
use crate::outcome::{ByHttpStatus, Classify};

impl<K: Key, F: Clone> KeyedBreaker<K, F> {
    /// A layer for services of `http::Request` and `http::Response`, on servers (axum's `Router::layer` takes it as it
    /// is) and on clients.
    ///
    /// A refusal is a response, as with [`CircuitBreaker::http_layer`](crate::CircuitBreaker::http_layer).
    #[must_use]
    #[cfg_attr(docsrs, doc(cfg(feature = "http")))]
    pub fn http_layer(&self) -> KeyedHttpLayer<K, F, ByHttpStatus> {
        KeyedHttpLayer { breaker: self.clone(), classifier: ByHttpStatus, refuse: refuse_http }
    }

    /// A layer for gRPC services over HTTP, such as tonic's, on servers and on clients.
    ///
    /// A refusal is `UNAVAILABLE`, as with [`CircuitBreaker::grpc_layer`](crate::CircuitBreaker::grpc_layer).
    #[must_use]
    #[cfg(feature = "grpc")]
    #[cfg_attr(docsrs, doc(cfg(feature = "grpc")))]
    pub fn grpc_layer(&self) -> KeyedHttpLayer<K, F, ByGrpcStatus> {
        KeyedHttpLayer { breaker: self.clone(), classifier: ByGrpcStatus, refuse: refuse_grpc }
    }
}

/// Puts an HTTP or gRPC service behind a circuit for each key: see [`KeyedBreaker::http_layer`].
pub struct KeyedHttpLayer<K, F, C = ByHttpStatus> {
    breaker: KeyedBreaker<K, F>,
    classifier: C,
    refuse: Refuse,
}

impl<K, F, C> KeyedHttpLayer<K, F, C> {
    /// Lets `classifier` decide what failed: a [`Classify`]`<http::response::Parts, S::Error>`.
    pub fn classify<D>(self, classifier: D) -> KeyedHttpLayer<K, F, D> {
        KeyedHttpLayer { breaker: self.breaker, classifier, refuse: self.refuse }
    }
}

impl<S, K, F: Clone, C: Clone> Layer<S> for KeyedHttpLayer<K, F, C> {
    type Service = KeyedHttpService<S, K, F, C>;

    fn layer(&self, inner: S) -> Self::Service {
        KeyedHttpService {
            gate: Gate::new(inner, self.breaker.clone()),
            classifier: self.classifier.clone(),
            refuse: self.refuse,
        }
    }
}

impl<K, F: Clone, C: Clone> Clone for KeyedHttpLayer<K, F, C> {
    fn clone(&self) -> Self {
        Self { breaker: self.breaker.clone(), classifier: self.classifier.clone(), refuse: self.refuse }
    }
}

impl<K, F, C> fmt::Debug for KeyedHttpLayer<K, F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedHttpLayer").field("breaker", &self.breaker).finish_non_exhaustive()
    }
}

/// An HTTP or gRPC service behind a circuit for each key.
pub struct KeyedHttpService<S, K, F, C = ByHttpStatus> {
    gate: Gate<S, K, F>,
    classifier: C,
    refuse: Refuse,
}

impl<S, K, F, C, ReqBody, ResBody> Service<Request<ReqBody>> for KeyedHttpService<S, K, F, C>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    ResBody: Body,
    K: Key,
    F: Fn(&Request<ReqBody>) -> K,
    C: Classify<Parts, S::Error> + Clone,
{
    type Response = Response<ResponseBody<ResBody, C>>;
    type Error = S::Error;
    type Future = HttpResponseFuture<S::Future, C>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.gate.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        HttpResponseFuture::new(self.gate.call(request), &self.classifier, self.refuse)
    }
}

impl<S: Clone, K, F: Clone, C: Clone> Clone for KeyedHttpService<S, K, F, C> {
    fn clone(&self) -> Self {
        Self { gate: self.gate.clone(), classifier: self.classifier.clone(), refuse: self.refuse }
    }
}

impl<S: fmt::Debug, K, F, C> fmt::Debug for KeyedHttpService<S, K, F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedHttpService").field("gate", &self.gate).finish_non_exhaustive()
    }
}
