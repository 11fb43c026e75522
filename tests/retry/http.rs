//! The layer for HTTP.

use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use campanile::retry::{Attempt, GiveUp, ReplayBody};
use campanile::{Backoff, CircuitBreaker, FailureKind, Outcome, Rejected, Retry, TimedOut};
use http::header::RETRY_AFTER;
use http::{Method, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, StreamBody};
use tokio::time::Instant;
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt, service_fn};

use crate::support::{Act, Answer, Count, Scripted, builder, millis, retry, secs};

type Text = Full<Bytes>;
type Inner = Scripted<Request<ReplayBody>, Response<Text>>;

fn status(code: u16) -> Act<Response<Text>> {
    Act::Answer(Response::builder().status(code).body(Full::new(code.to_string().into())).unwrap())
}

fn asks_to_wait(code: u16, value: &str) -> Act<Response<Text>> {
    Act::Answer(Response::builder().status(code).header(RETRY_AFTER, value).body(Full::default()).unwrap())
}

fn request(method: Method, body: &'static str) -> Request<Text> {
    Request::builder().method(method).uri("http://payments/orders/7").body(Full::new(body.into())).unwrap()
}

/// The status and the body that a GET gets, or the error.
async fn get(retry: &Retry, inner: &Inner) -> Answer<(u16, String)> {
    send(retry, inner, request(Method::GET, "")).await
}

async fn send<B>(retry: &Retry, inner: &Inner, request: Request<B>) -> Answer<(u16, String)>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let response = retry.http_layer().layer(inner.clone()).oneshot(request).await?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await?.to_bytes();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

#[tokio::test(start_paused = true)]
async fn a_failed_request_is_sent_again() {
    let retry = retry();
    let inner = Inner::new([status(503), Act::Fail("broken".into()), status(200)]);
    assert_eq!(get(&retry, &inner).await.unwrap(), (200, "200".to_owned()));
    let counted = retry.snapshot();
    assert_eq!((counted.successes, counted.retries), (1, 2));
    let attempts: Vec<_> =
        inner.requests().iter().map(|request| *request.extensions().get::<Attempt>().unwrap()).collect();
    let numbers: Vec<_> = attempts.iter().map(|attempt| attempt.number).collect();
    assert_eq!(numbers, [1, 2, 3]);
    assert_eq!(attempts[0].elapsed, secs(0));
    assert!((secs(2)..millis(2_010)).contains(&attempts[2].elapsed));
}

#[tokio::test(start_paused = true)]
async fn the_last_response_passes_unchanged() {
    let inner = Inner::new([status(500), status(502), status(503), status(504)]);
    assert_eq!(get(&retry(), &inner).await.unwrap(), (504, "504".to_owned()));
    for code in [200, 404, 501] {
        let inner = Inner::new([status(code)]);
        assert_eq!(get(&retry(), &inner).await.unwrap().0, code);
    }
}

async fn waited(retry: &Retry, act: Act<Response<Text>>) -> Duration {
    let inner = Inner::new([act, status(200)]);
    let began = Instant::now();
    get(retry, &inner).await.unwrap();
    began.elapsed()
}

fn about(seconds: u64) -> std::ops::Range<Duration> {
    secs(seconds)..secs(seconds) + millis(10)
}

#[tokio::test(start_paused = true)]
async fn p10_retry_after_is_honoured_up_to_its_cap() {
    let retry = builder().retry_after_cap(secs(30)).build().unwrap();
    assert!(about(7).contains(&waited(&retry, asks_to_wait(503, "7")).await));
    assert!(about(7).contains(&waited(&retry, asks_to_wait(429, "7")).await));
    assert!(about(30).contains(&waited(&retry, asks_to_wait(503, "31")).await));
    assert!(about(30).contains(&waited(&retry, asks_to_wait(503, "99999999999999999999")).await));
    // The backoff of one second applies if it is longer, or the only delay.
    assert!(about(1).contains(&waited(&retry, asks_to_wait(503, "0")).await));
    assert!(about(1).contains(&waited(&retry, asks_to_wait(503, "soon")).await));
    assert!(about(1).contains(&waited(&retry, asks_to_wait(500, "7")).await));
    let deaf = builder().retry_after_cap(secs(0)).build().unwrap();
    assert!(about(1).contains(&waited(&deaf, asks_to_wait(503, "7")).await));
}

#[tokio::test(start_paused = true)]
async fn p10_retry_after_may_be_a_date() {
    let retry = builder().retry_after_cap(secs(86_400)).build().unwrap();
    let date = httpdate::fmt_http_date(SystemTime::now() + secs(3_600));
    let waited = waited(&retry, asks_to_wait(503, &date)).await;
    // The date is of the real clock, so some seconds may have passed in the test.
    assert!(waited > secs(3_000) && waited <= secs(3_601), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn p10_retry_after_past_the_deadline_ends_the_call_at_once() {
    let retry = builder().deadline(secs(10)).build().unwrap();
    let inner = Inner::new([asks_to_wait(503, "20")]);
    let began = Instant::now();
    assert_eq!(get(&retry, &inner).await.unwrap().0, 503);
    assert_eq!(began.elapsed(), secs(0));
    assert_eq!(retry.snapshot().given_up[&GiveUp::Deadline], 1);
}

#[tokio::test(start_paused = true)]
async fn p10_a_request_that_hangs_is_a_504_at_the_deadline() {
    let retry = builder().deadline(secs(5)).build().unwrap();
    let inner = Inner::new([status(503), Act::Hang]);
    let began = Instant::now();
    let response = retry.http_layer().layer(inner).oneshot(request(Method::GET, "")).await.unwrap();
    assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(response.extensions().get::<TimedOut>().unwrap().limit(), secs(5));
    assert!(response.body().is_end_stream());
    assert!(about(5).contains(&began.elapsed()));
}

#[tokio::test(start_paused = true)]
async fn p10_a_refusal_by_a_breaker_is_not_retried() {
    let breaker = CircuitBreaker::builder("payments").build().unwrap();
    breaker.force_open();
    let retry = retry();
    let all_fail =
        |_: Result<&http::response::Parts, &(dyn Error + 'static)>| Outcome::Failure(FailureKind::Error);
    let inner = Inner::new([]);
    let began = Instant::now();
    let service = ServiceBuilder::new()
        .layer(retry.http_layer().classify(all_fail))
        .layer(breaker.http_layer())
        .service(inner.clone());
    let response = service.oneshot(request(Method::GET, "")).await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.extensions().get::<Rejected>().is_some());
    // A refusal as an error is not retried either.
    let service =
        ServiceBuilder::new().layer(retry.http_layer()).layer(breaker.layer()).service(inner.clone());
    assert!(Rejected::find(service.oneshot(request(Method::GET, "")).await.unwrap_err().as_ref()).is_some());
    assert_eq!((inner.calls(), began.elapsed()), (0, secs(0)));
    assert_eq!(retry.snapshot().given_up[&GiveUp::Rejected], 2);
}

#[tokio::test(start_paused = true)]
async fn p11_only_idempotent_methods_are_retried() {
    let table = [
        (Method::GET, true),
        (Method::HEAD, true),
        (Method::OPTIONS, true),
        (Method::TRACE, true),
        (Method::PUT, true),
        (Method::DELETE, true),
        (Method::POST, false),
        (Method::PATCH, false),
        (Method::CONNECT, false),
        (Method::from_bytes(b"PURGE").unwrap(), false),
    ];
    for (method, retried) in table {
        for failure in [|| status(503), || Act::Fail("broken".into())] {
            let retry = retry();
            let inner = Inner::new([failure(), status(200)]);
            let _ = send(&retry, &inner, request(method.clone(), "")).await;
            assert_eq!(inner.calls(), if retried { 2 } else { 1 }, "{method}");
            assert_eq!(retry.snapshot().given_up[&GiveUp::NotIdempotent], u64::from(!retried));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn p11_a_post_is_retried_with_a_key_or_if_configured() {
    let inner = Inner::new([status(503), status(200)]);
    let mut keyed = request(Method::POST, "order");
    keyed.headers_mut().insert("Idempotency-Key", "7".parse().unwrap());
    assert_eq!(send(&retry(), &inner, keyed).await.unwrap().0, 200);

    let inner = Inner::new([status(503), status(200)]);
    let bold = builder().retry_non_idempotent(true).build().unwrap();
    assert_eq!(send(&bold, &inner, request(Method::POST, "order")).await.unwrap().0, 200);
}

#[tokio::test(start_paused = true)]
async fn p10_the_last_attempt_has_the_request_itself() {
    #[derive(Clone)]
    struct Mark(#[allow(dead_code)] Arc<()>);

    let (mark, held) = (Arc::new(()), Arc::new(Mutex::new(Vec::new())));
    let count = Arc::clone(&mark);
    let seen = Arc::clone(&held);
    let service = service_fn(move |request: Request<ReplayBody>| {
        // The test holds one instance, this service one and its prototype one. The others are requests: this one, and what is
        // kept for another attempt.
        seen.lock().unwrap().push(Arc::strong_count(&count) - 3);
        drop(request);
        async { Ok::<_, BoxError>(Response::builder().status(503).body(Text::default()).unwrap()) }
    });
    let mut request = request(Method::PUT, "order");
    request.extensions_mut().insert(Mark(Arc::clone(&mark)));
    builder().max_attempts(3).build().unwrap().http_layer().layer(service).oneshot(request).await.unwrap();
    assert_eq!(*held.lock().unwrap(), [2, 2, 1]);
}

#[tokio::test(start_paused = true)]
async fn p11_a_post_is_retried_if_it_cannot_have_been_processed() {
    let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
    let inner = Inner::new([Act::Fail(refused().into()), status(200)]);
    assert_eq!(send(&retry(), &inner, request(Method::POST, "order")).await.unwrap().0, 200);
    // Not once it may have been processed.
    let inner = Inner::new([Act::Fail(refused().into()), status(503)]);
    assert_eq!(send(&retry(), &inner, request(Method::POST, "order")).await.unwrap().0, 503);
    assert_eq!(inner.calls(), 2);
    let reset = io::Error::from(io::ErrorKind::ConnectionReset);
    let inner = Inner::new([Act::Fail(reset.into())]);
    assert!(send(&retry(), &inner, request(Method::POST, "order")).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn p11_a_post_that_hangs_is_not_sent_again() {
    let retry = builder().attempt_timeout(secs(1)).build().unwrap();
    let inner = Inner::new([Act::Hang]);
    assert_eq!(send(&retry, &inner, request(Method::POST, "order")).await.unwrap().0, 504);
    let inner = Inner::new([Act::Hang, status(200)]);
    assert_eq!(get(&retry, &inner).await.unwrap().0, 200);
}

/// Reads this number of frames of each body, then answers with the next status.
#[derive(Clone)]
struct Reader {
    codes: &'static [u16],
    frames: usize,
    seen: Arc<Mutex<Vec<String>>>,
}

fn reader(codes: &'static [u16], frames: usize) -> Reader {
    Reader { codes, frames, seen: Arc::default() }
}

impl Reader {
    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    async fn read(self, request: Request<ReplayBody>) -> Answer<Response<Text>> {
        let (mut body, mut text) = (request.into_body(), String::new());
        for _ in 0..self.frames {
            let Some(frame) = body.frame().await else { break };
            text.push_str(&String::from_utf8_lossy(frame?.data_ref().unwrap()));
        }
        let mut seen = self.seen.lock().unwrap();
        seen.push(text);
        Ok(Response::builder().status(self.codes[seen.len() - 1]).body(Full::default()).unwrap())
    }

    /// Sends a PUT with `body` to it through `retry`.
    async fn put<B>(&self, retry: &Retry, body: B) -> Answer<u16>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let reader = self.clone();
        let service = service_fn(move |request| reader.clone().read(request));
        Ok(retry.http_layer().layer(service).oneshot(put(body)).await?.status().as_u16())
    }
}

fn stream<const N: usize>(chunks: [&'static str; N]) -> impl Body<Data = Bytes, Error = Infallible> + Send {
    StreamBody::new(tokio_stream::iter(chunks.map(|chunk| Ok(Frame::data(Bytes::from(chunk))))))
}

fn put<B>(body: B) -> Request<B> {
    Request::builder().method(Method::PUT).uri("/").body(body).unwrap()
}

const PARTS: [&str; 3] = ["one ", "two ", "three"];

#[tokio::test(start_paused = true)]
async fn a_streaming_body_is_sent_again() {
    let reader = reader(&[503, 503, 200], usize::MAX);
    assert_eq!(reader.put(&retry(), stream(PARTS)).await.unwrap(), 200);
    assert_eq!(reader.seen(), ["one two three"; 3]);
}

#[tokio::test(start_paused = true)]
async fn a_partly_read_body_is_sent_again_from_its_beginning() {
    let reader = reader(&[503, 200], 2);
    assert_eq!(reader.put(&retry(), stream(PARTS)).await.unwrap(), 200);
    assert_eq!(reader.seen(), ["one two "; 2]);
}

#[tokio::test(start_paused = true)]
async fn a_body_larger_than_the_cap_is_sent_once() {
    let retry = builder().body_cap(5).build().unwrap();
    let whole = reader(&[503], usize::MAX);
    assert_eq!(whole.put(&retry, stream(PARTS)).await.unwrap(), 503);
    assert_eq!(whole.seen(), ["one two three"], "the first attempt has all of it");
    assert_eq!(retry.snapshot().given_up[&GiveUp::Body], 1);
    // While at most the cap was read, it can be sent again.
    let part = reader(&[503, 200], 1);
    assert_eq!(part.put(&retry, stream(PARTS)).await.unwrap(), 200);
    assert_eq!(part.seen(), ["one "; 2]);
}

/// Nothing waits for the end of the body, and no chunks beyond the cap are held.
#[tokio::test(start_paused = true)]
async fn a_body_larger_than_the_cap_streams_and_is_not_held() {
    let retry = builder().body_cap(5).build().unwrap();
    let (source, stream) = tokio::sync::mpsc::unbounded_channel::<Result<Frame<Bytes>, Infallible>>();
    let stream = tokio_stream::wrappers::UnboundedReceiverStream::new(stream);
    let (body, head) = tokio::sync::oneshot::channel();
    let body = Mutex::new(Some(body));
    let service = service_fn(|request: Request<ReplayBody>| {
        let body = body.lock().unwrap().take().expect("it is sent once");
        async move {
            assert!(body.send(request.into_body()).is_ok());
            // The server answers at the end of the body.
            tokio::time::sleep(secs(1)).await;
            Ok::<_, BoxError>(Response::builder().status(503).body(Text::default()).unwrap())
        }
    });
    let mut call =
        tokio_test::task::spawn(retry.http_layer().layer(service).oneshot(put(StreamBody::new(stream))));
    tokio_test::assert_pending!(call.poll());
    let mut body = head.await.unwrap();
    for chunk in ["one ", "two ", "three", "four"].map(|text| Bytes::from(text.as_bytes().to_vec())) {
        source.send(Ok(Frame::data(chunk.clone()))).unwrap();
        let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(frame.as_ptr(), chunk.as_ptr());
        drop(frame);
        assert_eq!(chunk.is_unique(), chunk != "one ", "{chunk:?} is held while it may be needed again");
    }
    drop(source);
    assert!(body.frame().await.is_none());
    drop(body);
    assert_eq!(call.await.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(retry.snapshot().given_up[&GiveUp::Body], 1);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_fails_is_not_sent_again() {
    let retry = retry();
    let frames = [Ok(Frame::data(Bytes::from("one"))), Err(io::Error::other("torn"))];
    let body = StreamBody::new(tokio_stream::iter(frames));
    let error = reader(&[200], usize::MAX).put(&retry, body).await.unwrap_err();
    assert_eq!(error.to_string(), "torn");
    assert_eq!(retry.snapshot().given_up[&GiveUp::Body], 1);
}

#[tokio::test(start_paused = true)]
async fn two_retries_in_one_stack_share_the_body() {
    let reader = reader(&[503, 503, 503, 200], usize::MAX);
    let inner = reader.clone();
    let twice = || builder().max_attempts(2).build().unwrap();
    let service = ServiceBuilder::new()
        .layer(twice().http_layer())
        .layer(twice().http_layer())
        .service_fn(move |request| inner.clone().read(request));
    assert_eq!(service.oneshot(put(stream(PARTS))).await.unwrap().status(), 200);
    assert_eq!(reader.seen(), ["one two three"; 4]);
}

#[tokio::test(start_paused = true)]
async fn p10_the_refused_response_is_dropped_before_the_wait() {
    #[derive(Debug)]
    struct Held(#[allow(dead_code)] Arc<()>);
    impl Body for Held {
        type Data = Bytes;
        type Error = Infallible;
        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            std::task::Poll::Ready(None)
        }
    }
    let held = Arc::new(());
    let answer = |code| Act::Answer(Response::builder().status(code).body(Held(Arc::clone(&held))).unwrap());
    let inner = Scripted::new([answer(503), answer(200)]);
    let mut service = retry().http_layer().layer(inner);
    let ready = ServiceExt::<Request<Text>>::ready(&mut service).await.unwrap();
    let mut call = tokio_test::task::spawn(ready.call(request(Method::GET, "")));
    tokio_test::assert_pending!(call.poll());
    assert_eq!(Arc::strong_count(&held), 2, "the test's own and the one for the second attempt");
}

#[tokio::test(start_paused = true)]
async fn p12_axum_accepts_the_layer() {
    use axum::routing::put;

    let calls = Count::default();
    let handler = move |body: String| {
        let number = calls.add();
        async move {
            if number == 1 {
                (StatusCode::SERVICE_UNAVAILABLE, String::new())
            } else {
                (StatusCode::OK, body)
            }
        }
    };
    let app = axum::Router::new().route("/", put(handler)).layer(retry().http_layer());
    let request =
        Request::builder().method(Method::PUT).uri("/").body(axum::body::Body::from("order")).unwrap();
    // The error stays `Infallible`.
    let Ok::<_, Infallible>(response) = app.oneshot(request).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "order");
}

/// Collects the fields that are recorded on spans.
#[derive(Clone, Default)]
struct Records(Arc<Mutex<Vec<(String, u64)>>>);

impl Records {
    fn take(&self) -> Vec<(String, u64)> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl tracing::field::Visit for Records {
    fn record_u64(&mut self, field: &tracing::field::Field, value: u64) {
        self.0.lock().unwrap().push((field.name().to_owned(), value));
    }

    fn record_debug(&mut self, _: &tracing::field::Field, _: &dyn std::fmt::Debug) {}
}

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Records {
    fn on_record(
        &self,
        _: &tracing::Id,
        values: &tracing::span::Record<'_>,
        _: tracing_subscriber::layer::Context<'_, S>,
    ) {
        values.record(&mut self.clone());
    }
}

#[tokio::test(start_paused = true)]
async fn the_resend_count_is_recorded_on_the_span_of_the_call() {
    use tracing_subscriber::prelude::*;

    #[tracing::instrument(skip_all, fields(http.request.resend_count = tracing::field::Empty))]
    async fn charge(retry: &Retry, inner: &Inner) {
        get(retry, inner).await.unwrap();
    }

    #[tracing::instrument(skip_all)]
    async fn without_the_field(retry: &Retry, inner: &Inner) {
        get(retry, inner).await.unwrap();
    }

    let records = Records::default();
    let _guard = tracing_subscriber::registry().with(records.clone()).set_default();
    charge(&retry(), &Inner::new([status(200)])).await;
    without_the_field(&retry(), &Inner::new([status(503), status(200)])).await;
    assert_eq!(records.take(), [], "nothing was sent again, or there is no place for it");
    charge(&retry(), &Inner::new([status(503), status(503), status(200)])).await;
    let field = "http.request.resend_count".to_owned();
    assert_eq!(records.take(), [(field.clone(), 1), (field, 2)]);
}

#[tokio::test(start_paused = true)]
async fn a_span_for_each_attempt_can_have_its_resend_count() {
    use tracing::Instrument;
    use tracing_subscriber::prelude::*;

    let records = Records::default();
    let _guard = tracing_subscriber::registry().with(records.clone()).set_default();
    let inner = Inner::new([status(503), status(503), status(200)]);
    let service = service_fn(move |request: Request<ReplayBody>| {
        let span = tracing::info_span!("PUT", http.request.resend_count = tracing::field::Empty);
        match request.extensions().get::<Attempt>().map(Attempt::resend_count) {
            None | Some(0) => {}
            Some(resends) => {
                span.record("http.request.resend_count", resends);
            }
        }
        inner.clone().oneshot(request).instrument(span)
    });
    retry().http_layer().layer(service).oneshot(put(stream(PARTS))).await.unwrap();
    let field = "http.request.resend_count".to_owned();
    assert_eq!(records.take(), [(field.clone(), 1), (field, 2)]);
}

#[tokio::test(start_paused = true)]
async fn a_custom_classifier_decides() {
    let inner = Inner::new([status(404), status(200)]);
    let not_found = |result: Result<&http::response::Parts, &(dyn Error + 'static)>| match result {
        Ok(head) if head.status == StatusCode::NOT_FOUND => Outcome::Failure(FailureKind::Error),
        _ => Outcome::Success,
    };
    let retry = builder().backoff(Backoff::constant(millis(1))).build().unwrap();
    let response =
        retry.http_layer().classify(not_found).layer(inner).oneshot(request(Method::GET, "")).await.unwrap();
    assert_eq!(response.status(), 200);
}
