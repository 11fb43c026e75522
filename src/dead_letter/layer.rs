//! The layer for any service.

use std::fmt;
use std::sync::Arc;

use tower::Layer;

use super::core::Core;
use super::service::DeadLetter;
use crate::base::outcome::ByResult;

/// Parks the requests that a service fails: see [`DeadLetterQueue::layer`](crate::DeadLetterQueue::layer).
#[derive(Clone)]
pub struct DeadLetterLayer<C = ByResult> {
    core: Arc<Core>,
    classifier: C,
}

impl DeadLetterLayer {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core, classifier: ByResult }
    }
}

impl<C> DeadLetterLayer<C> {
    /// Lets `classifier` decide what failed, in place of [`ByResult`]: a
    /// [`Classify`](crate::Classify)`<Response, BoxError>`, which a closure is too.
    pub fn classify<D>(self, classifier: D) -> DeadLetterLayer<D> {
        DeadLetterLayer { core: self.core, classifier }
    }
}

impl<S, C: Clone> Layer<S> for DeadLetterLayer<C> {
    type Service = DeadLetter<S, C>;

    fn layer(&self, inner: S) -> Self::Service {
        DeadLetter::new(inner, Arc::clone(&self.core), self.classifier.clone())
    }
}

impl<C> fmt::Debug for DeadLetterLayer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetterLayer").field("queue", &self.core.name).finish_non_exhaustive()
    }
}
