//! The response body of the retry layers.

use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

pin_project! {
    /// The body of the service's response, or empty after a timeout.
    #[derive(Debug)]
    pub struct RetryBody<B> {
        #[pin]
        body: Option<B>,
    }
}

impl<B> RetryBody<B> {
    pub(super) fn new(body: B) -> Self {
        Self { body: Some(body) }
    }

    pub(super) fn empty() -> Self {
        Self::default()
    }

    /// Returns the body of the service's response; `None` after a timeout.
    pub fn into_inner(self) -> Option<B> {
        self.body
    }
}

/// An empty body. Layers further out that make responses of their own need it, such as tower-http's timeout.
impl<B> Default for RetryBody<B> {
    fn default() -> Self {
        Self { body: None }
    }
}

impl<B: Body> Body for RetryBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    #[inline]
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        match self.project().body.as_pin_mut() {
            Some(body) => body.poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
