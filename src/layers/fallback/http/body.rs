//! The body of a response: passed on, passed on and copied, or kept from before.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::super::kinds::NotKept;
use super::super::policy::Policy;
use super::super::store::{Fingerprint, Store};
use super::stale::StoredResponse;

pin_project! {
    /// The response body of an [`HttpWithFallback`](super::HttpWithFallback): that of the service, or bytes of the fallback.
    pub struct FallbackBody<B> {
        #[pin]
        state: State<B>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<B> {
        Passed { #[pin] body: B, recorder: Option<Box<Recorder>> },
        Stored { bytes: Option<Bytes> },
    }
}

impl<B> FallbackBody<B> {
    #[inline]
    pub(super) fn passed(body: B) -> Self {
        Self { state: State::Passed { body, recorder: None } }
    }

    pub(super) fn recorded(body: B, recorder: Recorder) -> Self {
        Self { state: State::Passed { body, recorder: Some(Box::new(recorder)) } }
    }

    pub(super) fn stored(bytes: Bytes) -> Self {
        Self { state: State::Stored { bytes: Some(bytes).filter(|bytes| !bytes.is_empty()) } }
    }
}

impl<B: Body<Data = Bytes>> Body for FallbackBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    #[inline]
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let (mut body, recorder) = match self.project().state.project() {
            StateProjection::Passed { body, recorder } => (body, recorder),
            StateProjection::Stored { bytes } => {
                return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes))));
            }
        };
        let frame = ready!(body.as_mut().poll_frame(cx));
        if recorder.is_some() {
            record(recorder, frame.as_ref(), || body.is_end_stream());
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.state {
            State::Passed { body, .. } => body.is_end_stream(),
            State::Stored { bytes } => bytes.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.state {
            State::Passed { body, .. } => body.size_hint(),
            State::Stored { bytes } => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
        }
    }
}

fn record<E>(
    recorder: &mut Option<Box<Recorder>>,
    frame: Option<&Result<Frame<Bytes>, E>>,
    is_last: impl FnOnce() -> bool,
) {
    let is_added = match frame {
        None => true,
        Some(Ok(frame)) => match (frame.data_ref(), recorder.as_mut()) {
            (Some(data), Some(recorder)) => recorder.add(data),
            // Trailers are not kept.
            _ => false,
        },
        Some(Err(_)) => false,
    };
    if !is_added {
        *recorder = None;
    } else if frame.is_none() || is_last() {
        // A body of another length than announced is not whole.
        recorder
            .take()
            .filter(|recorder| recorder.is_complete())
            .into_iter()
            .for_each(|recorder| recorder.end());
    }
}

impl<B> fmt::Debug for FallbackBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FallbackBody").finish_non_exhaustive()
    }
}

/// Copies a body, and keeps the response at its end.
pub(super) struct Recorder {
    policy: Arc<Policy>,
    store: Arc<Store<StoredResponse>>,
    key: Fingerprint,
    /// The response without its body; `None` once it is kept.
    head: Option<StoredResponse>,
    body: BytesMut,
    /// Why it is not kept if it is dropped.
    why: NotKept,
}

impl Recorder {
    pub(super) fn new(
        policy: Arc<Policy>,
        store: Arc<Store<StoredResponse>>,
        key: Fingerprint,
        head: StoredResponse,
    ) -> Self {
        let (head, body) = (Some(head), BytesMut::new());
        Self { policy, store, key, head, body, why: NotKept::Incomplete }
    }

    /// Whether the body with these bytes is within the bound.
    fn add(&mut self, data: &Bytes) -> bool {
        if self.body.len().saturating_add(data.len()) > self.policy.settings.max_body {
            self.why = NotKept::TooLarge;
            return false;
        }
        self.body.extend_from_slice(data);
        true
    }

    /// Whether the body has the length that the head announced.
    fn is_complete(&self) -> bool {
        let announced = self.head.as_ref().and_then(StoredResponse::announced_length);
        announced.is_none_or(|length| length == self.body.len())
    }

    /// Keeps the response, whose body has ended.
    pub(super) fn end(mut self) {
        if let Some(head) = self.head.take() {
            // A copy of its exact size.
            let stored = head.with_body(Bytes::copy_from_slice(&self.body));
            let size = stored.size();
            self.store.put(&self.policy, self.key, stored, size);
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if self.head.is_some() {
            self.policy.counters.not_kept(self.why);
        }
    }
}
