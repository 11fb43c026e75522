//! The layer for any service, and its service.

use std::fmt;
use std::task::{Context, Poll};

use tower::{BoxError, Layer, Service};

use super::gate::Gate;
use super::handle::KeyedBreaker;
use super::key::Key;
use crate::base::bounds::{CloneService, IntoBoxError};
use crate::base::outcome::{ByResult, Classify};
use crate::layers::breaker::future::ResponseFuture;

impl<K: Key, F> KeyedBreaker<K, F> {
    /// A layer for any [`tower::Service`] that is `Clone`.
    ///
    /// The error type becomes [`tower::BoxError`]. The error of a refused call holds [`Rejected`](crate::Rejected).
    #[must_use]
    pub fn layer(&self) -> KeyedLayer<K, F>
    where
        F: Clone,
    {
        KeyedLayer { breaker: self.clone(), classifier: ByResult, by_default: true }
    }
}

/// Puts a service behind a circuit for each key: see [`KeyedBreaker::layer`].
pub struct KeyedLayer<K, F, C = ByResult> {
    breaker: KeyedBreaker<K, F>,
    classifier: C,
    /// Whether the classifier was not replaced.
    by_default: bool,
}

impl<K, F, C> KeyedLayer<K, F, C> {
    /// Replaces [`ByResult`], which decides what failed, by `classifier`: a closure, or any
    /// [`Classify`]`<Response, BoxError>`.
    pub fn classify<D>(self, classifier: D) -> KeyedLayer<K, F, D> {
        KeyedLayer { breaker: self.breaker, classifier, by_default: false }
    }
}

impl<S: CloneService, K, F: Clone, C: Clone> Layer<S> for KeyedLayer<K, F, C> {
    type Service = KeyedService<S, K, F, C>;

    fn layer(&self, inner: S) -> Self::Service {
        let gate = Gate::new(inner, self.breaker.clone());
        KeyedService { gate, classifier: self.classifier.clone(), by_default: self.by_default }
    }
}

impl<K, F: Clone, C: Clone> Clone for KeyedLayer<K, F, C> {
    fn clone(&self) -> Self {
        let (breaker, classifier) = (self.breaker.clone(), self.classifier.clone());
        Self { breaker, classifier, by_default: self.by_default }
    }
}

impl<K, F, C> fmt::Debug for KeyedLayer<K, F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedLayer").field("breaker", &self.breaker).finish_non_exhaustive()
    }
}

/// A service behind a circuit for each key; made by [`KeyedLayer`]. The error of a refused call holds
/// [`Rejected`](crate::Rejected).
pub struct KeyedService<
    S,            // a `Service<Req> + Clone` whose error becomes a `tower::BoxError`
    K,            // a `Key`
    F,            // a `Fn(&Req) -> K`
    C = ByResult, // a `Classify<S::Response, tower::BoxError>`
> {
    gate: Gate<S, K, F>,
    classifier: C,
    by_default: bool,
}

impl<S, K, F, C, Req> Service<Req> for KeyedService<S, K, F, C>
where
    S: Service<Req> + CloneService,
    S::Error: IntoBoxError,
    K: Key,
    F: Fn(&Req) -> K,
    C: Classify<S::Response, BoxError> + Clone,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future, C>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.gate.poll_ready(cx).map_err(Into::into)
    }

    #[inline]
    fn call(&mut self, request: Req) -> Self::Future {
        match self.gate.call(request) {
            Ok((future, permit)) => {
                if self.by_default {
                    self.gate.see::<S::Response>();
                }
                ResponseFuture::called(future, permit, self.classifier.clone())
            }
            Err(rejected) => ResponseFuture::refused(rejected),
        }
    }
}

impl<S: Clone, K, F: Clone, C: Clone> Clone for KeyedService<S, K, F, C> {
    fn clone(&self) -> Self {
        let (gate, classifier) = (self.gate.clone(), self.classifier.clone());
        Self { gate, classifier, by_default: self.by_default }
    }
}

impl<S: fmt::Debug, K, F, C> fmt::Debug for KeyedService<S, K, F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedService").field("gate", &self.gate).finish_non_exhaustive()
    }
}
