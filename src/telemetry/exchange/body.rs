//! The body of a response, whose end is the end of the request.

use std::any::type_name;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Buf;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::ended::Ended;
use super::observed::Observed;
use super::side::Side;
use crate::base::outcome::{Silence, content_length, has_events, has_no_content, is_timing_out};

/// A stream has stalled if it sends nothing for this long while its reader waits.
const STALL: Duration = Duration::from_secs(1);

pin_project! {
    /// The body of a response that passed a layer of spans. Its frames and errors pass unchanged.
    pub struct SpanBody<B> {
        #[pin]
        body: Option<B>,
        observed: Option<Observed>,
        // The bytes that are missing, if the length is known.
        missing: Option<u64>,
        // Whether its end is that of its reader.
        endless: bool,
        silence: Silence,
    }

    impl<B> PinnedDrop for SpanBody<B> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if let Some(observed) = this.observed
                && !observed.panicked()
            {
                observed.within(|| this.body.set(None));
                observed.end(left(observed.side(), *this.missing, *this.endless, this.silence));
            }
        }
    }
}

/// How a request ended whose body was dropped before its end.
#[cold]
fn left<'a>(side: Side, missing: Option<u64>, endless: bool, silence: &Silence) -> Ended<'a> {
    if is_timing_out() {
        Ended::TimedOut
    } else if missing == Some(0) && !side.is_grpc() {
        // An HTTP/1 server does not poll again once it has the bytes of `Content-Length`.
        Ended::Whole
    } else if side == Side::HttpServer && endless || side == Side::HttpClient && !silence.is_stall(STALL) {
        // A stream of events ends when its reader leaves, and a client may want the head only.
        Ended::Left
    } else {
        Ended::Cancelled
    }
}

impl<B: Body> SpanBody<B> {
    /// Follows the body of `response` to its end.
    #[inline]
    pub(super) fn follow(response: Response<B>, observed: Option<Observed>, to_head: bool) -> Response<Self> {
        let Some(mut observed) = observed else { return response.map(Self::unobserved) };
        observed.head(&response);
        let (head, body) = response.into_parts();
        if to_head || has_no_content(head.status) || body.is_end_stream() {
            observed.end(Ended::Whole);
            return Response::from_parts(head, Self::unobserved(body));
        }
        let endless = has_events(&head.headers);
        let body = Self {
            missing: content_length(&head.headers).or_else(|| body.size_hint().exact()),
            body: Some(body),
            observed: Some(observed),
            endless,
            silence: Silence::new(endless),
        };
        Response::from_parts(head, body)
    }
}

impl<B> SpanBody<B> {
    fn unobserved(body: B) -> Self {
        let mut unobserved = Self::default();
        unobserved.body = Some(body);
        unobserved
    }
}

/// An empty body. Layers further out that make their own responses need it, such as tower-http's timeout.
impl<B> Default for SpanBody<B> {
    fn default() -> Self {
        Self { body: None, observed: None, missing: None, endless: false, silence: Silence::default() }
    }
}

impl<B: Body> Body for SpanBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    #[inline]
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let Some(mut body) = this.body.as_pin_mut() else { return Poll::Ready(None) };
        let Some(observed) = this.observed else { return body.poll_frame(cx) };
        let poll = || body.as_mut().poll_frame(cx);
        // A body whose length is known is in memory as a rule.
        let polled = if this.missing.is_some() { observed.beside(poll) } else { observed.within(poll) };
        let Poll::Ready(frame) = polled else {
            this.silence.on_pending();
            return Poll::Pending;
        };
        this.silence.ready();
        let ended = match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    let bytes = data.remaining();
                    observed.received(bytes);
                    *this.missing = this.missing.map(|missing| missing.saturating_sub(bytes as u64));
                }
                if let Some(trailers) = frame.trailers_ref() {
                    observed.trailers(trailers);
                }
                // A reader may not poll again after `is_end_stream`.
                (frame.is_trailers() || body.is_end_stream()).then_some(Ended::Whole)
            }
            Some(Err(_)) => Some(Ended::Failed(type_name::<B::Error>())),
            None => Some(Ended::Whole),
        };
        if let Some(ended) = ended {
            observed.end(ended);
            *this.observed = None;
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

impl<B> fmt::Debug for SpanBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpanBody").field("observed", &self.observed).finish_non_exhaustive()
    }
}
