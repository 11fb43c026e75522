//! The layer for any service.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower::{BoxError, Layer, Service};

use super::error::{BothFailed, FallbackFailed};
use super::falling::{FallbackFuture, Plan};
use super::handle::Fallback;
use super::policy::{Owner, Policy};
use super::substitute::Substitute;
use crate::base::outcome::{ByResult, Classify, FailureKind};

impl Fallback {
    /// A layer for any [`tower::Service`]. `to` is [`value`](super::value), [`service`](super::service) or
    /// [`last_good`](super::last_good).
    ///
    /// The error type becomes [`tower::BoxError`]. If the fallback fails too, the first error is the source of an error whose text
    /// has both; otherwise it is passed on as it is.
    #[must_use]
    pub fn layer<T>(&self, to: T) -> FallbackLayer<T> {
        let shared = Arc::new(Shared { policy: Arc::clone(&self.policy), to });
        FallbackLayer { shared, classifier: ByResult }
    }
}

/// What all calls of a layer share.
#[derive(Debug)]
pub struct Shared<T> {
    pub(super) policy: Arc<Policy>,
    pub(super) to: T,
}

impl<T> Owner for Arc<Shared<T>> {
    #[inline]
    fn policy(&self) -> &Policy {
        &self.policy
    }
}

/// Answers the failed calls of a service: see [`Fallback::layer`].
pub struct FallbackLayer<T, C = ByResult> {
    shared: Arc<Shared<T>>,
    classifier: C,
}

impl<T, C> FallbackLayer<T, C> {
    /// Replaces [`ByResult`], which decides which outcomes lead to the fallback, by `classifier`: a closure, or any
    /// [`Classify`](crate::Classify)`<Response, BoxError>`.
    pub fn when<D>(self, classifier: D) -> FallbackLayer<T, D> {
        FallbackLayer { shared: self.shared, classifier }
    }
}

impl<T, C: Clone> Clone for FallbackLayer<T, C> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), classifier: self.classifier.clone() }
    }
}

impl<T, C> fmt::Debug for FallbackLayer<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FallbackLayer").field("fallback", &self.shared.policy.name).finish_non_exhaustive()
    }
}

impl<S, T, C: Clone> Layer<S> for FallbackLayer<T, C> {
    type Service = WithFallback<S, T, C>;

    fn layer(&self, inner: S) -> Self::Service {
        WithFallback { inner, shared: Arc::clone(&self.shared), classifier: self.classifier.clone() }
    }
}

/// A service whose failed calls get another answer; made by [`FallbackLayer`].
pub struct WithFallback<S, T, C = ByResult> {
    inner: S,
    shared: Arc<Shared<T>>,
    classifier: C,
}

impl<S: Clone, T, C: Clone> Clone for WithFallback<S, T, C> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            shared: Arc::clone(&self.shared),
            classifier: self.classifier.clone(),
        }
    }
}

impl<S, T, C> fmt::Debug for WithFallback<S, T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithFallback").field("fallback", &self.shared.policy.name).finish_non_exhaustive()
    }
}

impl<S, T, C, Req> Service<Req> for WithFallback<S, T, C>
where
    S: Service<Req>,
    S::Error: Into<BoxError>,
    T: Substitute<Req, S::Response>,
    C: Classify<S::Response, BoxError> + Clone,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = FallbackFuture<S::Future, Plain<S, T, C, Req>>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    // Inlined, so that the future is built in place.
    #[inline(always)]
    fn call(&mut self, request: Req) -> Self::Future {
        let held = Some(self.shared.to.hold(&request));
        let plan = Plain { held, classifier: self.classifier.clone() };
        FallbackFuture::new(self.inner.call(request), plan, Arc::clone(&self.shared), T::KIND)
    }
}

/// What happens around the two tries of a plain call.
#[derive(Debug)]
pub struct Plain<S: Service<Req>, T: Substitute<Req, S::Response>, C, Req> {
    held: Option<T::Held>,
    classifier: C,
}

impl<S, T, C, Req> Plan for Plain<S, T, C, Req>
where
    S: Service<Req>,
    S::Error: Into<BoxError>,
    T: Substitute<Req, S::Response>,
    C: Classify<S::Response, BoxError>,
{
    type First = Result<S::Response, S::Error>;
    type Response = S::Response;
    type Error = BoxError;
    type Second = T::Future;
    type Owner = Arc<Shared<T>>;

    #[inline]
    fn judge(
        &mut self,
        owner: &Arc<Shared<T>>,
        first: Self::First,
    ) -> (Result<S::Response, BoxError>, Option<FailureKind>) {
        let first = first.map_err(Into::into);
        let failure = self.classifier.classify(first.as_ref()).failure();
        if failure.is_none()
            && let (Ok(response), Some(held)) = (&first, self.held.take())
        {
            owner.to.good(&owner.policy, held, response);
        }
        (first, failure)
    }

    fn second(&mut self, owner: &Arc<Shared<T>>) -> Option<T::Future> {
        owner.to.answer(&owner.policy, self.held.take()?)
    }

    fn attach(first: Result<S::Response, BoxError>, failed: FallbackFailed) -> Result<S::Response, BoxError> {
        first.map_err(|first| BothFailed { first, failed }.into())
    }
}
