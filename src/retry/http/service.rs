//! The service of [`HttpRetryLayer`](super::HttpRetryLayer).

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

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
use crate::retry::course::{Asked, Attempt, Judged, Rules};
use crate::retry::drive::{Drive, Target};
use crate::retry::snapshot::GiveUp;
use crate::retry::spare::{Shared, Spare};

/// An HTTP service whose failed requests are sent again.
#[derive(Clone, Debug)]
pub struct HttpRetrying<S, C = ByHttpStatus> {
    inner: S,
    shared: Arc<Shared<S>>,
    classifier: C,
}

impl<S: Clone, C> HttpRetrying<S, C> {
    pub(super) fn new(inner: S, rules: Arc<Rules>, classifier: C) -> Self {
        let shared = Arc::new(Shared { rules, spare: Spare::new(inner.clone()) });
        Self { inner, shared, classifier }
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
        let settings = &self.shared.rules.settings;
        let (head, body) = request.into_parts();
        let kept = Kept {
            may_repeat: settings.retry_non_idempotent || is_idempotent(&head),
            head,
            body: ReplayBody::new(body, settings.body_cap),
        };
        let target = Exchange { service: None, classifier: self.classifier.clone(), response: PhantomData };
        let (link, inner) = (Arc::clone(&self.shared), &mut self.inner);
        HttpRetryFuture {
            drive: Drive::new(link, target, kept, |_, kept, attempt| send(inner, kept, attempt)),
        }
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
    /// For the attempts after the first. Most calls have none, and should not be larger for it.
    service: Option<Box<S>>,
    classifier: C,
    response: PhantomData<fn() -> R>,
}

impl<S, C, R> Target for Exchange<S, C, R>
where
    S: Service<Request<ReplayBody>, Response = Response<R>> + Clone,
    S::Error: 'static,
    C: Classify<Parts, S::Error>,
{
    type Link = Arc<Shared<S>>;
    type Service = S;
    type Request = Kept;
    type Call = S::Future;
    type Output = Result<Response<RetryBody<R>>, S::Error>;

    const TELLS: bool = true;

    fn rules(link: &Arc<Shared<S>>) -> &Rules {
        &link.rules
    }

    fn copy(kept: &Kept) -> Option<Kept> {
        let body = kept.body.try_clone()?;
        Some(Kept { head: kept.head.clone(), body, may_repeat: kept.may_repeat })
    }

    fn call(service: &mut S, kept: Kept, attempt: Attempt) -> S::Future {
        // By convention it stands on the span of each resend, where that has the field.
        tracing::Span::current().record("http.request.resend_count", attempt.resend_count());
        send(service, kept, attempt)
    }

    fn poll_ready(
        &mut self,
        link: &Arc<Shared<S>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<&mut S, Judged<Self::Output>>> {
        let service = match &mut self.service {
            Some(service) => service,
            none => none.insert(Box::new(ready!(link.spare.poll_clone(cx)))),
        };
        match ready!(service.poll_ready(cx)) {
            Ok(()) => Poll::Ready(Ok(service)),
            Err(error) => Poll::Ready(Err(judge_error(&self.classifier, error, None))),
        }
    }

    fn judge(&mut self, result: Result<Response<R>, S::Error>, kept: Option<&Kept>) -> Judged<Self::Output> {
        match result {
            Ok(response) => {
                let (head, body) = response.into_parts();
                let outcome = self.classifier.classify(Ok(&head));
                let (mut veto, mut asked) = (None, None);
                if outcome.failure().is_some() {
                    // A circuit breaker marks its refusals so; one of another process is a plain 503.
                    let refused = head.extensions.get::<Rejected>().is_some();
                    veto = refused.then_some(GiveUp::Rejected).or_else(|| kept?.veto(false));
                    asked = retry_after(head.status, &head.headers).map(Asked::AtLeast);
                }
                let output = Ok(Response::from_parts(head, RetryBody::new(body)));
                Judged { output, outcome, veto, asked }
            }
            Err(error) => judge_error(&self.classifier, error, kept),
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
            asked: None,
        }
    }
}

fn judge_error<T, E: 'static, C: Classify<Parts, E>>(
    classifier: &C,
    error: E,
    kept: Option<&Kept>,
) -> Judged<Result<T, E>> {
    let outcome = classifier.classify(Err(&error));
    let cause = as_error(&error);
    let refused = cause.is_some_and(|cause| Rejected::find(cause).is_some());
    let veto = refused.then_some(GiveUp::Rejected).or_else(|| kept?.veto(cause.is_some_and(never_sent)));
    Judged { output: Err(error), outcome, veto, asked: None }
}

fn send<S: Service<Request<ReplayBody>>>(service: &mut S, mut kept: Kept, attempt: Attempt) -> S::Future {
    kept.head.extensions.insert(attempt);
    service.call(Request::from_parts(kept.head, kept.body))
}

pin_project! {
    /// The future of [`HttpRetrying`].
    pub struct HttpRetryFuture<S, C, R>
    where
        S: Service<Request<ReplayBody>, Response = Response<R>>,
        S: Clone,
        S::Error: 'static,
        C: Classify<Parts, S::Error>,
    {
        #[pin]
        drive: Drive<Exchange<S, C, R>>,
    }
}

impl<S, C, R> Future for HttpRetryFuture<S, C, R>
where
    S: Service<Request<ReplayBody>, Response = Response<R>> + Clone,
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
    S: Service<Request<ReplayBody>, Response = Response<R>> + Clone,
    S::Error: 'static,
    C: Classify<Parts, S::Error>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRetryFuture").finish_non_exhaustive()
    }
}
