//! The layer for any service.

use std::fmt;
use std::sync::Arc;

use tower::Layer;

use super::call_state::Rules;
use super::service::Retrying;
use crate::base::outcome::ByResult;

/// Retries the calls of a service: see [`Retry::layer`](crate::Retry::layer).
#[derive(Clone)]
pub struct RetryLayer<C = ByResult> {
    rules: Arc<Rules>,
    classifier: C,
}

impl RetryLayer {
    pub(super) fn new(rules: Arc<Rules>) -> Self {
        Self { rules, classifier: ByResult }
    }
}

impl<C> RetryLayer<C> {
    /// Replaces [`ByResult`], which decides what failed and is retried, by `classifier`: a closure, or any
    /// [`Classify`](crate::Classify)`<Response, BoxError>`.
    ///
    /// A [`Rejected`](crate::Rejected) among the causes of an error is never retried, whatever the classifier says.
    pub fn classify<D>(self, classifier: D) -> RetryLayer<D> {
        RetryLayer { rules: self.rules, classifier }
    }
}

impl<S: Clone, C: Clone> Layer<S> for RetryLayer<C> {
    type Service = Retrying<S, C>;

    fn layer(&self, inner: S) -> Self::Service {
        Retrying::new(inner, Arc::clone(&self.rules), self.classifier.clone())
    }
}

impl<C> fmt::Debug for RetryLayer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryLayer").field("retry", &self.rules.name).finish_non_exhaustive()
    }
}
