//! A classifier for errors of any type.

use std::fmt;
use std::marker::PhantomData;

use super::classify::{Classify, Outcome};
use crate::base::error::Cause;

/// Adapts a classifier of `dyn Error` to any error type that is a [`Cause`].
///
/// It appears in the types of layers that pass errors on unchanged.
pub struct ByCause<C, K> {
    classifier: C,
    cause: PhantomData<fn() -> K>,
}

impl<C, K> ByCause<C, K> {
    pub(crate) fn new(classifier: C) -> Self {
        Self { classifier, cause: PhantomData }
    }

    /// Replaces the classifier.
    pub(crate) fn with<D>(self, classifier: D) -> ByCause<D, K> {
        ByCause::new(classifier)
    }
}

impl<Res, E, C, K> Classify<Res, E> for ByCause<C, K>
where
    E: Cause<K>,
    C: Classify<Res>,
{
    #[inline]
    fn classify(&self, result: Result<&Res, &E>) -> Outcome {
        match result {
            Ok(answer) => self.classifier.classify(Ok(answer)),
            Err(error) => error.ask(|error| self.classifier.classify(Err(error))),
        }
    }

    #[cfg(feature = "http")]
    fn classify_end(&self, trailers: Option<&http::HeaderMap>) -> Outcome {
        self.classifier.classify_end(trailers)
    }
}

impl<C: Clone, K> Clone for ByCause<C, K> {
    #[inline]
    fn clone(&self) -> Self {
        Self::new(self.classifier.clone())
    }
}

impl<C: fmt::Debug, K> fmt::Debug for ByCause<C, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.classifier.fmt(f)
    }
}
