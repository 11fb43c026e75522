//! The layer for HTTP.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, Request, Response, Uri, Version, response};
use http_body::Body;
use tokio::time::timeout;
use tower::{BoxError, Layer, Service};

use super::DeadLetterQueue;
use super::core::Core;
use super::draft::Draft;
use super::failure::{Ended, Failure, classified};
use super::future::{DeadLetterFuture, Examine, Step};
use super::letter::{BodyState, HeaderText, HttpRequest, Payload};
use super::redrive::{self, Redriven};
use crate::attempts::Said;
use crate::clock;
use crate::error::Rejected;
use crate::outcome::{ByHttpStatus, Classify, FailureKind};
use crate::retry::{Captured, ReplayBody};
use crate::signal::TraceIds;
use crate::store::LetterId;

/// The header by which a server knows that a request is a letter on its way: the id of that.
pub(super) const LETTER: HeaderName = HeaderName::from_static("campanile-letter");

impl DeadLetterQueue {
    /// A layer for services of `http::Request` and `http::Response`, on servers and on clients.
    ///
    /// The inner service gets its body as a [`ReplayBody`], which keeps what passes through it up to
    /// [`Builder::body_cap`](super::Builder::body_cap); what the inner service has not read when it fails is
    /// read before the request is parked. Responses and errors pass unchanged. What failed is decided by
    /// [`ByHttpStatus`], by the head of the response: a body that breaks off later has reached the caller, who
    /// knows what to make of it.
    ///
    /// # Example
    /// ```
    /// use campanile::DeadLetterQueue;
    /// use campanile::dead_letter::Filter;
    /// use campanile::retry::ReplayBody;
    /// use bytes::Bytes;
    /// use http::{Request, Response, StatusCode};
    /// use http_body_util::Full;
    /// use tower::{ServiceBuilder, ServiceExt};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), tower::BoxError> {
    /// let queue = DeadLetterQueue::in_memory(1_000);
    /// let payments = ServiceBuilder::new().layer(queue.http_layer()).service_fn(
    ///     |_: Request<ReplayBody>| async {
    ///         let mut response = Response::new(());
    ///         *response.status_mut() = StatusCode::BAD_GATEWAY;
    ///         Ok::<_, std::convert::Infallible>(response)
    ///     },
    /// );
    /// let order = Request::post("http://payments/orders").body(Full::new(Bytes::from("order 7")))?;
    /// assert_eq!(payments.oneshot(order).await?.status(), 502);
    /// assert_eq!(queue.list(Filter::all()).await?[0].error_type, "502");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    #[cfg_attr(docsrs, doc(cfg(feature = "http")))]
    pub fn http_layer(&self) -> HttpDeadLetterLayer {
        HttpDeadLetterLayer { core: Arc::clone(self.core()), classifier: ByHttpStatus }
    }
}

/// Parks the HTTP requests that a service fails: see [`DeadLetterQueue::http_layer`].
#[derive(Clone)]
pub struct HttpDeadLetterLayer<C = ByHttpStatus> {
    core: Arc<Core>,
    classifier: C,
}

impl<C> HttpDeadLetterLayer<C> {
    /// Lets `classifier` decide what failed: a [`Classify`]`<http::response::Parts, S::Error>`.
    pub fn classify<D>(self, classifier: D) -> HttpDeadLetterLayer<D> {
        HttpDeadLetterLayer { core: self.core, classifier }
    }
}

impl<S, C: Clone> Layer<S> for HttpDeadLetterLayer<C> {
    type Service = HttpDeadLetter<S, C>;

    fn layer(&self, inner: S) -> Self::Service {
        HttpDeadLetter { inner, core: Arc::clone(&self.core), classifier: self.classifier.clone() }
    }
}

impl<C> fmt::Debug for HttpDeadLetterLayer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpDeadLetterLayer").field("queue", &self.core.name).finish_non_exhaustive()
    }
}

/// An HTTP service whose failed requests are parked.
#[derive(Clone)]
pub struct HttpDeadLetter<S, C = ByHttpStatus> {
    inner: S,
    core: Arc<Core>,
    classifier: C,
}

impl<S, C, B, ResB> Service<Request<B>> for HttpDeadLetter<S, C>
where
    S: Service<Request<ReplayBody>, Response = Response<ResB>>,
    S::Error: fmt::Display + 'static,
    C: Classify<response::Parts, S::Error> + Clone,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<ResB>;
    type Error = S::Error;
    type Future = DeadLetterFuture<S::Future, Kept<C>, Result<Response<ResB>, S::Error>>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let core = &self.core;
        let (head, body) = request.into_parts();
        let body = ReplayBody::new(body, core.settings.body_cap);
        let marked = head.extensions.get::<Redriven>().is_some_and(|redriven| redriven.is_for(core));
        let job = (!marked && !redrive::runs_for(core))
            .then(|| Kept::new(Arc::clone(core), &head, &body, self.classifier.clone()));
        let request = Request::from_parts(head, body);
        let inner = &mut self.inner;
        DeadLetterFuture::begin(job, clock::now(), || inner.call(request))
    }
}

impl<S: fmt::Debug, C> fmt::Debug for HttpDeadLetter<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpDeadLetter")
            .field("queue", &self.core.name)
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

/// What is kept of an HTTP request while it is under way.
#[doc(hidden)]
pub struct Kept<C> {
    core: Arc<Core>,
    method: Method,
    uri: Uri,
    version: Version,
    headers: HeaderMap,
    /// None only when it cannot be read a second time.
    body: Option<ReplayBody>,
    /// The letter of another queue that it is.
    origin: Option<LetterId>,
    classifier: C,
}

impl<C> Kept<C> {
    fn new(core: Arc<Core>, head: &Parts, body: &ReplayBody, classifier: C) -> Self {
        Self {
            core,
            method: head.method.clone(),
            uri: head.uri.clone(),
            version: head.version,
            headers: head.headers.clone(),
            body: body.try_clone(),
            origin: head.extensions.get::<Redriven>().map(Redriven::id),
            classifier,
        }
    }
}

/// The data of a body. Its trailers are not kept: no client of HTTP sends them with a request.
fn at_rest(captured: Captured) -> (BodyState, Vec<u8>) {
    match captured {
        Captured::Complete { chunks, .. } => (BodyState::Complete, chunks.concat()),
        Captured::Partial(chunks) => (BodyState::Partial, chunks.concat()),
        Captured::TooLarge { read } => (BodyState::TooLarge(read), Vec::new()),
    }
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

impl<C, B, E> Examine<Result<Response<B>, E>, Result<Response<B>, E>> for Kept<C>
where
    E: fmt::Display + 'static,
    C: Classify<response::Parts, E>,
{
    #[inline]
    fn pass(result: Result<Response<B>, E>) -> Result<Response<B>, E> {
        result
    }

    fn judge(&self, output: Result<Response<B>, E>) -> (Result<Response<B>, E>, Option<Box<Failure>>) {
        match output {
            Ok(response) => {
                let (head, body) = response.into_parts();
                let outcome = self.classifier.classify(Ok(&head));
                let failure = outcome.failure().map(|kind| Box::new(of_head(kind, &head)));
                (Ok(Response::from_parts(head, body)), failure)
            }
            Err(error) => {
                let failure =
                    classified(&self.classifier, &error).map(|kind| Box::new(Failure::of_any(kind, &error)));
                (Err(error), failure)
            }
        }
    }

    fn park(self, ended: Ended) -> Step {
        let Self { core, method, uri, version, headers, body, origin, classifier: _ } = self;
        let draft = Draft::new(ended)
            .or_trace(|| traceparent(&headers))
            .or_correlation(|| correlation(&headers, &core.settings.correlation_headers))
            .or_origin(|| origin.or_else(|| headers.get(LETTER)?.to_str().ok()?.parse().ok()));
        let cap = core.settings.body_cap;
        // The other half is the store's: the caller waits for both.
        let patience = core.settings.park_timeout / 2;
        let payload = async move {
            let (body_state, body) = match body {
                Some(body) => match timeout(patience, body.collect_rest(cap)).await {
                    Ok(captured) => at_rest(captured),
                    Err(_) => at_rest(body.captured()),
                },
                None => (BodyState::Partial, Vec::new()),
            };
            Ok(Payload::Http(HttpRequest {
                method: method.as_str().to_owned(),
                uri: uri.to_string(),
                version: format!("{version:?}"),
                headers: headers
                    .iter()
                    .map(|(name, value)| (name.as_str().to_owned(), HeaderText::from(value.as_bytes())))
                    .collect(),
                body_state,
                body,
            }))
        };
        Step(core.park(draft, payload))
    }
}

impl<C> fmt::Debug for Kept<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept")
            .field("queue", &self.core.name)
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

/// What the head of a failed response tells.
pub(super) fn of_head(kind: FailureKind, head: &response::Parts) -> Failure {
    let kind = if head.extensions.get::<Rejected>().is_some() { FailureKind::Rejected } else { kind };
    Failure::said(kind, Said::by_head(head.status, &head.headers, &head.extensions))
}
