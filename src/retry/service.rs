//! The service of [`RetryLayer`](super::RetryLayer).

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tower::{BoxError, Service};

use super::course::{Attempt, Judged, Rules};
use super::drive::{Drive, Target};
use super::snapshot::GiveUp;
use crate::error::{Rejected, TimedOut};
use crate::outcome::{ByResult, Classify, FailureKind, Outcome};

/// A service whose failed calls are made again.
#[derive(Clone, Debug)]
pub struct Retrying<S, C = ByResult> {
    inner: S,
    rules: Arc<Rules>,
    classifier: C,
}

impl<S, C> Retrying<S, C> {
    pub(super) fn new(inner: S, rules: Arc<Rules>, classifier: C) -> Self {
        Self { inner, rules, classifier }
    }
}

impl<S, C, Req> Service<Req> for Retrying<S, C>
where
    S: Service<Req> + Clone,
    S::Error: Into<BoxError>,
    C: Classify<S::Response, BoxError> + Clone,
    Req: Clone,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = RetryFuture<S, C, Req>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    #[inline]
    fn call(&mut self, request: Req) -> Self::Future {
        let target = Plain {
            service: take_ready(&mut self.inner),
            classifier: self.classifier.clone(),
            request: PhantomData,
        };
        RetryFuture { drive: Drive::new(&self.rules, target, request) }
    }
}

/// The instance that said that it is ready; a clone, which has yet to be asked, takes its place.
#[inline]
pub(super) fn take_ready<S: Clone>(service: &mut S) -> S {
    let clone = service.clone();
    std::mem::replace(service, clone)
}

struct Plain<S, C, Req> {
    service: S,
    classifier: C,
    request: PhantomData<fn(Req)>,
}

impl<S, C, Req> Target for Plain<S, C, Req>
where
    S: Service<Req>,
    S::Error: Into<BoxError>,
    C: Classify<S::Response, BoxError>,
    Req: Clone,
{
    type Request = Req;
    type Call = S::Future;
    type Output = Result<S::Response, BoxError>;

    #[inline]
    fn copy(&self, request: &Req) -> Option<Req> {
        Some(request.clone())
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Judged<Self::Output>>> {
        self.service.poll_ready(cx).map_err(|error| self.judge(Err(error), None))
    }

    #[inline]
    fn call(&mut self, request: Req, _: Attempt) -> S::Future {
        self.service.call(request)
    }

    #[inline]
    fn judge(&mut self, result: Result<S::Response, S::Error>, _: Option<&Req>) -> Judged<Self::Output> {
        let output = result.map_err(Into::into);
        let outcome = self.classifier.classify(output.as_ref());
        let refused = output.as_ref().is_err_and(|error| Rejected::find(error.as_ref()).is_some());
        Judged { output, outcome, veto: refused.then_some(GiveUp::Rejected), not_before: None }
    }

    fn time_out(&mut self, why: TimedOut, _: Option<&Req>) -> Judged<Self::Output> {
        Judged {
            output: Err(why.into()),
            outcome: Outcome::Failure(FailureKind::Timeout),
            veto: None,
            not_before: None,
        }
    }
}

pin_project! {
    /// The future of [`Retrying`].
    pub struct RetryFuture<S, C, Req>
    where
        S: Service<Req>,
        S::Error: Into<BoxError>,
        C: Classify<S::Response, BoxError>,
        Req: Clone,
    {
        #[pin]
        drive: Drive<Plain<S, C, Req>>,
    }
}

impl<S, C, Req> Future for RetryFuture<S, C, Req>
where
    S: Service<Req>,
    S::Error: Into<BoxError>,
    C: Classify<S::Response, BoxError>,
    Req: Clone,
{
    type Output = Result<S::Response, BoxError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().drive.poll(cx)
    }
}

impl<S, C, Req> fmt::Debug for RetryFuture<S, C, Req>
where
    S: Service<Req>,
    S::Error: Into<BoxError>,
    C: Classify<S::Response, BoxError>,
    Req: Clone,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryFuture").finish_non_exhaustive()
    }
}
