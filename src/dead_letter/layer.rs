//! The layer for any service, and the service that it makes.
//!
//! A request goes from here to `park/`: see its `mod.rs` for the way.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tower::{BoxError, Layer, Service};

use super::core::Core;
use super::failure::{FailedCall, Failure, classified};
use super::park::{DeadLetterFuture, Draft, Job, Parking, park_value};
use super::queue::DeadLetterQueue;
use super::sending;
use crate::base::bounds::{IntoBoxError, LetterRequest};
use crate::base::clock::Tick;
use crate::base::outcome::{ByResult, Classify};

impl DeadLetterQueue {
    /// Returns a layer for any service. Requests must be `Clone + Serialize + DeserializeOwned`, and errors become
    /// [`BoxError`](tower::BoxError). [`ByResult`](crate::outcome::ByResult) decides what failed.
    ///
    /// Every `Ok` counts as a success. For responses with a status, such as `http::Response`, use `http_layer` or
    /// [`DeadLetterLayer::classify`]; otherwise the first call logs a warning.
    ///
    /// Put it outside of retry, so that it sees only final failures.
    ///
    /// A request is stored as JSON. When it is parked, it is read back as in a redrive, and must serialize to the same
    /// value again. If it does not, its letter is [`Unsendable::EvidenceOnly`](super::Unsendable): it shows what happened
    /// and is not sent. This concerns infinite numbers and NaN, `Some(None)` and `Some(())`, numbers beyond 64 bits, map
    /// keys that are not text, numbers, `bool` or unit variants, flattened maps with numeric keys, more than 120 levels of
    /// nested arrays and objects, and types that read another form than they write. The order of elements in a sequence
    /// or map may differ, as in a `HashSet`.
    #[must_use]
    pub fn layer(&self) -> DeadLetterLayer {
        DeadLetterLayer { core: Arc::clone(self.core()), classifier: ByResult, by_default: true }
    }
}

/// Parks the requests that fail in a service: see [`DeadLetterQueue::layer`].
#[derive(Clone)]
pub struct DeadLetterLayer<C = ByResult> {
    core: Arc<Core>,
    classifier: C,
    /// Whether the classifier was not replaced.
    by_default: bool,
}

impl<C> DeadLetterLayer<C> {
    /// Sets what decides whether a call failed, instead of [`ByResult`]: a
    /// [`Classify`](crate::Classify)`<Response, BoxError>`, such as a closure.
    pub fn classify<D>(self, classifier: D) -> DeadLetterLayer<D> {
        DeadLetterLayer { core: self.core, classifier, by_default: false }
    }
}

impl<S, C: Clone> Layer<S> for DeadLetterLayer<C> {
    type Service = DeadLetter<S, C>;

    fn layer(&self, inner: S) -> Self::Service {
        let (core, classifier) = (Arc::clone(&self.core), self.classifier.clone());
        DeadLetter { inner, core, classifier, by_default: self.by_default }
    }
}

impl<C> fmt::Debug for DeadLetterLayer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetterLayer").field("queue", &self.core.name).finish_non_exhaustive()
    }
}

/// A service whose failed requests are parked: see [`DeadLetterQueue::layer`].
#[derive(Clone)]
pub struct DeadLetter<
    S, // a `Service<Req>` with `Req: Clone + Serialize + DeserializeOwned`, whose error becomes a `tower::BoxError`
    C = ByResult, // a `Classify<S::Response, tower::BoxError>`
> {
    inner: S,
    core: Arc<Core>,
    classifier: C,
    by_default: bool,
}

impl<S, C, Req> Service<Req> for DeadLetter<S, C>
where
    S: Service<Req>,
    S::Error: IntoBoxError,
    C: Classify<S::Response, BoxError> + Clone,
    Req: LetterRequest,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = DeadLetterFuture<S::Future, PlainJob<Req, C>, Result<S::Response, BoxError>>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    #[inline]
    fn call(&mut self, request: Req) -> Self::Future {
        if self.by_default {
            self.core.see::<S::Response>();
        }
        let job = (!sending::is_letter_of(&self.core)).then(|| PlainJob {
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

/// A copy of a plain request, for its letter.
#[doc(hidden)]
pub struct PlainJob<Req, C> {
    core: Arc<Core>,
    request: Req,
    classifier: C,
}

impl<Req, C, Res, E> Job<Result<Res, E>, Result<Res, BoxError>> for PlainJob<Req, C>
where
    Req: Serialize + DeserializeOwned,
    E: Into<BoxError>,
    C: Classify<Res, BoxError>,
{
    #[inline]
    fn convert(result: Result<Res, E>) -> Result<Res, BoxError> {
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

    fn park(self, call: FailedCall) -> Option<Parking> {
        Some(park_value(&self.core, &self.request, Draft::new(call)))
    }
}

impl<Req, C> fmt::Debug for PlainJob<Req, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlainJob").field("queue", &self.core.name).finish_non_exhaustive()
    }
}
