//! A response body that reports its end.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Buf;
use http::response::Parts;
use http::{HeaderMap, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower::BoxError;

use super::by_result::kind_of;
use super::classify::{Classify, FailureKind, Outcome};
use super::given_up::is_timing_out;
use super::settle::Settle;
use super::silence::Silence;

pin_project! {
    /// The body of a response that passed a layer. It has the same frames and reports its end to the layer once.
    ///
    /// Its end is the end of the stream, an error or a drop, whichever comes first: see [outcomes of
    /// streams](crate::base::outcome#streams). An error of the body is boxed, so that its causes determine the kind of
    /// failure. The body is empty if the layer refused the call.
    pub struct ObservedBody<B, C, O: Settle> {
        #[pin]
        body: Option<B>,
        watch: Watch<C, O>,
    }
}

/// The observer of a body, until it has reported the end.
struct Watch<C, O: Settle> {
    waiting: Option<(C, O)>,
    /// Whether the body is being polled. Still set afterwards if the poll panicked.
    polling: bool,
    silence: Silence,
    /// The remaining bytes, if the length of the body is known.
    missing: Option<u64>,
    end: fn(&C, Option<&HeaderMap>) -> Outcome,
}

impl<C, O: Settle> Watch<C, O> {
    fn ended(&mut self, trailers: Option<&HeaderMap>) {
        if let Some((classifier, mut observer)) = self.waiting.take() {
            observer.end(trailers);
            observer.settle((self.end)(&classifier, trailers));
        }
    }

    #[cold]
    fn failed(&mut self, kind: FailureKind) {
        if let Some((_, mut observer)) = self.waiting.take() {
            observer.settle(Outcome::Failure(kind));
        }
    }

    /// The body was dropped before its end.
    #[cold]
    fn left(&mut self) {
        if let Some((classifier, mut observer)) = self.waiting.take() {
            let outcome = if is_timing_out() {
                Outcome::Failure(FailureKind::Timeout)
            } else if observer.stall_limit().is_some_and(|limit| self.silence.is_stall(limit)) {
                Outcome::Failure(FailureKind::Cancelled)
            } else if self.missing == Some(0) && (self.end)(&classifier, None) == Outcome::Success {
                // An HTTP/1 server does not poll again once it has the bytes of `Content-Length`.
                observer.end(None);
                Outcome::Success
            } else {
                Outcome::Ignored
            };
            observer.settle(outcome);
        }
    }

    fn in_user_code(&mut self, running: bool) {
        self.polling = running;
        if let Some((_, observer)) = &mut self.waiting {
            observer.in_user_code(running);
        }
    }
}

impl<C, O: Settle> Drop for Watch<C, O> {
    fn drop(&mut self) {
        // After a panic of the body, the observer's drop reports a panic and not a cancellation. A panic of the reader is not
        // a failure of the service.
        if self.waiting.is_some() && !self.polling {
            self.left();
        }
    }
}

impl<B, C, O: Settle> ObservedBody<B, C, O> {
    /// The empty body of a refused call.
    pub(crate) fn refused() -> Self {
        Self::default()
    }
}

/// An empty body without an observer. Layers further out that make their own responses need it, such as tower-http's
/// timeout.
impl<B, C, O: Settle> Default for ObservedBody<B, C, O> {
    fn default() -> Self {
        let silence = Silence::default();
        Self {
            body: None,
            watch: Watch {
                waiting: None,
                polling: false,
                silence,
                missing: None,
                end: |_, _| Outcome::Ignored,
            },
        }
    }
}

impl<B: Body, C, O: Settle> ObservedBody<B, C, O> {
    /// Watches the body of `response` to its end.
    ///
    /// The outcome is final at once if the head is a failure, or if the response has no body, such as that to `HEAD`.
    pub(crate) fn watch<E>(
        response: http::Response<B>,
        to_head: bool,
        classifier: C,
        mut observer: O,
    ) -> http::Response<Self>
    where
        C: Classify<Parts, E>,
    {
        let (mut head, body) = response.into_parts();
        observer.head(&mut head);
        let mut outcome = classifier.classify(Ok(&head));
        let ended = to_head || has_no_content(head.status) || body.is_end_stream();
        if ended && outcome == Outcome::Success {
            outcome = classifier.classify_end(Some(&head.headers));
        }
        let waiting = if ended || outcome != Outcome::Success {
            observer.settle(outcome);
            None
        } else {
            Some((classifier, observer))
        };
        let silence = Silence::new(waiting.is_some() && has_events(&head.headers));
        let missing =
            waiting.as_ref().and_then(|_| content_length(&head.headers).or_else(|| body.size_hint().exact()));
        let end = <C as Classify<Parts, E>>::classify_end;
        let watch = Watch { waiting, polling: false, silence, missing, end };
        http::Response::from_parts(head, Self { body: Some(body), watch })
    }
}

/// Whether responses with this status have no body.
pub(crate) fn has_no_content(status: StatusCode) -> bool {
    status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// The length of the body by `Content-Length`.
pub(crate) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Whether the body is a stream of server-sent events, which may be silent for long.
pub(crate) fn has_events(headers: &HeaderMap) -> bool {
    const EVENTS: &[u8] = b"text/event-stream";
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.as_bytes().get(..EVENTS.len()));
    kind.is_some_and(|kind| kind.eq_ignore_ascii_case(EVENTS))
}

impl<B, C, O> Body for ObservedBody<B, C, O>
where
    B: Body,
    B::Error: Into<BoxError>,
    O: Settle,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.project();
        let Some(mut body) = this.body.as_pin_mut() else {
            return Poll::Ready(None);
        };
        this.watch.in_user_code(true);
        let polled = body.as_mut().poll_frame(cx);
        this.watch.in_user_code(false);
        let Poll::Ready(frame) = polled else {
            this.watch.silence.on_pending();
            return Poll::Pending;
        };
        this.watch.silence.ready();
        let frame = frame.map(|frame| frame.map_err(Into::into));
        match &frame {
            Some(Ok(frame)) => {
                if let (Some(missing), Some(data)) = (&mut this.watch.missing, frame.data_ref()) {
                    *missing = missing.saturating_sub(data.remaining() as u64);
                }
                // A reader may not poll again after `is_end_stream`.
                if frame.is_trailers() || body.is_end_stream() {
                    this.watch.ended(frame.trailers_ref());
                }
            }
            Some(Err(error)) => this.watch.failed(kind_of(error.as_ref())),
            None => this.watch.ended(None),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl<B, C, O: Settle> fmt::Debug for ObservedBody<B, C, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObservedBody").field("settled", &self.watch.waiting.is_none()).finish_non_exhaustive()
    }
}
