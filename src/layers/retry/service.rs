//! The service of [`RetryLayer`](super::RetryLayer).

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower::{BoxError, Service};

use super::attempt::Attempt;
use super::attempt_loop::AttemptLoop;
use super::attempt_result::AttemptResult;
use super::policy::Policy;
use super::prototype::{Prototype, Shared};
use super::snapshot::GiveUp;
use super::target::Target;
use crate::base::bounds::{CloneRequest, CloneService, IntoBoxError};
use crate::base::error::{Rejected, TimedOut};
use crate::base::outcome::{ByResult, Classify, FailureKind, Outcome};
use crate::layers::attempts::ErrorText;
use crate::signal::Place;

/// A service whose failed calls are retried; made by [`RetryLayer`](super::layer::RetryLayer).
#[derive(Clone, Debug)]
pub struct Retrying<
    S,            // a `Service<Req> + Clone` with `Req: Clone`, whose error becomes a `tower::BoxError`
    C = ByResult, // a `Classify<S::Response, tower::BoxError>`
> {
    inner: S,
    shared: Arc<Shared<S>>,
    classifier: C,
    by_default: bool,
}

impl<S: Clone, C> Retrying<S, C> {
    pub(super) fn new(inner: S, policy: Arc<Policy>, classifier: C, by_default: bool) -> Self {
        let shared = Arc::new(Shared { policy, prototype: Prototype::new(inner.clone()) });
        Self { inner, shared, classifier, by_default }
    }
}

impl<S, C, Req> Service<Req> for Retrying<S, C>
where
    S: Service<Req> + CloneService,
    S::Error: IntoBoxError,
    C: Classify<S::Response, BoxError> + Clone,
    Req: CloneRequest,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = RetryFuture<S, C, Req>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    // Inlined, so that the future is built in place.
    #[inline(always)]
    fn call(&mut self, request: Req) -> Self::Future {
        if self.by_default {
            self.shared.policy.see::<S::Response>(Place::Layer);
        }
        let target = Plain { service: None, classifier: self.classifier.clone(), request: PhantomData };
        let inner = &mut self.inner;
        RetryFuture {
            attempts: AttemptLoop::new(Arc::clone(&self.shared), target, request, |_, sent, _| {
                inner.call(sent)
            }),
        }
    }
}

struct Plain<S, C, Req> {
    /// The instance for the attempts after the first. Boxed, since most calls have none.
    service: Option<Box<S>>,
    classifier: C,
    request: PhantomData<fn(Req)>,
}

impl<S, C, Req> Target for Plain<S, C, Req>
where
    S: Service<Req> + Clone,
    S::Error: Into<BoxError>,
    C: Classify<S::Response, BoxError>,
    Req: Clone,
{
    type Link = Arc<Shared<S>>;
    type Service = S;
    type Request = Req;
    type Upload = ();
    type Call = S::Future;
    type Output = Result<S::Response, BoxError>;

    #[inline]
    fn policy(link: &Arc<Shared<S>>) -> &Policy {
        &link.policy
    }

    #[inline]
    fn copy(request: &Req) -> Option<Req> {
        Some(request.clone())
    }

    #[inline]
    fn call(service: &mut S, request: Req, _: Attempt) -> S::Future {
        service.call(request)
    }

    #[inline]
    fn upload(_: &Req) {}

    fn awaits_caller((): &()) -> bool {
        false
    }

    fn poll_ready(
        &mut self,
        link: &Arc<Shared<S>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<&mut S, AttemptResult<Self::Output>>> {
        let service = match &mut self.service {
            Some(service) => service,
            none => none.insert(Box::new(ready!(link.prototype.poll_clone(cx)))),
        };
        match ready!(service.poll_ready(cx)) {
            Ok(()) => Poll::Ready(Ok(service)),
            Err(error) => Poll::Ready(Err(judge(&self.classifier, Err(error.into())))),
        }
    }

    #[inline]
    fn judge(
        &mut self,
        result: Result<S::Response, S::Error>,
        _: Option<&Req>,
    ) -> AttemptResult<Self::Output> {
        judge(&self.classifier, result.map_err(Into::into))
    }

    fn error_text(&self, output: &Self::Output) -> ErrorText {
        match output {
            Ok(_) => ErrorText::of_response(),
            Err(error) => ErrorText::of_error(error.as_ref()),
        }
    }

    fn time_out(&mut self, why: TimedOut, _: Option<&Req>) -> AttemptResult<Self::Output> {
        AttemptResult {
            output: Err(why.into()),
            outcome: Outcome::Failure(FailureKind::Timeout),
            veto: None,
            server_delay: None,
        }
    }
}

#[inline]
fn judge<T, C: Classify<T, BoxError>>(
    classifier: &C,
    output: Result<T, BoxError>,
) -> AttemptResult<Result<T, BoxError>> {
    let outcome = classifier.classify(output.as_ref());
    let refused = output.as_ref().is_err_and(|error| Rejected::find(error.as_ref()).is_some());
    AttemptResult { output, outcome, veto: refused.then_some(GiveUp::Rejected), server_delay: None }
}

pin_project! {
    /// The future of [`Retrying`].
    pub struct RetryFuture<S, C, Req>
    where
        S: Service<Req>,
        S: Clone,
        S::Error: Into<BoxError>,
        C: Classify<S::Response, BoxError>,
        Req: Clone,
    {
        #[pin]
        attempts: AttemptLoop<Plain<S, C, Req>>,
    }
}

impl<S, C, Req> Future for RetryFuture<S, C, Req>
where
    S: Service<Req> + Clone,
    S::Error: Into<BoxError>,
    C: Classify<S::Response, BoxError>,
    Req: Clone,
{
    type Output = Result<S::Response, BoxError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().attempts.poll(cx)
    }
}

impl<S, C, Req> fmt::Debug for RetryFuture<S, C, Req>
where
    S: Service<Req> + Clone,
    S::Error: Into<BoxError>,
    C: Classify<S::Response, BoxError>,
    Req: Clone,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryFuture").finish_non_exhaustive()
    }
}
