//! The HTTP layer: complete requests are stored, and sent again unchanged.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use campanile::dead_letter::{
    BodyState, DropReason, HttpRequest, Letter, LetterFilter, Payload, Redaction, Redrive, Redriven,
    StopReason,
};
use campanile::retry::ReplayBody;
use campanile::{DeadLetterQueue, FailureKind, RejectReason, Rejected};
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty, Full};
use tokio::time::Instant;
use tower::{BoxError, Layer, ServiceExt, service_fn};

use crate::support::{Mood, MoodyStore, assert_accounted};

fn status(code: u16) -> Response<Empty<Bytes>> {
    let mut response = Response::new(Empty::new());
    *response.status_mut() = StatusCode::from_u16(code).unwrap();
    response
}

fn post(body: &'static str) -> Request<Full<Bytes>> {
    Request::post("http://payments/orders?x=1").header("x-tenant", "a").body(Full::new(body.into())).unwrap()
}

fn kept(letter: &Letter) -> &HttpRequest {
    match &letter.payload {
        Payload::Http(request) => request,
        other => panic!("{other:?}"),
    }
}

/// Yields its steps one after the other.
struct Script(VecDeque<Say>);

enum Say {
    Data(&'static str),
    Fail,
    Hang,
}

impl Body for Script {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.0.front() {
            Some(Say::Hang) => Poll::Pending,
            _ => Poll::Ready(self.0.pop_front().map(|step| match step {
                Say::Data(data) => Ok(Frame::data(data.into())),
                _ => Err("the sender is gone".into()),
            })),
        }
    }
}

fn streamed(steps: impl IntoIterator<Item = Say>) -> Request<Script> {
    Request::post("/upload").body(Script(steps.into_iter().collect())).unwrap()
}

#[tokio::test(start_paused = true)]
async fn p20_a_failure_status_is_parked_and_then_returned() {
    let queue = DeadLetterQueue::in_memory(10);
    for (code, failures) in [(200, 0), (404, 0), (503, 1), (429, 2), (504, 3)] {
        let service = queue.http_layer().layer(service_fn(move |request: Request<ReplayBody>| async move {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(body, "order 7");
            Ok::<_, Infallible>(status(code))
        }));
        let response = service.oneshot(post("order 7")).await.unwrap();
        assert_eq!(response.status().as_u16(), code);
        assert_accounted(&queue, failures, failures, None);
    }
    let letters = queue.list(LetterFilter::all()).await.unwrap();
    let kinds: Vec<_> = letters.iter().map(|letter| (letter.kind, letter.error_type.as_str())).collect();
    assert_eq!(
        kinds,
        [(FailureKind::Error, "503"), (FailureKind::Overload, "429"), (FailureKind::Timeout, "504")]
    );
    let request = kept(&letters[0]);
    assert_eq!((request.method.as_str(), request.uri.as_str()), ("POST", "http://payments/orders?x=1"));
    assert_eq!((request.body.as_slice(), request.body_state), (&b"order 7"[..], BodyState::Complete));
    assert!(request.headers.iter().any(|(name, value)| name == "x-tenant" && value.as_bytes() == b"a"));
}

#[tokio::test(start_paused = true)]
async fn p20_the_unread_rest_of_a_body_is_read_before_parking() {
    let queue = DeadLetterQueue::in_memory(10);
    let refused = || std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
    let service = queue.http_layer().layer(service_fn(move |_: Request<ReplayBody>| async move {
        Err::<Response<Empty<Bytes>>, _>(refused())
    }));
    let body = [Say::Data("one "), Say::Data("two "), Say::Data("three")];
    // The error has the type of the service.
    let error: std::io::Error = service.oneshot(streamed(body)).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    let half = queue.http_layer().layer(service_fn(move |mut request: Request<ReplayBody>| async move {
        request.body_mut().frame().await.unwrap().unwrap();
        Err::<Response<Empty<Bytes>>, _>(refused())
    }));
    let body = [Say::Data("one "), Say::Data("two "), Say::Data("three")];
    half.oneshot(streamed(body)).await.unwrap_err();
    for letter in queue.list(LetterFilter::all()).await.unwrap() {
        assert_eq!(kept(&letter).body, b"one two three");
        assert_eq!(
            (letter.error_type.as_str(), letter.unsendable.is_none()),
            ("io::ConnectionRefused", true)
        );
    }
    assert_accounted(&queue, 2, 2, None);
}

#[tokio::test(start_paused = true)]
async fn a_letter_shows_that_its_body_is_too_large_broken_or_hanging() {
    let queue = DeadLetterQueue::builder("uploads").body_cap(8).build().unwrap();
    let service = queue
        .http_layer()
        .layer(service_fn(|_: Request<ReplayBody>| async { Err::<Response<Empty<Bytes>>, _>("refused") }));
    let began = Instant::now();
    for body in [
        vec![Say::Data("12345"), Say::Data("67890")],
        vec![Say::Data("123"), Say::Fail],
        vec![Say::Data("123"), Say::Hang],
    ] {
        service.clone().oneshot(streamed(body)).await.unwrap_err();
    }
    assert!(began.elapsed() <= Duration::from_millis(550), "{:?}", began.elapsed());
    assert_accounted(&queue, 3, 3, None);
    let letters = queue.list(LetterFilter::all()).await.unwrap();
    let states: Vec<_> =
        letters.iter().map(|letter| (kept(letter).body_state, kept(letter).body.len())).collect();
    assert_eq!(states[0], (BodyState::TooLarge(10), 0));
    assert_eq!(states[1..], [(BodyState::Partial, 3), (BodyState::Partial, 3)]);
    // None may be sent, because it would be another request.
    let sink = service_fn(|_: Request<ReplayBody>| async { Ok::<_, Infallible>(status(200)) });
    let report = queue.redrive(sink, Redrive::all()).await.unwrap();
    assert_eq!((report.skipped, report.redriven), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn p21_a_slow_store_and_a_slow_body_delay_the_response_no_longer_than_the_limit() {
    let limit = Duration::from_millis(250);
    let queue =
        DeadLetterQueue::builder("orders").park_timeout(limit).on(MoodyStore::new(Mood::Hangs)).unwrap();
    let service = queue
        .http_layer()
        .layer(service_fn(|_: Request<ReplayBody>| async { Ok::<_, Infallible>(status(503)) }));
    let began = Instant::now();
    let response = service.oneshot(streamed([Say::Data("1"), Say::Hang])).await.unwrap();
    assert_eq!(response.status(), 503);
    assert!(began.elapsed() < limit + Duration::from_millis(5), "{:?}", began.elapsed());
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert_accounted(&queue, 1, 0, Some((DropReason::Timeout, 1)));
}

#[tokio::test(start_paused = true)]
async fn p20_a_rejection_by_a_breaker_has_its_own_kind() {
    let queue = DeadLetterQueue::in_memory(10);
    let service = queue.http_layer().layer(service_fn(|_: Request<ReplayBody>| async {
        let mut response = status(503);
        response.extensions_mut().insert(Rejected::new("payments", RejectReason::Open, None));
        Ok::<_, Infallible>(response)
    }));
    service.oneshot(post("x")).await.unwrap();
    let letter = queue.list(LetterFilter::all()).await.unwrap().remove(0);
    assert_eq!((letter.kind, letter.message.as_str()), (FailureKind::Rejected, "circuit `payments` is open"));
}

#[tokio::test(start_paused = true)]
async fn p20_a_panic_is_parked_with_its_body() {
    let queue = DeadLetterQueue::in_memory(10);
    let service = queue.http_layer().layer(service_fn(|request: Request<ReplayBody>| async move {
        assert!(request.uri().path().is_empty(), "on purpose");
        Ok::<_, Infallible>(status(200))
    }));
    assert!(tokio::spawn(service.oneshot(post("order 7"))).await.unwrap_err().is_panic());
    let letter = queue.list(LetterFilter::all()).await.unwrap().remove(0);
    assert_eq!((letter.kind, kept(&letter).body.as_slice()), (FailureKind::Panic, &b"order 7"[..]));
}

fn failing(
    queue: &DeadLetterQueue,
) -> impl tower::Service<Request<Full<Bytes>>, Response = Response<Empty<Bytes>>, Error = Infallible, Future: Send>
+ Clone {
    queue.http_layer().layer(service_fn(|_: Request<ReplayBody>| async { Ok::<_, Infallible>(status(503)) }))
}

#[tokio::test(start_paused = true)]
async fn p23_a_request_is_restored_unchanged() {
    let queue = DeadLetterQueue::builder("orders").opaque_bodies(true).build().unwrap();
    let request = Request::put("https://host:8443/a/b?c=d%20e")
        .version(http::Version::HTTP_2)
        .header("x-many", "1")
        .header("x-many", "2")
        .header("x-bytes", http::HeaderValue::from_bytes(&[0xe9, 0x41]).unwrap())
        .header("authorization", "Bearer abcdefghijkl")
        .header("content-length", "3")
        .body(Full::new(Bytes::from_static(&[0, 0xff, 7])))
        .unwrap();
    failing(&queue).oneshot(request).await.unwrap();
    let id = queue.list(LetterFilter::all()).await.unwrap()[0].id;

    let seen = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&seen);
    let codes = Arc::new(Mutex::new(VecDeque::from([500, 401, 404, 200])));
    let service = service_fn(move |request: Request<ReplayBody>| {
        let (notes, code) = (Arc::clone(&notes), codes.lock().unwrap().pop_front().unwrap());
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            notes.lock().unwrap().push((head, body));
            Ok::<_, Infallible>(status(code))
        }
    });
    for _ in 0..3 {
        let report = queue.redrive(service.clone(), Redrive::all()).await.unwrap();
        assert_eq!((report.redriven, report.failed), (0, 1), "no error of the client may lose a letter");
    }
    assert_eq!(queue.redrive(service, Redrive::all()).await.unwrap().redriven, 1);

    for (number, (head, body)) in (2..).zip(&*seen.lock().unwrap()) {
        assert_eq!(
            (head.method.as_str(), head.uri.to_string().as_str()),
            ("PUT", "https://host:8443/a/b?c=d%20e")
        );
        assert_eq!((head.version, body.as_ref()), (http::Version::HTTP_2, &[0, 0xff, 7][..]));
        let all: Vec<_> = head.headers.get_all("x-many").iter().collect();
        assert_eq!(all, ["1", "2"]);
        assert_eq!(head.headers["x-bytes"].as_bytes(), [0xe9, 0x41]);
        assert!(!head.headers.contains_key("authorization"), "the service must add it");
        assert_eq!(head.headers["idempotency-key"], id.to_string(), "the same each time");
        let mark = head.extensions.get::<Redriven>().unwrap();
        assert_eq!((mark.id, mark.try_number), (id, number));
    }
    assert!(queue.is_empty().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn an_idempotency_key_is_kept() {
    let queue = DeadLetterQueue::in_memory(10);
    let request = Request::post("/").header("idempotency-key", "mine").body(Full::default()).unwrap();
    failing(&queue).oneshot(request).await.unwrap();
    let service = service_fn(|request: Request<ReplayBody>| async move {
        assert_eq!(request.headers()["idempotency-key"], "mine");
        Ok::<_, Infallible>(status(204))
    });
    assert_eq!(queue.redrive(service, Redrive::all()).await.unwrap().redriven, 1);
}

#[tokio::test(start_paused = true)]
async fn p23_through_the_same_stack_a_request_is_not_parked_twice() {
    let queue = DeadLetterQueue::in_memory(10);
    failing(&queue).oneshot(post("x")).await.unwrap();
    let stack = queue
        .http_layer()
        .layer(service_fn(|_: Request<ReplayBody>| async { Ok::<_, Infallible>(status(503)) }));
    // Another task knows of the redrive only by the mark of the request.
    let spawned = service_fn(move |request: Request<ReplayBody>| {
        let stack = stack.clone();
        async move { tokio::spawn(stack.oneshot(request)).await.unwrap() }
    });
    assert_eq!(queue.redrive_http(spawned, Redrive::all()).await.unwrap().failed, 1);
    assert_eq!((queue.len().await.unwrap(), queue.snapshot().failures), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn p23_a_breaker_in_the_stack_pauses_a_redrive() {
    let queue = DeadLetterQueue::in_memory(10);
    for _ in 0..3 {
        failing(&queue).oneshot(post("x")).await.unwrap();
    }
    let service = service_fn(|_: Request<ReplayBody>| async {
        let mut response = status(503);
        let refusal = Rejected::new("payments", RejectReason::Open, Some(Duration::from_secs(40)));
        response.extensions_mut().insert(refusal);
        Ok::<_, Infallible>(response)
    });
    let report = queue.redrive(service, Redrive::all()).await.unwrap();
    assert_eq!(report.stopped, Some(StopReason::CircuitOpen(Some(Duration::from_secs(40)))));
    assert_eq!((report.failed, report.paused), (0, Duration::from_secs(40)));
    assert_eq!(queue.list(LetterFilter::all()).await.unwrap()[0].tries, 1);
}

#[tokio::test(start_paused = true)]
async fn a_response_that_breaks_off_is_a_failure() {
    let queue = DeadLetterQueue::in_memory(10);
    failing(&queue).oneshot(post("x")).await.unwrap();
    let service = service_fn(|_: Request<ReplayBody>| async {
        Ok::<_, Infallible>(Response::new(Script([Say::Data("so far"), Say::Fail].into_iter().collect())))
    });
    assert_eq!(queue.redrive(service, Redrive::all()).await.unwrap().failed, 1);
    assert!(queue.list(LetterFilter::all()).await.unwrap()[0].message.contains("the sender is gone"));
}

#[tokio::test(start_paused = true)]
async fn p24_secrets_in_headers_query_and_body_are_redacted() {
    let queue = DeadLetterQueue::builder("orders").redact(["ssn"]).build().unwrap();
    let request = Request::post("http://me:planted1@host/pay?access_token=planted2&x=1")
        .header("authorization", "Bearer planted3")
        .header("cookie", "sid=planted4")
        .header("x-api-key", "planted5")
        .header("referer", "http://other/?token=planted6")
        .header("content-type", "application/json")
        .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        .body(Full::new(Bytes::from(r#"{"order": 7, "password": "planted7", "who": [{"ssn": "planted8"}]}"#)))
        .unwrap();
    let service = queue.http_layer().layer(service_fn(|request: Request<ReplayBody>| async move {
        Err::<Response<Empty<Bytes>>, _>(format!("cannot reach {}", request.uri()))
    }));
    service.oneshot(request).await.unwrap_err();
    let letter = queue.list(LetterFilter::all()).await.unwrap().remove(0);
    let everything = format!("{letter:?}{}", String::from_utf8_lossy(&kept(&letter).body));
    assert!(!everything.contains("planted"), "{everything}");
    assert!(everything.contains("order"));
    assert!(letter.redacted.contains(&Redaction::Header("authorization".to_owned())));
    assert!(letter.redacted.contains(&Redaction::Body("ssn".to_owned())));
    assert!(letter.unsendable.is_some());
    assert_eq!(letter.trace_id.as_deref(), Some("0af7651916cd43dd8448eb211c80319c"));
    assert_eq!(letter.span_id.as_deref(), Some("b7ad6b7169203331"));
}

#[tokio::test]
async fn the_layer_works_on_an_axum_router() {
    let queue = DeadLetterQueue::in_memory(10);
    let router = axum::Router::new()
        .route("/orders", axum::routing::post(|body: String| async move { (StatusCode::BAD_GATEWAY, body) }))
        .layer(queue.http_layer());
    let request = Request::post("/orders").body(axum::body::Body::from("order 7")).unwrap();
    let response = router.oneshot(request).await.unwrap();
    assert_eq!(response.status(), 502);
    assert_eq!(kept(&queue.list(LetterFilter::all()).await.unwrap()[0]).body, b"order 7");

    let repaired = axum::Router::new().route("/orders", axum::routing::post(|body: String| async { body }));
    assert_eq!(queue.redrive_http(repaired, Redrive::all()).await.unwrap().redriven, 1);
}
