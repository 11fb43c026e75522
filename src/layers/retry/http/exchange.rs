//! The request of each attempt, and the meaning of its response.

use std::marker::PhantomData;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::response::Parts;
use http::{Request, Response, request};
use http_body::Body;
use tower::{BoxError, Service};

use super::advice::Advice;
use super::body::RetryBody;
use super::idempotent::{is_idempotent, never_sent};
use super::protocol::Protocol;
use crate::base::error::{Cause, Rejected, TimedOut};
use crate::base::outcome::{ByCause, Classify, FailureKind, Outcome};
use crate::layers::attempts::ErrorText;
use crate::layers::replay::{ReplayBody, Upload};
use crate::layers::retry::attempt::Attempt;
use crate::layers::retry::attempt_result::AttemptResult;
use crate::layers::retry::policy::Policy;
use crate::layers::retry::prototype::Shared;
use crate::layers::retry::settings::RetrySettings;
use crate::layers::retry::snapshot::GiveUp;
use crate::layers::retry::target::Target;

/// A request that can be sent several times.
#[derive(Debug)]
pub(super) struct ReplayableRequest {
    head: request::Parts,
    body: ReplayBody,
    /// Whether it may be processed twice.
    may_repeat: bool,
    protocol: Protocol,
}

impl ReplayableRequest {
    pub(super) fn new<B>(request: Request<B>, settings: &RetrySettings, protocol: Protocol) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (head, body) = request.into_parts();
        Self {
            may_repeat: settings.retry_non_idempotent || is_idempotent(&head),
            head,
            body: ReplayBody::new(body, settings.body_cap),
            protocol,
        }
    }

    /// Why it must not be sent again. `not_processed` is set if it was certainly not processed.
    fn veto(&self, not_processed: bool) -> Option<GiveUp> {
        if !self.may_repeat && !not_processed {
            Some(GiveUp::NotIdempotent)
        } else if !self.body.can_clone() {
            Some(GiveUp::Body)
        } else {
            None
        }
    }
}

pub(super) struct Exchange<S, C, K, R> {
    /// The instance for the attempts after the first. Boxed, since most calls have none.
    service: Option<Box<S>>,
    classifier: ByCause<C, K>,
    protocol: Protocol,
    response: PhantomData<fn() -> R>,
}

impl<S, C, K, R> Exchange<S, C, K, R> {
    pub(super) fn new(classifier: ByCause<C, K>, protocol: Protocol) -> Self {
        Self { service: None, classifier, protocol, response: PhantomData }
    }
}

/// Sends the request to `service`, which is ready.
pub(super) fn send<S>(service: &mut S, mut request: ReplayableRequest, attempt: Attempt) -> S::Future
where
    S: Service<Request<ReplayBody>>,
{
    request.head.extensions.insert(attempt);
    service.call(Request::from_parts(request.head, request.body))
}

impl<S, C, K, R> Target for Exchange<S, C, K, R>
where
    S: Service<Request<ReplayBody>, Response = Response<R>> + Clone,
    S::Error: Cause<K>,
    C: Classify<Parts>,
{
    type Link = Arc<Shared<S>>;
    type Service = S;
    type Request = ReplayableRequest;
    type Upload = Upload;
    type Call = S::Future;
    type Output = Result<Response<RetryBody<R>>, S::Error>;

    const NEEDS_ELAPSED: bool = true;

    fn policy(link: &Arc<Shared<S>>) -> &Policy {
        &link.policy
    }

    fn copy(request: &ReplayableRequest) -> Option<ReplayableRequest> {
        let body = request.body.try_clone()?;
        Some(ReplayableRequest { head: request.head.clone(), body, ..*request })
    }

    fn call(service: &mut S, mut request: ReplayableRequest, attempt: Attempt) -> S::Future {
        // The field that the OpenTelemetry conventions have for the span of a resend.
        tracing::Span::current().record("http.request.resend_count", attempt.resend_count());
        request.protocol.mark(&mut request.head.headers, attempt);
        send(service, request, attempt)
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
            Err(error) => Poll::Ready(Err(judge_error(&self.classifier, error, None))),
        }
    }

    fn judge(
        &mut self,
        result: Result<Response<R>, S::Error>,
        request: Option<&ReplayableRequest>,
    ) -> AttemptResult<Self::Output> {
        match result {
            Ok(response) => {
                let (head, body) = response.into_parts();
                let outcome =
                    <ByCause<C, K> as Classify<Parts, S::Error>>::classify(&self.classifier, Ok(&head));
                let advice = self.protocol.read(&head, outcome);
                let Advice { outcome, not_processed, forbidden, server_delay } = advice;
                let veto = match outcome.failure() {
                    // The breakers of this process mark their refusals. Those of other processes send a plain 503.
                    Some(_) if head.extensions.get::<Rejected>().is_some() => Some(GiveUp::Rejected),
                    Some(_) if forbidden => Some(GiveUp::Forbidden),
                    Some(_) => request.and_then(|request| request.veto(not_processed)),
                    None => None,
                };
                let output = Ok(Response::from_parts(head, RetryBody::new(body)));
                AttemptResult { output, outcome, veto, server_delay }
            }
            Err(error) => judge_error(&self.classifier, error, request),
        }
    }

    #[inline]
    fn upload(request: &ReplayableRequest) -> Upload {
        request.body.upload()
    }

    fn awaits_caller(upload: &Upload) -> bool {
        upload.is_awaited()
    }

    fn take_over(request: &ReplayableRequest) {
        request.body.take_over();
    }

    fn error_text(&self, output: &Self::Output) -> ErrorText {
        match output {
            Ok(answer) => ErrorText::of_head(answer.status(), answer.headers(), answer.extensions()),
            Err(error) => error.ask(ErrorText::of_error),
        }
    }

    fn time_out(
        &mut self,
        why: TimedOut,
        request: Option<&ReplayableRequest>,
    ) -> AttemptResult<Self::Output> {
        let mut response = self.protocol.timed_out(&why).map(|()| RetryBody::empty());
        response.extensions_mut().insert(why);
        AttemptResult {
            output: Ok(response),
            outcome: Outcome::Failure(FailureKind::Timeout),
            veto: request.and_then(|request| request.veto(false)),
            server_delay: None,
        }
    }
}

fn judge_error<T, E: Cause<K>, K, C: Classify<Parts>>(
    classifier: &ByCause<C, K>,
    error: E,
    request: Option<&ReplayableRequest>,
) -> AttemptResult<Result<T, E>> {
    let outcome = classifier.classify(Err(&error));
    let veto = error.ask(|error| {
        let refused = Rejected::find(error).is_some();
        refused.then_some(GiveUp::Rejected).or_else(|| request?.veto(never_sent(error)))
    });
    AttemptResult { output: Err(error), outcome, veto, server_delay: None }
}
