//! The service of [`HttpRetryLayer`](super::HttpRetryLayer).

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::response::Parts;
use http::{Request, Response, StatusCode, request};
use http_body::Body;
use pin_project_lite::pin_project;
use tower::{BoxError, Service};

use super::body::RetryBody;
use super::repeat::{is_idempotent, never_sent, retry_after};
use crate::error::{Rejected, TimedOut, as_error};
use crate::outcome::{ByHttpStatus, Classify, FailureKind, Outcome};
use crate::retry::ReplayBody;
use crate::retry::course::{Attempt, Judged, Rules};
use crate::retry::drive::{Drive, Target};
use crate::retry::service::take_ready;
use crate::retry::snapshot::GiveUp;

/// An HTTP service whose failed requests are sent again.
#[derive(Clone, Debug)]
pub struct HttpRetrying<S, C = ByHttpStatus> {
    inner: S,
    rules: Arc<Rules>,
    classifier: C,
}

impl<S, C> HttpRetrying<S, C> {
    pub(super) fn new(inner: S, rules: Arc<Rules>, classifier: C) -> Self {
        Self { inner, rules, classifier }
    }
}

impl<S, C, B, R> Service<Request<B>> for HttpRetrying<S, C>
where
    S: Service<Request<ReplayBody>, Response = Response<R>> + Clone,
    S::Error: 'static,
    C: Classify<Parts, S::Error> + Clone,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<RetryBody<R>>;
    type Error = S::Error;
    type Future = HttpRetryFuture<S, C, R>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let settings = &self.rules.settings;
        let (head, body) = request.into_parts();
        let kept = Kept {
            may_repeat: settings.retry_non_idempotent || is_idempotent(&head),
            head,
            body: ReplayBody::new(body, settings.body_cap),
        };
        let service = take_ready(&mut self.inner);
        let target = Exchange { service, classifier: self.classifier.clone(), response: PhantomData };
        HttpRetryFuture { drive: Drive::new(&self.rules, target, kept) }
    }
}

/// A request to send.
#[derive(Debug)]
struct Kept {
    head: request::Parts,
    body: ReplayBody,
    /// Sending it twice does no harm.
    may_repeat: bool,
}

impl Kept {
    fn veto(&self, never_sent: bool) -> Option<GiveUp> {
        if !self.may_repeat && !never_sent {
            Some(GiveUp::NotIdempotent)
        } else if !self.body.can_clone() {
            Some(GiveUp::Body)
        } else {
            None
        }
    }
}

struct Exchange<S, C, R> {
    service: S,
    classifier: C,
    response: PhantomData<fn() -> R>,
}

impl<S, C, R> Target for Exchange<S, C, R>
where
    S: Service<Request<ReplayBody>, Response = Response<R>>,
    S::Error: 'static,
    C: Classify<Parts, S::Error>,
{
    type Request = Kept;
    type Call = S::Future;
    type Output = Result<Response<RetryBody<R>>, S::Error>;

    fn copy(&self, kept: &Kept) -> Option<Kept> {
        let body = kept.body.try_clone()?;
        Some(Kept { head: kept.head.clone(), body, may_repeat: kept.may_repeat })
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Judged<Self::Output>>> {
        self.service.poll_ready(cx).map_err(|error| self.judge(Err(error), None))
    }

    fn call(&mut self, mut kept: Kept, attempt: Attempt) -> S::Future {
        if attempt.number() > 1 {
            // By convention it stands on the span of each resend, where that has the field.
            tracing::Span::current().record("http.request.resend_count", attempt.number() - 1);
        }
        kept.head.extensions.insert(attempt);
        self.service.call(Request::from_parts(kept.head, kept.body))
    }

    fn judge(&mut self, result: Result<Response<R>, S::Error>, kept: Option<&Kept>) -> Judged<Self::Output> {
        match result {
            Ok(response) => {
                let (head, body) = response.into_parts();
                let outcome = self.classifier.classify(Ok(&head));
                let (mut veto, mut not_before) = (None, None);
                if outcome.failure().is_some() {
                    // A circuit breaker marks its refusals so; one of another process is a plain 503.
                    let refused = head.extensions.get::<Rejected>().is_some();
                    veto = refused.then_some(GiveUp::Rejected).or_else(|| kept?.veto(false));
                    not_before = retry_after(head.status, &head.headers);
                }
                let output = Ok(Response::from_parts(head, RetryBody::new(body)));
                Judged { output, outcome, veto, not_before }
            }
            Err(error) => {
                let outcome = self.classifier.classify(Err(&error));
                let cause = as_error(&error);
                let refused = cause.is_some_and(|cause| Rejected::find(cause).is_some());
                let veto =
                    refused.then_some(GiveUp::Rejected).or_else(|| kept?.veto(cause.is_some_and(never_sent)));
                Judged { output: Err(error), outcome, veto, not_before: None }
            }
        }
    }

    fn time_out(&mut self, why: TimedOut, kept: Option<&Kept>) -> Judged<Self::Output> {
        let mut response = Response::new(RetryBody::empty());
        *response.status_mut() = StatusCode::GATEWAY_TIMEOUT;
        response.extensions_mut().insert(why);
        Judged {
            output: Ok(response),
            outcome: Outcome::Failure(FailureKind::Timeout),
            veto: kept.and_then(|kept| kept.veto(false)),
            not_before: None,
        }
    }
}

pin_project! {
    /// The future of [`HttpRetrying`].
    pub struct HttpRetryFuture<S, C, R>
    where
        S: Service<Request<ReplayBody>, Response = Response<R>>,
        S::Error: 'static,
        C: Classify<Parts, S::Error>,
    {
        #[pin]
        drive: Drive<Exchange<S, C, R>>,
    }
}

impl<S, C, R> Future for HttpRetryFuture<S, C, R>
where
    S: Service<Request<ReplayBody>, Response = Response<R>>,
    S::Error: 'static,
    C: Classify<Parts, S::Error>,
{
    type Output = Result<Response<RetryBody<R>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().drive.poll(cx)
    }
}

impl<S, C, R> fmt::Debug for HttpRetryFuture<S, C, R>
where
    S: Service<Request<ReplayBody>, Response = Response<R>>,
    S::Error: 'static,
    C: Classify<Parts, S::Error>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRetryFuture").finish_non_exhaustive()
    }
}
