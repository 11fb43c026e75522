//! What is kept of an HTTP request while it is under way.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri, Version, response};
use http_body::Body;
use tower::BoxError;

use super::{IDEMPOTENCY_KEY, LETTER};
use crate::base::clock::{self, Tick};
use crate::base::error::{Cause, Rejected};
use crate::base::outcome::{ByCause, Classify, FailureKind, is_for_time, within};
use crate::base::panics::caught;
use crate::dead_letter::core::Core;
use crate::dead_letter::draft::Draft;
use crate::dead_letter::failure::{Ended, Failure, classified};
use crate::dead_letter::future::{Awaits, Examine, Step};
use crate::dead_letter::letter::{BodyState, HeaderText, HttpRequest, Payload};
use crate::dead_letter::redrive::{self, Redriven};
use crate::layers::attempts::{ErrorText, Record};
use crate::layers::replay::{Captured, ReplayBody, Upload};
use crate::signal::TraceIds;
use crate::store::LetterId;

/// A request that may have to be parked: its head once more, and a second way to its body.
#[doc(hidden)]
pub struct Kept<C> {
    core: Arc<Core>,
    began: Tick,
    /// None once it is known what became of it.
    request: Option<Kind>,
    pub(super) classifier: C,
}

/// The request itself.
struct Kind {
    method: Method,
    uri: Uri,
    version: Version,
    headers: HeaderMap,
    /// None only when it cannot be read a second time.
    body: Option<ReplayBody>,
    /// How far the caller is with the body.
    upload: Upload,
    /// The letter of another queue that it is.
    origin: Option<LetterId>,
    /// The id that its letter would have, where somebody has been told.
    id: Option<LetterId>,
}

impl Kind {
    /// The bytes that it holds by now.
    fn size(&self) -> u64 {
        let path = self.uri.path_and_query().map_or(0, |path| path.as_str().len());
        let headers: usize =
            self.headers.iter().map(|(name, value)| name.as_str().len() + value.as_bytes().len()).sum();
        let chunks = match self.body.as_ref().map(ReplayBody::captured) {
            Some(Captured::Complete { chunks, .. } | Captured::Partial(chunks)) => chunks,
            Some(Captured::TooLarge { .. }) | None => Vec::new(),
        };
        let body: usize = chunks.iter().map(Bytes::len).sum();
        (path + headers + body) as u64
    }
}

impl<C: Clone> Kept<C> {
    /// The request as it goes on, and what is kept of it; nothing of one that lies in this queue already.
    pub(super) fn keep<B>(
        core: &Arc<Core>,
        request: Request<B>,
        classifier: &C,
    ) -> (Request<ReplayBody>, Option<Self>)
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (mut head, body) = request.into_parts();
        let body = ReplayBody::new(body, core.settings.body_cap);
        let mark = head.extensions.get::<Redriven>();
        if mark.is_some_and(|redriven| redriven.is_for(core)) || redrive::runs_for(core) {
            return (Request::from_parts(head, body), None);
        }
        let origin = mark.map(Redriven::id);
        let id = if core.settings.idempotency_keys { identify(&mut head) } else { None };
        let request = Kind {
            method: head.method.clone(),
            uri: head.uri.clone(),
            version: head.version,
            headers: head.headers.clone(),
            body: body.try_clone(),
            upload: body.upload(),
            origin,
            id,
        };
        let kept = Self {
            core: Arc::clone(core),
            began: clock::now(),
            request: Some(request),
            classifier: classifier.clone(),
        };
        (Request::from_parts(head, body), Some(kept))
    }
}

impl<C> Kept<C> {
    pub(super) fn began(&self) -> Tick {
        self.began
    }

    /// It went well, or is its caller's own.
    pub(super) fn let_go(&mut self) {
        self.request = None;
    }

    /// Begins to park it; none when it is parked, or let go of.
    pub(super) fn begin_to_park(&mut self, ended: Ended) -> Option<Step> {
        let request = self.request.take()?;
        let core = &self.core;
        let draft = Draft::new(ended)
            .with_id(request.id)
            .or_trace(|| traceparent(&request.headers))
            .or_correlation(|| correlation(&request.headers, &core.settings.correlation_headers))
            .or_origin(|| {
                request.origin.or_else(|| request.headers.get(LETTER)?.to_str().ok()?.parse().ok())
            });
        let bytes = request.size();
        let cap = core.settings.body_cap;
        // The other half is the store's: the caller waits for both.
        let patience = core.settings.park_timeout / 2;
        let payload = async move {
            let Kind { method, uri, version, headers, body, .. } = request;
            let at_rest = match body {
                Some(body) => match within(patience, rest(&body, cap)).await {
                    Ok(Some(captured)) => AtRest::from(captured),
                    _ => AtRest::from(body.captured()),
                },
                None => AtRest::from(Captured::Partial(Vec::new())),
            };
            Ok(Payload::Http(HttpRequest {
                method: method.as_str().to_owned(),
                uri: uri.to_string(),
                version: format!("{version:?}"),
                headers: texts(&headers),
                body_state: at_rest.state,
                trailers: at_rest.trailers,
                body: at_rest.data,
            }))
        };
        Some(Step(core.park(draft, bytes, payload)))
    }

    /// That there was no answer when the caller left, or when a layer further out gave the call up `for_time`.
    fn dropped(&self, for_time: bool) -> Ended {
        let failure = if for_time {
            Failure::new(FailureKind::Timeout, "timeout", "a layer further out gave the call up for time")
        } else {
            Failure::new(FailureKind::Cancelled, "cancelled", "the caller left before there was an answer")
        };
        Ended { failure, took: clock::now().since(self.began), record: Record::default() }
    }
}

impl<C> Awaits for Kept<C> {
    fn awaits_caller(&self) -> bool {
        self.request.as_ref().is_some_and(|request| request.upload.is_awaited())
    }
}

impl<C> Drop for Kept<C> {
    fn drop(&mut self) {
        if self.request.is_some() && self.core.settings.park_cancelled && !std::thread::panicking() {
            let ended = self.dropped(is_for_time());
            // Nobody waits for it.
            drop(self.begin_to_park(ended));
        }
    }
}

/// Gives a request that may not be done twice a key by which its server can tell, where it has none.
fn identify(head: &mut Parts) -> Option<LetterId> {
    let may_repeat = !matches!(head.method, Method::POST | Method::PATCH);
    if may_repeat || head.headers.contains_key(IDEMPOTENCY_KEY) {
        return None;
    }
    let id = LetterId::new();
    let key = HeaderValue::try_from(id.to_string()).ok()?;
    head.headers.try_insert(IDEMPOTENCY_KEY, key).ok()?;
    Some(id)
}

/// What nobody has read of `body`, and with it all of it; none when its code panics.
async fn rest(body: &ReplayBody, cap: usize) -> Option<Captured> {
    caught(body.collect_rest(cap)).await.ok()
}

/// A body as it is stored.
struct AtRest {
    state: BodyState,
    data: Vec<u8>,
    trailers: Vec<(String, HeaderText)>,
}

impl From<Captured> for AtRest {
    fn from(captured: Captured) -> Self {
        let (state, data, trailers) = match captured {
            Captured::Complete { chunks, trailers } => (BodyState::Complete, chunks.concat(), trailers),
            Captured::Partial(chunks) => (BodyState::Partial, chunks.concat(), None),
            Captured::TooLarge { read } => (BodyState::TooLarge(read), Vec::new(), None),
        };
        Self { state, data, trailers: trailers.as_ref().map(texts).unwrap_or_default() }
    }
}

fn texts(headers: &HeaderMap) -> Vec<(String, HeaderText)> {
    let text = |(name, value): (&HeaderName, &HeaderValue)| {
        (name.as_str().to_owned(), HeaderText::from(value.as_bytes()))
    };
    headers.iter().map(text).collect()
}

/// The correlation id that one of the headers `names` gives, and its name.
fn correlation(headers: &HeaderMap, names: &[String]) -> Option<(String, String)> {
    names.iter().find_map(|name| {
        let id = headers.get(name)?.to_str().ok()?;
        let is_one = (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
        is_one.then(|| (name.clone(), id.to_owned()))
    })
}

/// The ids in a `traceparent` header: `00-<trace id>-<parent id>-<flags>` (W3C Trace Context).
fn traceparent(headers: &HeaderMap) -> Option<TraceIds> {
    let mut parts = headers.get("traceparent")?.to_str().ok()?.split('-');
    let (_version, trace_id, span_id) = (parts.next()?, parts.next()?, parts.next()?);
    let hex = |text: &str, length| text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    (hex(trace_id, 32) && hex(span_id, 16))
        .then(|| TraceIds { trace_id: trace_id.to_owned(), span_id: span_id.to_owned() })
}

impl<C: Classify<response::Parts>, K> Kept<ByCause<C, K>> {
    /// Why a call failed that ended with this error, if it did.
    pub(super) fn of_error<E: Cause<K>>(&self, error: &E) -> Option<Box<Failure>> {
        let kind = classified(&self.classifier, error)?;
        Some(Box::new(error.ask(|error| Failure::of_error(kind, error))))
    }
}

impl<C, K, B, E> Examine<Result<Response<B>, E>, Result<Response<B>, E>> for Kept<ByCause<C, K>>
where
    E: Cause<K>,
    C: Classify<response::Parts>,
{
    #[inline]
    fn pass(result: Result<Response<B>, E>) -> Result<Response<B>, E> {
        result
    }

    fn judge(&self, output: Result<Response<B>, E>) -> (Result<Response<B>, E>, Option<Box<Failure>>) {
        match output {
            Ok(response) => {
                let (head, body) = response.into_parts();
                let outcome = Classify::<_, E>::classify(&self.classifier, Ok(&head));
                let failure = outcome.failure().map(|kind| Box::new(of_head(kind, &head)));
                (Ok(Response::from_parts(head, body)), failure)
            }
            Err(error) => {
                let failure = self.of_error(&error);
                (Err(error), failure)
            }
        }
    }

    fn park(mut self, ended: Ended) -> Option<Step> {
        self.begin_to_park(ended)
    }

    fn go_on(mut self, output: Result<Response<B>, E>) -> Result<Response<B>, E> {
        self.let_go();
        output
    }
}

impl<C> fmt::Debug for Kept<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").field("queue", &self.core.name).finish_non_exhaustive()
    }
}

/// What the head of a failed response tells.
pub(in crate::dead_letter) fn of_head(kind: FailureKind, head: &response::Parts) -> Failure {
    let kind = if head.extensions.get::<Rejected>().is_some() { FailureKind::Rejected } else { kind };
    Failure::said(kind, ErrorText::of_head(head.status, &head.headers, &head.extensions))
}
