//! The service around any service.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tower::{BoxError, Service};

use super::core::Core;
use super::draft::Draft;
use super::failure::{Ended, Failure, classified};
use super::future::{Awaits, DeadLetterFuture, Examine, Step};
use super::redrive;
use crate::base::clock::Tick;
use crate::base::outcome::{ByResult, Classify};

/// A service whose failed requests are parked.
#[derive(Clone)]
pub struct DeadLetter<S, C = ByResult> {
    inner: S,
    core: Arc<Core>,
    classifier: C,
}

impl<S, C> DeadLetter<S, C> {
    pub(super) fn new(inner: S, core: Arc<Core>, classifier: C) -> Self {
        Self { inner, core, classifier }
    }
}

impl<S, C, Req> Service<Req> for DeadLetter<S, C>
where
    S: Service<Req>,
    S::Error: Into<BoxError>,
    C: Classify<S::Response, BoxError> + Clone,
    Req: Clone + Serialize + DeserializeOwned,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = DeadLetterFuture<S::Future, Plain<Req, C>, Result<S::Response, BoxError>>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    #[inline]
    fn call(&mut self, request: Req) -> Self::Future {
        let job = (!redrive::runs_for(&self.core)).then(|| Plain {
            core: Arc::clone(&self.core),
            request: request.clone(),
            classifier: self.classifier.clone(),
        });
        let inner = &mut self.inner;
        DeadLetterFuture::begin(job, Tick::default(), || inner.call(request))
    }
}

impl<S: fmt::Debug, C> fmt::Debug for DeadLetter<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetter")
            .field("queue", &self.core.name)
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

/// A copy of a plain request.
#[doc(hidden)]
pub struct Plain<Req, C> {
    core: Arc<Core>,
    request: Req,
    classifier: C,
}

impl<Req, C> Awaits for Plain<Req, C> {}

impl<Req, C, Res, E> Examine<Result<Res, E>, Result<Res, BoxError>> for Plain<Req, C>
where
    Req: Serialize + DeserializeOwned,
    E: Into<BoxError>,
    C: Classify<Res, BoxError>,
{
    #[inline]
    fn pass(result: Result<Res, E>) -> Result<Res, BoxError> {
        result.map_err(Into::into)
    }

    #[inline]
    fn judge(&self, output: Result<Res, BoxError>) -> (Result<Res, BoxError>, Option<Box<Failure>>) {
        let failure = match &output {
            Ok(_) => {
                let outcome = self.classifier.classify(output.as_ref());
                outcome.failure().map(|kind| Box::new(Failure::of_response(kind)))
            }
            Err(error) => classified(&self.classifier, error)
                .map(|kind| Box::new(Failure::of_error(kind, error.as_ref()))),
        };
        (output, failure)
    }

    fn park(self, ended: Ended) -> Option<Step> {
        Some(Step(self.core.park_value(&self.request, Draft::new(ended))))
    }
}

impl<Req, C> fmt::Debug for Plain<Req, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plain").field("queue", &self.core.name).finish_non_exhaustive()
    }
}
