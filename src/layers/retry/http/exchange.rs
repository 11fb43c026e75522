//! The request of each attempt, and the meaning of its response.

use std::marker::PhantomData;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::response::Parts;
use http::{Request, Response, request};
use http_body::Body;
use tower::{BoxError, Service};

use super::body::RetryBody;
use super::repeat::{Protocol, Reading, is_idempotent, never_sent};
use crate::base::error::{Cause, Rejected, TimedOut};
use crate::base::outcome::{ByCause, Classify, FailureKind, Outcome};
use crate::layers::attempts::Said;
use crate::layers::replay::Upload;
use crate::layers::retry::ReplayBody;
use crate::layers::retry::attempt_loop::Target;
use crate::layers::retry::call_state::{Attempt, Judged, Rules};
use crate::layers::retry::prototype::Shared;
use crate::layers::retry::settings::RetrySettings;
use crate::layers::retry::snapshot::GiveUp;

/// A request to send.
#[derive(Debug)]
pub(super) struct Kept {
    head: request::Parts,
    body: ReplayBody,
    /// It may be sent twice.
    may_repeat: bool,
    protocol: Protocol,
}

impl Kept {
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

    /// The reason why it may not be sent again. `not_done` tells that it was certainly not processed.
    fn veto(&self, not_done: bool) -> Option<GiveUp> {
        if !self.may_repeat && !not_done {
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

/// Sends it to `service`, which is ready.
pub(super) fn send<S>(service: &mut S, mut kept: Kept, attempt: Attempt) -> S::Future
where
    S: Service<Request<ReplayBody>>,
{
    kept.head.extensions.insert(attempt);
    service.call(Request::from_parts(kept.head, kept.body))
}

impl<S, C, K, R> Target for Exchange<S, C, K, R>
where
    S: Service<Request<ReplayBody>, Response = Response<R>> + Clone,
    S::Error: Cause<K>,
    C: Classify<Parts>,
{
    type Link = Arc<Shared<S>>;
    type Service = S;
    type Request = Kept;
    type Upload = Upload;
    type Call = S::Future;
    type Output = Result<Response<RetryBody<R>>, S::Error>;

    const TELLS: bool = true;

    fn rules(link: &Arc<Shared<S>>) -> &Rules {
        &link.rules
    }

    fn copy(kept: &Kept) -> Option<Kept> {
        let body = kept.body.try_clone()?;
        Some(Kept { head: kept.head.clone(), body, ..*kept })
    }

    fn call(service: &mut S, mut kept: Kept, attempt: Attempt) -> S::Future {
        // By convention, the span of each resend has it, if it declares the field.
        tracing::Span::current().record("http.request.resend_count", attempt.resend_count());
        kept.protocol.mark(&mut kept.head.headers, attempt);
        send(service, kept, attempt)
    }

    fn poll_ready(
        &mut self,
        link: &Arc<Shared<S>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<&mut S, Judged<Self::Output>>> {
        let service = match &mut self.service {
            Some(service) => service,
            none => none.insert(Box::new(ready!(link.prototype.poll_clone(cx)))),
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
                let outcome =
                    <ByCause<C, K> as Classify<Parts, S::Error>>::classify(&self.classifier, Ok(&head));
                let reading = self.protocol.read(&head, outcome);
                let Reading { outcome, not_done, forbidden, asked } = reading;
                let veto = match outcome.failure() {
                    // Our breakers mark their rejections so. A breaker of another process answers a plain 503.
                    Some(_) if head.extensions.get::<Rejected>().is_some() => Some(GiveUp::Rejected),
                    Some(_) if forbidden => Some(GiveUp::Forbidden),
                    Some(_) => kept.and_then(|kept| kept.veto(not_done)),
                    None => None,
                };
                let output = Ok(Response::from_parts(head, RetryBody::new(body)));
                Judged { output, outcome, veto, asked }
            }
            Err(error) => judge_error(&self.classifier, error, kept),
        }
    }

    #[inline]
    fn upload(kept: &Kept) -> Upload {
        kept.body.upload()
    }

    fn awaits_caller(upload: &Upload) -> bool {
        upload.is_awaited()
    }

    fn take_over(kept: &Kept) {
        kept.body.take_over();
    }

    fn say(&self, output: &Self::Output) -> Said {
        match output {
            Ok(answer) => Said::by_head(answer.status(), answer.headers(), answer.extensions()),
            Err(error) => error.ask(Said::by_error),
        }
    }

    fn time_out(&mut self, why: TimedOut, kept: Option<&Kept>) -> Judged<Self::Output> {
        let mut response = self.protocol.timed_out(&why).map(|()| RetryBody::empty());
        response.extensions_mut().insert(why);
        Judged {
            output: Ok(response),
            outcome: Outcome::Failure(FailureKind::Timeout),
            veto: kept.and_then(|kept| kept.veto(false)),
            asked: None,
        }
    }
}

fn judge_error<T, E: Cause<K>, K, C: Classify<Parts>>(
    classifier: &ByCause<C, K>,
    error: E,
    kept: Option<&Kept>,
) -> Judged<Result<T, E>> {
    let outcome = classifier.classify(Err(&error));
    let veto = error.ask(|error| {
        let refused = Rejected::find(error).is_some();
        refused.then_some(GiveUp::Rejected).or_else(|| kept?.veto(never_sent(error)))
    });
    Judged { output: Err(error), outcome, veto, asked: None }
}
