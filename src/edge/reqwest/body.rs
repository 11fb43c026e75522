//! Request bodies, from reqwest to the layers and back.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use ::reqwest::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tower::BoxError;

use crate::base::sync::atomic::{AtomicBool, Ordering};
use crate::layers::replay::ReplayBody;

/// The body as the layers take it. Bytes in memory stay whole, and are not copied.
pub(super) fn replayable(mut body: Body) -> ReplayBody {
    if body.as_bytes().is_none() {
        // The layers raise the cap to what they keep.
        return ReplayBody::new(body, 0);
    }
    // Such a body gives all its bytes at once.
    let polled = http_body::Body::poll_frame(Pin::new(&mut body), &mut Context::from_waker(Waker::noop()));
    match polled {
        Poll::Ready(Some(Ok(frame))) => {
            frame.into_data().map(ReplayBody::from).unwrap_or_else(|_| ReplayBody::default())
        }
        _ => ReplayBody::default(),
    }
}

/// The body as reqwest takes it. With a `watch`, it notes when reqwest needs the body no more.
///
/// reqwest keeps a body in memory for redirects of status 307 and 308. So such a body is passed on as one.
pub(super) fn outgoing(body: ReplayBody, watch: Option<&Watch>) -> Body {
    match (body.whole(), watch) {
        (Some(bytes), None) => bytes.into(),
        (Some(bytes), Some(watch)) => {
            Bytes::from_owner(Watched { bytes, _release: Release(watch.clone()) }).into()
        }
        (None, watch) => Body::wrap(Stream { body, watch: watch.cloned().map(Release) }),
    }
}

/// Notes when a request body has been used: that of a stream by the first read, that in memory by its last drop.
///
/// reqwest holds a body in memory until the end of the call, because a redirect may need it. It drops the body earlier for a
/// redirect that turns a `POST` into a `GET`. Then a server has processed the request.
#[derive(Clone, Debug, Default)]
pub(super) struct Watch(Arc<AtomicBool>);

impl Watch {
    pub(super) fn is_used(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    fn used(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Notes on drop that the body is needed no more.
struct Release(Watch);

impl Drop for Release {
    fn drop(&mut self) {
        self.0.used();
    }
}

/// Bytes that are watched.
struct Watched {
    bytes: Bytes,
    /// Its drop counts.
    _release: Release,
}

impl AsRef<[u8]> for Watched {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// A body that is not at hand as a whole.
struct Stream {
    body: ReplayBody,
    watch: Option<Release>,
}

impl http_body::Body for Stream {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(Release(watch)) = &self.watch {
            watch.used();
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
