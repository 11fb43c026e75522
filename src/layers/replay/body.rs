//! A request body that can be sent again.

use std::any::Any;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use tower::BoxError;

use super::buffer::{Buffer, Captured, Position, Step};
use super::upload::Upload;

/// A request body that can be sent again, up to a maximum size.
///
/// A stream can be read once; a retry needs it twice. This body keeps the chunks that were read, without copying them and
/// up to a cap. A [clone](ReplayBody::try_clone) replays them and then continues the stream. So a body is replayed even if
/// the first attempt ended in the middle of it.
///
/// The body that started to read last has the stream. An earlier one may still read the kept chunks, and then gets an
/// error.
///
/// # Example
/// ```
/// use bytes::Bytes;
/// use campanile::retry::ReplayBody;
/// use http_body_util::{BodyExt, Full};
///
/// # tokio_test::block_on(async {
/// let body = ReplayBody::new(Full::new(Bytes::from("order 7")), 1_024);
/// let again = body.try_clone().expect("nothing was read yet");
/// assert_eq!(body.collect().await.unwrap().to_bytes(), "order 7");
/// assert_eq!(again.collect().await.unwrap().to_bytes(), "order 7");
/// # });
/// ```
#[derive(Default)]
pub struct ReplayBody {
    /// `None` for an empty body.
    buffer: Option<Arc<Buffer>>,
    position: Position,
}

// ===== impl ReplayBody =====

impl ReplayBody {
    /// Makes `body` replayable until more than `cap` bytes of it were read.
    ///
    /// A body that is already replayable is used as it is, with the larger of both caps. An empty body costs nothing.
    pub fn new<B>(body: B, cap: usize) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        if body.is_end_stream() {
            return Self::default();
        }
        let mut body = Some(body);
        let any: &mut dyn Any = &mut body;
        if let Some(replay) = any.downcast_mut::<Option<Self>>()
            // A partly read body replays only its rest, so it is wrapped like any other stream.
            && replay.as_ref().is_some_and(|replay| replay.position == Position::default())
        {
            let replay = replay.take().unwrap_or_default();
            replay.raise_cap(cap);
            return replay;
        }
        match body {
            Some(body) => {
                let rest = body.size_hint();
                Self::with(Buffer::open(body.map_err(Into::into).boxed_unsync(), rest, cap))
            }
            None => Self::default(),
        }
    }

    fn with(buffer: Buffer) -> Self {
        Self { buffer: Some(Arc::new(buffer)), position: Position::default() }
    }

    /// Returns the body from its beginning, or `None` if its cap was exceeded or its stream failed.
    #[must_use]
    pub fn try_clone(&self) -> Option<Self> {
        self.can_clone().then(|| Self { buffer: self.buffer.clone(), position: Position::default() })
    }

    /// Whether [`ReplayBody::try_clone`] would return a body now.
    pub(crate) fn can_clone(&self) -> bool {
        self.buffer.as_ref().is_none_or(|buffer| buffer.is_whole())
    }

    /// All of the body in one piece, if it is at hand and none of it was given yet.
    #[cfg(feature = "reqwest")]
    pub(crate) fn whole(&self) -> Option<Bytes> {
        match &self.buffer {
            None => Some(Bytes::new()),
            Some(buffer) if self.position == Position::default() => buffer.in_one_piece(),
            Some(_) => None,
        }
    }

    /// A view of the upload: whether a reader waits for the caller.
    pub(crate) fn upload(&self) -> Upload {
        Upload::of(self.buffer.clone())
    }

    /// Takes the stream from its current reader. An attempt that was answered early may still be reading it.
    #[cfg(feature = "retry")]
    pub(crate) fn take_over(&self) {
        if let Some(buffer) = &self.buffer {
            buffer.take_over();
        }
    }

    fn raise_cap(&self, cap: usize) {
        if let Some(buffer) = &self.buffer {
            buffer.raise_cap(cap);
        }
    }

    /// Returns the part that was read so far.
    pub(crate) fn captured(&self) -> Captured {
        match &self.buffer {
            Some(buffer) => buffer.captured(),
            None => Captured::Complete { chunks: Vec::new(), trailers: None },
        }
    }

    /// Reads the rest that no attempt has read, up to `limit` bytes of the whole body, and returns what was read.
    ///
    /// Waits for the stream without a time limit. If this future is dropped midway, the chunks that it read are kept.
    pub(crate) async fn collect_rest(&self, limit: usize) -> Captured {
        self.raise_cap(limit);
        if let Some(mut reader) = self.try_clone() {
            // `captured` shows an error of the stream.
            while let Some(Ok(_)) = reader.frame().await {
                if reader.position.given > limit as u64 {
                    return Captured::TooLarge { read: reader.position.given };
                }
            }
        }
        self.captured()
    }
}

impl Body for ReplayBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let Some(buffer) = &this.buffer else {
            return Poll::Ready(None);
        };
        match buffer.step(&mut this.position, cx) {
            Step::Give(frame) => Poll::Ready(Some(Ok(frame))),
            Step::End => Poll::Ready(None),
            Step::Fail(error) => Poll::Ready(Some(Err(error.into()))),
            Step::Wait => Poll::Pending,
            Step::Read(stream) => buffer.read(stream, &mut this.position, cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.buffer.as_ref().is_none_or(|buffer| buffer.is_end(&self.position))
    }

    fn size_hint(&self) -> SizeHint {
        self.buffer
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), |buffer| buffer.size_hint(&self.position))
    }
}

impl From<Bytes> for ReplayBody {
    fn from(bytes: Bytes) -> Self {
        if bytes.is_empty() { Self::default() } else { Self::with(Buffer::complete(bytes)) }
    }
}

impl fmt::Debug for ReplayBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayBody")
            .field("buffer", &self.buffer)
            .field("given", &self.position.given)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
