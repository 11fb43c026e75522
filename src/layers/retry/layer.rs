//! The layer for any service.

use std::fmt;
use std::sync::Arc;

use tower::Layer;

use super::handle::Retry;
use super::policy::Policy;
use super::service::Retrying;
use crate::base::bounds::CloneService;
use crate::base::outcome::ByResult;

impl Retry {
    /// A layer for any [`tower::Service`] that is `Clone`, with requests that are `Clone`.
    ///
    /// The error type becomes [`tower::BoxError`]. After a timeout it holds a [`TimedOut`](crate::TimedOut).
    ///
    /// Every `Ok` counts as a success. For responses with a status, such as `http::Response`, use `http_layer` or
    /// [`RetryLayer::classify`]; otherwise the first call logs a warning.
    #[must_use]
    pub fn layer(&self) -> RetryLayer {
        RetryLayer { policy: Arc::clone(&self.policy), classifier: ByResult, by_default: true }
    }
}

/// Retries the calls of a service: see [`Retry::layer`].
#[derive(Clone)]
pub struct RetryLayer<C = ByResult> {
    policy: Arc<Policy>,
    classifier: C,
    /// Whether the classifier was not replaced.
    by_default: bool,
}

impl<C> RetryLayer<C> {
    /// Replaces [`ByResult`], which decides what failed and is retried, by `classifier`: a closure, or any
    /// [`Classify`](crate::Classify)`<Response, BoxError>`.
    ///
    /// A [`Rejected`](crate::Rejected) among the causes of an error is never retried, whatever the classifier says.
    pub fn classify<D>(self, classifier: D) -> RetryLayer<D> {
        RetryLayer { policy: self.policy, classifier, by_default: false }
    }
}

impl<S: CloneService, C: Clone> Layer<S> for RetryLayer<C> {
    type Service = Retrying<S, C>;

    fn layer(&self, inner: S) -> Self::Service {
        Retrying::new(inner, Arc::clone(&self.policy), self.classifier.clone(), self.by_default)
    }
}

impl<C> fmt::Debug for RetryLayer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryLayer").field("retry", &self.policy.name).finish_non_exhaustive()
    }
}
