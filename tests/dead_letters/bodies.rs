//! Bodies of every kind: what a letter holds of each, and that none harms the caller.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use campanile::DeadLetterQueue;
use campanile::dead_letter::{BodyState, DropReason, HttpRequest, Letter, LetterFilter, Payload, Redrive};
use campanile::retry::ReplayBody;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use tower::{BoxError, Layer, ServiceExt, service_fn};

fn kept(letter: &Letter) -> &HttpRequest {
    match &letter.payload {
        Payload::Http(request) => request,
        other => panic!("{other:?}"),
    }
}

fn unavailable() -> Response<Empty<Bytes>> {
    let mut response = Response::new(Empty::new());
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}

/// Sends `body` to a service that fails without reading it, and returns the letter.
async fn parked<B>(cap: usize, method: Method, body: B) -> (DeadLetterQueue, Letter)
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let queue = DeadLetterQueue::builder("orders").body_cap(cap).build().unwrap();
    let service = queue
        .http_layer()
        .layer(service_fn(|_: Request<ReplayBody>| async { Ok::<_, Infallible>(unavailable()) }));
    let request = Request::builder().method(method).uri("/a").body(body).unwrap();
    assert_eq!(service.oneshot(request).await.unwrap().status(), 503);
    let letter = queue.list(LetterFilter::all()).await.unwrap().remove(0);
    (queue, letter)
}

/// Yields chunks forever.
struct Endless;

impl Body for Endless {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[7; 1_000])))))
    }
}

struct Panics;

impl Body for Panics {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        panic!("on purpose")
    }
}

#[tokio::test(start_paused = true)]
async fn p21_no_body_harms_the_caller() {
    let (_, letter) = parked(10_000, Method::POST, Endless).await;
    assert_eq!((kept(&letter).body_state, kept(&letter).body.len()), (BodyState::TooLarge(11_000), 0));
    let (_, letter) = parked(10, Method::POST, Panics).await;
    assert_eq!((kept(&letter).body_state, kept(&letter).body.len()), (BodyState::Partial, 0));
    let began = tokio::time::Instant::now();
    let hangs = StreamBody::new(tokio_stream::pending::<Result<Frame<Bytes>, BoxError>>());
    let (_, letter) = parked(10, Method::POST, hangs).await;
    assert_eq!(kept(&letter).body_state, BodyState::Partial);
    assert!(began.elapsed() <= Duration::from_secs(1), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn p21_a_letter_counts_while_it_waits_for_the_rest_of_its_body() {
    let queue = DeadLetterQueue::builder("orders").max_parking_bytes(65_536).build().unwrap();
    let service = queue.http_layer().layer(service_fn(|request: Request<ReplayBody>| async {
        let mut body = request.into_body();
        body.frame().await.unwrap().unwrap();
        Ok::<_, Infallible>(unavailable())
    }));
    let request = || {
        let chunk = Ok::<_, BoxError>(Frame::data(Bytes::from(vec![b'x'; 40_000])));
        let body = tokio_stream::StreamExt::chain(tokio_stream::once(chunk), tokio_stream::pending());
        Request::post("/a").body(StreamBody::new(body)).unwrap()
    };
    let first = tokio::spawn(service.clone().oneshot(request()));
    tokio::time::sleep(Duration::from_millis(1)).await;
    let snapshot = queue.snapshot();
    assert!(snapshot.parking == 1 && snapshot.parking_bytes >= 40_000, "{snapshot:?}");
    service.oneshot(request()).await.unwrap();
    assert_eq!(queue.snapshot().dropped(DropReason::Busy), 1);
    first.await.unwrap().unwrap();
    let snapshot = queue.snapshot();
    assert_eq!((snapshot.parked, snapshot.parking, snapshot.parking_bytes), (1, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn p23_bodies_of_methods_that_rarely_have_one_are_restored() {
    for method in [Method::GET, Method::HEAD, Method::DELETE, Method::POST] {
        for body in ["", "seven"] {
            let (queue, letter) = parked(10, method.clone(), Full::new(Bytes::from(body))).await;
            assert_eq!(kept(&letter).body_state, BodyState::Complete);
            let expected = method.clone();
            let service = service_fn(move |request: Request<ReplayBody>| {
                let expected = expected.clone();
                async move {
                    assert_eq!(request.method(), expected);
                    assert_eq!(request.into_body().collect().await.unwrap().to_bytes(), body);
                    Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
                }
            });
            assert_eq!(queue.redrive_http(service, Redrive::all()).await.unwrap().redriven, 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn trailers_are_stored() {
    let mut trailers = HeaderMap::new();
    trailers.insert("checksum", "7".parse().unwrap());
    let frames = [Ok::<_, BoxError>(Frame::data(Bytes::from("a"))), Ok(Frame::trailers(trailers))];
    let (_, letter) = parked(10, Method::POST, StreamBody::new(tokio_stream::iter(frames))).await;
    let request = kept(&letter);
    assert_eq!((request.body_state, request.body.as_slice()), (BodyState::Complete, &b"a"[..]));
    let trailers: Vec<_> =
        request.trailers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    assert_eq!(trailers, [("checksum", &b"7"[..])]);
}

#[tokio::test(start_paused = true)]
async fn a_compressed_body_is_restored_unchanged() {
    let queue = DeadLetterQueue::builder("orders").opaque_bodies(true).build().unwrap();
    let service = queue
        .http_layer()
        .layer(service_fn(|_: Request<ReplayBody>| async { Ok::<_, Infallible>(unavailable()) }));
    let bytes = Bytes::from_static(&[0x1f, 0x8b, 8, 0, 0xff]);
    let request =
        Request::post("/a").header("content-encoding", "gzip").body(Full::new(bytes.clone())).unwrap();
    service.oneshot(request).await.unwrap();
    let repaired = service_fn(move |request: Request<ReplayBody>| {
        let bytes = bytes.clone();
        async move {
            assert_eq!(request.headers()["content-encoding"], "gzip");
            assert_eq!(request.into_body().collect().await.unwrap().to_bytes(), bytes);
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    });
    assert_eq!(queue.redrive_http(repaired, Redrive::all()).await.unwrap().redriven, 1);
}
