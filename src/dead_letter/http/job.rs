//! Holds an HTTP request while its call is in progress, for its letter.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri, Version, response};
use http_body::Body;
use tower::BoxError;

use super::headers::{IDEMPOTENCY_KEY, LETTER};
use crate::base::clock::{self, Tick};
use crate::base::error::{Cause, Rejected};
use crate::base::outcome::{ByCause, Classify, FailureKind, is_timing_out, within};
use crate::base::panics::caught;
use crate::dead_letter::core::Core;
use crate::dead_letter::failure::{FailedCall, Failure, classified};
use crate::dead_letter::letter::{BodyState, HeaderText, HttpRequest, Payload};
use crate::dead_letter::park::{Draft, Job, Parking, park};
use crate::dead_letter::sending::{self, Redriven};
use crate::layers::attempts::{ErrorText, Record};
use crate::layers::replay::{Captured, ReplayBody, Upload};
use crate::signal::TraceIds;
use crate::store::LetterId;

/// A copy of the head of a request, and a second handle of its body.
#[doc(hidden)]
pub struct HttpJob<C> {
    core: Arc<Core>,
    began: Tick,
    /// `None` once the call has succeeded or its request is being parked.
    request: Option<PendingRequest>,
    pub(super) classifier: C,
}

/// The request of a call in progress.
struct PendingRequest {
    method: Method,
    uri: Uri,
    version: Version,
    headers: HeaderMap,
    /// `None` if it cannot be read a second time.
    body: Option<ReplayBody>,
    /// How much of the body the caller has sent.
    upload: Upload,
    /// The letter of another queue that the request sends.
    origin: Option<LetterId>,
    /// The id of its letter, if the request carries it.
    id: Option<LetterId>,
}

impl PendingRequest {
    /// The bytes that it holds so far.
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

impl<C: Clone> HttpJob<C> {
    /// Returns the request for the inner service, and its job. There is no job for a letter of this queue.
    pub(super) fn new<B>(
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
        let redriven = head.extensions.get::<Redriven>();
        if redriven.is_some_and(|redriven| redriven.is_for(core)) || sending::is_letter_of(core) {
            return (Request::from_parts(head, body), None);
        }
        let origin = redriven.map(|redriven| redriven.id);
        let id = if core.settings.idempotency_keys { add_idempotency_key(&mut head) } else { None };
        let request = PendingRequest {
            method: head.method.clone(),
            uri: head.uri.clone(),
            version: head.version,
            headers: head.headers.clone(),
            body: body.try_clone(),
            upload: body.upload(),
            origin,
            id,
        };
        let job = Self {
            core: Arc::clone(core),
            began: clock::now(),
            request: Some(request),
            classifier: classifier.clone(),
        };
        (Request::from_parts(head, body), Some(job))
    }
}

impl<C> HttpJob<C> {
    /// Whether the call waits for its caller to send more of the body.
    pub(super) fn awaits_upload(&self) -> bool {
        self.request.as_ref().is_some_and(|request| request.upload.is_awaited())
    }

    pub(super) fn began(&self) -> Tick {
        self.began
    }

    /// The call succeeded, or its further course is the caller's concern.
    pub(super) fn discard(&mut self) {
        self.request = None;
    }

    /// Starts to park the request, unless it is parked or discarded.
    pub(super) fn start_parking(&mut self, call: FailedCall) -> Option<Parking> {
        let request = self.request.take()?;
        let core = &self.core;
        let draft = Draft::new(call)
            .with_id(request.id)
            .or_trace(|| traceparent(&request.headers))
            .or_correlation(|| correlation(&request.headers, &core.settings.correlation_headers))
            .or_origin(|| {
                request.origin.or_else(|| request.headers.get(LETTER)?.to_str().ok()?.parse().ok())
            });
        let bytes = request.size();
        let cap = core.settings.body_cap;
        // The other half is for the store.
        let limit = core.settings.park_timeout / 2;
        let payload = async move {
            let PendingRequest { method, uri, version, headers, body, .. } = request;
            let stored = match body {
                Some(body) => match within(limit, rest(&body, cap)).await {
                    Ok(Some(captured)) => StoredBody::from(captured),
                    _ => StoredBody::from(body.captured()),
                },
                None => StoredBody::from(Captured::Partial(Vec::new())),
            };
            Ok(Payload::Http(HttpRequest {
                method: method.as_str().to_owned(),
                uri: uri.to_string(),
                version: format!("{version:?}"),
                headers: texts(&headers),
                body_state: stored.state,
                trailers: stored.trailers,
                body: stored.data,
            }))
        };
        Some(park(core, draft, bytes, payload))
    }

    /// The failure of a call that was dropped: by its caller, or by a timeout outside of the layer.
    fn dropped(&self, timing_out: bool) -> FailedCall {
        let failure = if timing_out {
            Failure::new(
                FailureKind::Timeout,
                "timeout",
                "a timeout outside of the dead letter layer ended the call",
            )
        } else {
            Failure::new(
                FailureKind::Cancelled,
                "cancelled",
                "the caller cancelled the call before there was a response",
            )
        };
        FailedCall { failure, took: clock::now().since(self.began), record: Record::default() }
    }
}

impl<C> Drop for HttpJob<C> {
    fn drop(&mut self) {
        if self.request.is_some() && self.core.settings.park_cancelled && !std::thread::panicking() {
            let call = self.dropped(is_timing_out());
            // A task parks the request, because the caller does not wait.
            drop(self.start_parking(call));
        }
    }
}

/// Adds an idempotency key to a request with a method that is not idempotent, unless it has one.
fn add_idempotency_key(head: &mut Parts) -> Option<LetterId> {
    let may_repeat = !matches!(head.method, Method::POST | Method::PATCH);
    if may_repeat || head.headers.contains_key(IDEMPOTENCY_KEY) {
        return None;
    }
    let id = LetterId::new();
    let key = HeaderValue::try_from(id.to_string()).ok()?;
    head.headers.try_insert(IDEMPOTENCY_KEY, key).ok()?;
    Some(id)
}

/// Reads the rest of `body`, and returns all of it. `None` if its code panics.
async fn rest(body: &ReplayBody, cap: usize) -> Option<Captured> {
    caught(body.collect_rest(cap)).await.ok()
}

/// A body as a letter holds it.
struct StoredBody {
    state: BodyState,
    data: Vec<u8>,
    trailers: Vec<(String, HeaderText)>,
}

impl From<Captured> for StoredBody {
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

/// The name and the value of the first of the headers `names` that holds a correlation id.
fn correlation(headers: &HeaderMap, names: &[String]) -> Option<(String, String)> {
    names.iter().find_map(|name| {
        let id = headers.get(name)?.to_str().ok()?;
        let is_valid = (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
        is_valid.then(|| (name.clone(), id.to_owned()))
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

impl<C: Classify<response::Parts>, K> HttpJob<ByCause<C, K>> {
    /// The failure of a call that ended with `error`, if the classifier counts it as one.
    pub(super) fn failure_of<E: Cause<K>>(&self, error: &E) -> Option<Box<Failure>> {
        let kind = classified(&self.classifier, error)?;
        Some(Box::new(error.ask(|error| Failure::of_error(kind, error))))
    }
}

impl<C, K, B, E> Job<Result<Response<B>, E>, Result<Response<B>, E>> for HttpJob<ByCause<C, K>>
where
    E: Cause<K>,
    C: Classify<response::Parts>,
{
    #[inline]
    fn convert(result: Result<Response<B>, E>) -> Result<Response<B>, E> {
        result
    }

    fn judge(&self, output: Result<Response<B>, E>) -> (Result<Response<B>, E>, Option<Box<Failure>>) {
        match output {
            Ok(response) => {
                let (head, body) = response.into_parts();
                let outcome = Classify::<_, E>::classify(&self.classifier, Ok(&head));
                let failure = outcome.failure().map(|kind| Box::new(failure_of_head(kind, &head)));
                (Ok(Response::from_parts(head, body)), failure)
            }
            Err(error) => {
                let failure = self.failure_of(&error);
                (Err(error), failure)
            }
        }
    }

    fn park(mut self, call: FailedCall) -> Option<Parking> {
        self.start_parking(call)
    }

    fn release(mut self, output: Result<Response<B>, E>) -> Result<Response<B>, E> {
        self.discard();
        output
    }

    fn awaits_caller(&self) -> bool {
        self.awaits_upload()
    }
}

impl<C> fmt::Debug for HttpJob<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpJob").field("queue", &self.core.name).finish_non_exhaustive()
    }
}

/// The failure that the head of a response describes.
pub(in crate::dead_letter) fn failure_of_head(kind: FailureKind, head: &response::Parts) -> Failure {
    let kind = if head.extensions.get::<Rejected>().is_some() { FailureKind::Rejected } else { kind };
    Failure::said(kind, ErrorText::of_head(head.status, &head.headers, &head.extensions))
}
