use super::*;
use crate::layers::replay::buffer::{Polled, ReplayError};
use http::HeaderMap;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio_test::{assert_pending, assert_ready, task};

/// Returns the given frames, then is pending.
#[derive(Debug)]
struct Script {
    frames: VecDeque<Option<Result<Frame<Bytes>, &'static str>>>,
    polls: Arc<AtomicUsize>,
    hint: Option<u64>,
}

impl Body for Script {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        self.polls.fetch_add(1, Ordering::Relaxed);
        match self.frames.pop_front() {
            Some(Some(frame)) => Poll::Ready(Some(frame)),
            Some(None) => Poll::Ready(None),
            None => Poll::Pending,
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.hint.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

fn script<const N: usize>(frames: [Option<Result<Frame<Bytes>, &'static str>>; N]) -> Script {
    Script { frames: frames.into(), polls: Arc::default(), hint: None }
}

fn chunk(text: &'static str) -> Option<Result<Frame<Bytes>, &'static str>> {
    Some(Ok(Frame::data(Bytes::from_static(text.as_bytes()))))
}

fn trailers() -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("checksum", http::HeaderValue::from_static("7"));
    trailers
}

async fn text(body: ReplayBody) -> Result<String, String> {
    let all = body.collect().await.map_err(|error| error.to_string())?;
    Ok(String::from_utf8_lossy(&all.to_bytes()).into_owned())
}

async fn next(body: &mut ReplayBody) -> String {
    let frame = body.frame().await.unwrap().unwrap();
    String::from_utf8_lossy(frame.data_ref().unwrap()).into_owned()
}

#[tokio::test]
async fn a_stream_is_replayed_without_copies_and_with_its_trailers() {
    let source = Bytes::from("abcdef");
    let frames = [
        Some(Ok(Frame::data(source.slice(..3)))),
        Some(Ok(Frame::data(source.slice(3..)))),
        Some(Ok(Frame::trailers(trailers()))),
        None,
    ];
    let mut first = ReplayBody::new(script(frames), 6);
    let copy = first.try_clone().unwrap();
    let chunk = first.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(chunk.as_ptr(), source.as_ptr());
    let rest = first.collect().await.unwrap();
    assert_eq!(rest.trailers(), Some(&trailers()));
    let again = copy.try_clone().unwrap();
    let mut copy = copy;
    let chunk = copy.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(chunk.as_ptr(), source.as_ptr());
    let all = again.collect().await.unwrap();
    assert_eq!(all.trailers(), Some(&trailers()));
    assert_eq!(all.to_bytes(), "abcdef");
}

#[tokio::test]
async fn an_attempt_dropped_midway_leaves_the_rest_to_the_next() {
    let body = ReplayBody::new(script([chunk("a"), chunk("b"), chunk("c"), None]), 10);
    let mut first = body.try_clone().unwrap();
    assert_eq!(next(&mut first).await, "a");
    assert_eq!(next(&mut first).await, "b");
    drop(first);
    assert!(matches!(body.captured(), Captured::Partial(chunks) if chunks.len() == 2));
    assert_eq!(text(body.try_clone().unwrap()).await.unwrap(), "abc");
    assert_eq!(text(body).await.unwrap(), "abc");
}

#[tokio::test]
async fn the_last_reader_has_the_stream() {
    let body = ReplayBody::new(script([chunk("a"), chunk("b"), None]), 10);
    let mut old = body.try_clone().unwrap();
    assert_eq!(next(&mut old).await, "a");
    let mut new = body.try_clone().unwrap();
    assert_eq!(next(&mut new).await, "a");
    assert_eq!(next(&mut new).await, "b");
    assert_eq!(next(&mut old).await, "b");
    let error = old.frame().await.unwrap().unwrap_err();
    assert_eq!(error.downcast_ref::<ReplayError>(), Some(&ReplayError::Superseded));
    assert!(new.frame().await.is_none());
    // The end is kept too.
    assert!(old.frame().await.is_none());
}

#[tokio::test]
async fn a_body_larger_than_its_cap_passes_once() {
    let body = ReplayBody::new(script([chunk("abc"), chunk("d"), chunk("e"), None]), 3);
    let copy = body.try_clone().unwrap();
    let mut first = body.try_clone().unwrap();
    assert_eq!(next(&mut first).await, "abc");
    assert!(body.try_clone().is_some());
    assert_eq!(next(&mut first).await, "d");
    assert!(body.try_clone().is_none());
    assert!(matches!(body.captured(), Captured::TooLarge { read: 4 }));
    assert!(!first.is_end_stream());
    assert_eq!(text(first).await.unwrap(), "e");
    assert!(text(copy).await.unwrap_err().contains("larger than the cap"));
}

#[tokio::test]
async fn a_body_that_says_it_is_too_large_is_not_kept_at_all() {
    let mut source = script([chunk("a"), chunk("b"), None]);
    source.hint = Some(100);
    let mut body = ReplayBody::new(source, 50);
    assert!(body.try_clone().is_some(), "nothing was read yet");
    assert_eq!(body.size_hint().exact(), Some(100));
    assert_eq!(next(&mut body).await, "a");
    assert!(body.try_clone().is_none());
}

#[tokio::test]
async fn a_body_larger_than_its_cap_ends_too() {
    let mut body = ReplayBody::new(http_body_util::Full::new(Bytes::from("abcd")), 3);
    assert_eq!(next(&mut body).await, "abcd");
    assert_eq!((body.is_end_stream(), body.size_hint().exact()), (true, Some(0)));
    assert!(body.frame().await.is_none());
    let frames = [chunk("abcd"), Some(Ok(Frame::trailers(trailers()))), None];
    let all = ReplayBody::new(script(frames), 3).collect().await.unwrap();
    assert_eq!(all.trailers(), Some(&trailers()));
}

#[tokio::test]
async fn a_stream_that_fails_cannot_be_replayed() {
    let body = ReplayBody::new(script([chunk("a"), Some(Err("torn"))]), 10);
    let copy = body.try_clone().unwrap();
    assert_eq!(text(body.try_clone().unwrap()).await.unwrap_err(), "torn");
    assert!(body.try_clone().is_none());
    assert!(matches!(body.captured(), Captured::Partial(chunks) if chunks.len() == 1));
    assert!(text(copy).await.unwrap_err().contains("failed in an earlier attempt"));
}

#[tokio::test]
async fn empty_bodies_cost_nothing_and_empty_chunks_fill_nothing() {
    let body = ReplayBody::new(http_body_util::Empty::<Bytes>::new(), 10);
    assert!(body.buffer.is_none() && body.is_end_stream());
    assert_eq!(body.size_hint().exact(), Some(0));
    assert!(matches!(body.captured(), Captured::Complete { chunks, .. } if chunks.is_empty()));
    let body = ReplayBody::new(script([chunk(""), chunk("a"), chunk(""), None]), 1);
    assert_eq!(text(body.try_clone().unwrap()).await.unwrap(), "a");
    assert!(matches!(body.captured(), Captured::Complete { chunks, .. } if chunks.len() == 1));
    assert_eq!(text(body).await.unwrap(), "a");
}

#[tokio::test]
async fn wrapping_twice_shares_the_buffer() {
    let outer = ReplayBody::new(script([chunk("abc"), None]), 1);
    let inner = ReplayBody::new(outer.try_clone().unwrap(), 3);
    assert!(Arc::ptr_eq(outer.buffer.as_ref().unwrap(), inner.buffer.as_ref().unwrap()));
    assert_eq!(text(inner).await.unwrap(), "abc");
    assert_eq!(text(outer).await.unwrap(), "abc");
}

#[tokio::test]
async fn a_partly_read_body_is_its_rest() {
    let mut outer = ReplayBody::new(script([chunk("a"), chunk("b"), None]), 10);
    assert_eq!(next(&mut outer).await, "a");
    let rest = ReplayBody::new(outer, 10);
    assert_eq!(text(rest.try_clone().unwrap()).await.unwrap(), "b");
    assert_eq!(text(rest).await.unwrap(), "b");
}

#[tokio::test]
async fn the_end_and_the_size_are_known() {
    let body = ReplayBody::new(http_body_util::Full::new(Bytes::from("abc")), 10);
    assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(3), false));
    let mut first = body.try_clone().unwrap();
    assert_eq!(next(&mut first).await, "abc");
    // `Full` reports its end, so no further poll is needed.
    assert_eq!((first.size_hint().exact(), first.is_end_stream()), (Some(0), true));
    assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(3), false));
    let known = ReplayBody::from(Bytes::from("abc"));
    assert_eq!(known.size_hint().exact(), Some(3));
    assert_eq!(text(known.try_clone().unwrap()).await.unwrap(), "abc");
    assert_eq!(text(known).await.unwrap(), "abc");
}

#[tokio::test]
async fn the_unread_rest_can_be_collected() {
    let body = ReplayBody::new(script([chunk("a"), chunk("b"), None]), 10);
    assert_eq!(next(&mut body.try_clone().unwrap()).await, "a");
    assert!(matches!(body.collect_rest(10).await, Captured::Complete { chunks, .. } if chunks.len() == 2));
    let body = ReplayBody::new(script([chunk("abc"), None]), 1);
    assert!(matches!(body.collect_rest(2).await, Captured::TooLarge { read: 3 }));
    let body = ReplayBody::new(script([chunk("abc"), None]), 10);
    assert!(matches!(body.collect_rest(2).await, Captured::TooLarge { read: 3 }));
}

#[tokio::test]
async fn collecting_can_be_given_up() {
    let body = ReplayBody::new(script([chunk("a")]), 10);
    let mut collecting = task::spawn(body.collect_rest(10));
    assert_pending!(collecting.poll());
    drop(collecting);
    assert!(matches!(body.captured(), Captured::Partial(chunks) if chunks.len() == 1));
    assert!(body.try_clone().is_some());
}

#[test]
fn a_stream_that_panics_cannot_be_replayed() {
    #[derive(Debug)]
    struct Panics;
    impl Body for Panics {
        type Data = Bytes;
        type Error = BoxError;
        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Polled {
            panic!("in the body")
        }
    }
    let body = ReplayBody::new(Panics, 10);
    let mut first = body.try_clone().unwrap();
    let panicked = crate::base::panics::catch(|| task::spawn(first.frame()).poll().is_ready());
    assert!(panicked.is_err());
    assert!(body.try_clone().is_none());
}

/// Blocks its reader's thread until the test lets it continue.
#[derive(Debug)]
struct Gate(std::sync::mpsc::Sender<()>, std::sync::mpsc::Receiver<()>);

impl Body for Gate {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Polled {
        let _ = self.0.send(());
        let _ = self.1.recv();
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"x")))))
    }
}

#[test]
fn a_reader_that_finds_the_stream_taken_is_woken() {
    let (entered, has_entered) = std::sync::mpsc::channel();
    let (go, may_go) = std::sync::mpsc::channel();
    let body = ReplayBody::new(Gate(entered, may_go), 10);
    let mut old = body.try_clone().unwrap();
    let mut new = task::spawn(body);
    std::thread::scope(|scope| {
        let thread = scope.spawn(move || task::spawn(&mut old).poll_frame_once());
        has_entered.recv().unwrap();
        assert_pending!(new.enter(|cx, body| body.poll_frame(cx)));
        assert!(!new.is_woken());
        go.send(()).unwrap();
        assert!(thread.join().unwrap());
    });
    assert!(new.is_woken());
    let frame = assert_ready!(new.enter(|cx, body| body.poll_frame(cx)));
    assert_eq!(frame.unwrap().unwrap().into_data().unwrap(), "x");
}

trait PollOnce {
    fn poll_frame_once(self) -> bool;
}

impl PollOnce for task::Spawn<&mut ReplayBody> {
    fn poll_frame_once(mut self) -> bool {
        self.enter(|cx, body| Pin::new(&mut **body.get_mut()).poll_frame(cx)).is_ready()
    }
}
