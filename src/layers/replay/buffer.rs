//! The part of a body that was read, and the stream of the rest.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use tower::BoxError;

use crate::base::sync::Mutex;

pub(super) type Stream = UnsyncBoxBody<Bytes, BoxError>;
pub(super) type Polled = Poll<Option<Result<Frame<Bytes>, BoxError>>>;

/// The part of a body that was read so far.
#[derive(Debug)]
pub(crate) enum Captured {
    /// All of the body.
    Complete {
        /// The data, in its original chunks.
        chunks: Vec<Bytes>,
        /// The trailers, if there are any.
        #[allow(dead_code)] // A letter does not keep them yet.
        trailers: Option<HeaderMap>,
    },
    /// The beginning. The rest was not read, or the stream failed there.
    Partial(Vec<Bytes>),
    /// The body is larger than the cap, so no chunks are kept.
    TooLarge {
        /// The number of bytes that were read.
        read: u64,
    },
}

/// The shared state of the readers of one body.
pub(super) struct Buffer(Mutex<State>);

/// Consistent whenever the lock is free. The stream is user code, so it is taken out of the lock while it is polled.
struct State {
    chunks: Vec<Bytes>,
    trailers: Option<HeaderMap>,
    /// Bytes read from the stream.
    read: u64,
    cap: usize,
    /// More than the cap was read. No chunks are kept, and only one reader can continue.
    too_large: bool,
    progress: Progress,
    /// `None` while a reader polls it, and after its end.
    stream: Option<Stream>,
    /// The last poll was pending.
    pending: bool,
    /// The last size hint of the stream.
    rest: SizeHint,
    /// The turn of the last reader that started on the stream.
    turn: u64,
    /// The waker of that reader, if the stream was taken.
    waiting: Option<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Open,
    Complete,
    Failed,
}

/// The position of a reader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    /// The index of its next kept chunk.
    next: usize,
    /// Bytes given to it so far.
    pub(super) given: u64,
    trailers_given: bool,
    /// Its turn on the stream, counted from 1; 0 before.
    turn: u64,
}

/// The next step of a reader.
pub(super) enum Step {
    Give(Frame<Bytes>),
    End,
    Fail(ReplayError),
    Wait,
    Read(Stream),
}

/// Why a reader cannot continue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReplayError {
    TooLarge { cap: usize },
    Failed,
    Superseded,
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { cap } => {
                write!(
                    f,
                    "the request body cannot be sent again: it is larger than the cap of {cap} bytes (`body_cap`)"
                )
            }
            Self::Failed => {
                f.write_str("the request body cannot be sent again: its stream failed in an earlier attempt")
            }
            Self::Superseded => {
                f.write_str("this attempt cannot read the rest of the request body: a later attempt reads it")
            }
        }
    }
}

impl std::error::Error for ReplayError {}

// ===== impl Buffer =====

impl Buffer {
    /// Keeps the chunks that are read from `stream`, up to `cap` bytes.
    pub(super) fn open(stream: Stream, rest: SizeHint, cap: usize) -> Self {
        Self(Mutex::new(State {
            chunks: Vec::new(),
            trailers: None,
            read: 0,
            cap,
            too_large: false,
            progress: Progress::Open,
            stream: Some(stream),
            pending: false,
            rest,
            turn: 0,
            waiting: None,
        }))
    }

    /// Holds a complete body.
    pub(super) fn complete(bytes: Bytes) -> Self {
        Self(Mutex::new(State {
            read: bytes.len() as u64,
            chunks: vec![bytes],
            trailers: None,
            cap: 0,
            too_large: false,
            progress: Progress::Complete,
            stream: None,
            pending: false,
            rest: SizeHint::with_exact(0),
            turn: 0,
            waiting: None,
        }))
    }

    /// Whether a new reader can start from the beginning.
    pub(super) fn is_whole(&self) -> bool {
        let state = self.0.lock();
        !state.too_large && state.progress != Progress::Failed
    }

    /// The complete body, if it has one chunk at most and no trailers.
    #[cfg(feature = "reqwest")]
    pub(super) fn in_one_piece(&self) -> Option<Bytes> {
        let state = self.0.lock();
        let complete = state.progress == Progress::Complete && !state.too_large && state.trailers.is_none();
        match state.chunks.as_slice() {
            [] if complete => Some(Bytes::new()),
            [chunk] if complete => Some(chunk.clone()),
            _ => None,
        }
    }

    /// Whether the last poll of the stream was pending.
    pub(super) fn is_awaited(&self) -> bool {
        let state = self.0.lock();
        state.pending && state.progress == Progress::Open
    }

    /// Gives the stream to the next reader that starts on it.
    #[cfg(feature = "retry")]
    pub(super) fn take_over(&self) {
        let mut state = self.0.lock();
        state.turn += 1;
        let waiting = state.waiting.take();
        drop(state);
        // The waiting reader lost its turn too. Its next poll returns the error.
        if let Some(waiting) = waiting {
            waiting.wake();
        }
    }

    pub(super) fn raise_cap(&self, cap: usize) {
        let mut state = self.0.lock();
        state.cap = state.cap.max(cap);
    }

    pub(super) fn captured(&self) -> Captured {
        let state = self.0.lock();
        match state.progress {
            _ if state.too_large => Captured::TooLarge { read: state.read },
            Progress::Complete => {
                Captured::Complete { chunks: state.chunks.clone(), trailers: state.trailers.clone() }
            }
            Progress::Open | Progress::Failed => Captured::Partial(state.chunks.clone()),
        }
    }

    pub(super) fn step(&self, position: &mut Position, cx: &Context<'_>) -> Step {
        let mut state = self.0.lock();
        if let Some(chunk) = state.chunks.get(position.next) {
            position.next += 1;
            position.given += chunk.len() as u64;
            return Step::Give(Frame::data(chunk.clone()));
        }
        if state.too_large && position.given != state.read {
            return Step::Fail(ReplayError::TooLarge { cap: state.cap });
        }
        match state.progress {
            Progress::Failed => return Step::Fail(ReplayError::Failed),
            Progress::Complete => {
                return match &state.trailers {
                    Some(trailers) if !position.trailers_given => {
                        position.trailers_given = true;
                        Step::Give(Frame::trailers(trailers.clone()))
                    }
                    _ => Step::End,
                };
            }
            Progress::Open => {}
        }
        if position.turn == 0 {
            state.turn += 1;
            position.turn = state.turn;
        }
        if position.turn != state.turn {
            return Step::Fail(ReplayError::Superseded);
        }
        if let Some(stream) = state.stream.take() {
            return Step::Read(stream);
        }
        // An earlier reader polls it now on another thread.
        let earlier = state.waiting.replace(cx.waker().clone());
        drop(state);
        if let Some(earlier) = earlier {
            earlier.wake();
        }
        Step::Wait
    }

    /// Continues with the stream from [`Buffer::step`].
    pub(super) fn read(&self, stream: Stream, position: &mut Position, cx: &mut Context<'_>) -> Polled {
        let mut polling = PolledStream { buffer: self, stream: Some(stream), panicked: true };
        let polled = polling.poll(cx);
        let kept = polling.put_back(&polled);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            match frame.data_ref() {
                Some(chunk) => {
                    position.given += chunk.len() as u64;
                    position.next += usize::from(kept);
                }
                None => position.trailers_given = frame.is_trailers(),
            }
        }
        polled
    }

    pub(super) fn is_end(&self, position: &Position) -> bool {
        let state = self.0.lock();
        state.progress == Progress::Complete
            && position.given >= state.read
            && (position.trailers_given || state.trailers.is_none())
    }

    pub(super) fn size_hint(&self, position: &Position) -> SizeHint {
        let state = self.0.lock();
        let kept = state.read.saturating_sub(position.given);
        match state.progress {
            Progress::Complete => SizeHint::with_exact(kept),
            Progress::Failed => SizeHint::default(),
            Progress::Open => {
                let mut hint = SizeHint::new();
                hint.set_lower(state.rest.lower().saturating_add(kept));
                if let Some(upper) = state.rest.upper().and_then(|upper| upper.checked_add(kept)) {
                    hint.set_upper(upper);
                }
                hint
            }
        }
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.lock();
        f.debug_struct("Buffer")
            .field("read", &state.read)
            .field("too_large", &state.too_large)
            .field("progress", &state.progress)
            .finish_non_exhaustive()
    }
}

// ===== impl State =====

impl State {
    /// Adds a chunk, after which at least `rest` bytes follow. Returns whether it is kept.
    fn keep_chunk(&mut self, chunk: &Bytes, rest: u64) -> bool {
        self.read = self.read.saturating_add(chunk.len() as u64);
        if self.too_large || self.read.saturating_add(rest) > self.cap as u64 {
            self.too_large = true;
            self.chunks = Vec::new();
            return false;
        }
        // A stream of empty chunks must not grow the buffer.
        if !chunk.is_empty() {
            self.chunks.push(chunk.clone());
        }
        !chunk.is_empty()
    }
}

// ===== impl PolledStream =====

/// The stream while it is polled outside the lock. If this is dropped before [`PolledStream::put_back`], the stream panicked.
struct PolledStream<'a> {
    buffer: &'a Buffer,
    stream: Option<Stream>,
    panicked: bool,
}

impl PolledStream<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Polled {
        match &mut self.stream {
            Some(stream) => Pin::new(stream).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    /// Returns the stream to the buffer, with the result of the poll. Returns whether the chunk was kept.
    fn put_back(mut self, polled: &Polled) -> bool {
        let (rest, ended) = match &self.stream {
            Some(stream) => (stream.size_hint(), stream.is_end_stream()),
            None => (SizeHint::with_exact(0), true),
        };
        self.panicked = false;
        let mut kept = false;
        let mut state = self.buffer.0.lock();
        match polled {
            Poll::Pending => {}
            Poll::Ready(None) => state.progress = Progress::Complete,
            Poll::Ready(Some(Err(_))) => state.progress = Progress::Failed,
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(chunk) = frame.data_ref() {
                    kept = state.keep_chunk(chunk, rest.lower());
                } else if let Some(trailers) = frame.trailers_ref() {
                    state.trailers = Some(trailers.clone());
                }
                if ended {
                    state.progress = Progress::Complete;
                }
            }
        }
        state.rest = rest;
        state.pending = polled.is_pending();
        if state.progress == Progress::Open {
            state.stream = self.stream.take();
        }
        kept
    }
}

impl Drop for PolledStream<'_> {
    fn drop(&mut self) {
        let mut state = self.buffer.0.lock();
        if self.panicked {
            state.progress = Progress::Failed;
        }
        let waiting = state.waiting.take();
        drop(state);
        // The rest of the stream is dropped after this, outside the lock too.
        if let Some(waiting) = waiting {
            waiting.wake();
        }
    }
}
