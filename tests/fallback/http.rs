//! The layer for HTTP: statuses, and which responses are kept.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use campanile::fallback::{self, FallbackFailed, FallbackKind, NotKept};
use campanile::{CircuitBreaker, Fallback};
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, StreamBody};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

use crate::support::secs;

type Body = Full<Bytes>;
type MakeRequest = fn() -> Request<Body>;

fn response(status: u16, headers: &[(&'static str, &'static str)], body: &'static str) -> Response<Body> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(body.into()).unwrap()
}

fn get(headers: &[(&'static str, &'static str)]) -> Request<Body> {
    let mut request = Request::get("/prices?item=1");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::default()).unwrap()
}

fn by_uri(request: &Request<Body>) -> http::Uri {
    request.uri().clone()
}

/// A service that gives these responses in turn, then 503.
fn script(
    responses: Vec<Response<Body>>,
) -> impl Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send> + Clone + Send {
    let responses = Arc::new(Mutex::new(responses.into_iter()));
    service_fn(move |_: Request<Body>| {
        let next = responses.lock().unwrap().next();
        std::future::ready(Ok(next.unwrap_or_else(|| response(503, &[], "down"))))
    })
}

async fn text<B: http_body::Body<Data = Bytes, Error: std::fmt::Debug>>(response: Response<B>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn a_value_answers_5xx_and_429_and_a_404_is_an_answer() {
    let fallback = Fallback::new("prices");
    let layer = fallback.http_layer(fallback::value(Response::new(Bytes::from_static(b"[]"))));
    for (status, answered) in [(200, false), (404, false), (429, true), (500, true), (501, true), (504, true)]
    {
        let service = layer.layer(script(vec![response(status, &[], "first")]));
        let response = service.oneshot(get(&[])).await.unwrap();
        let kind = response.extensions().get::<FallbackKind>().copied();
        assert_eq!(kind, answered.then_some(FallbackKind::Value), "{status}");
        assert_eq!(response.status() == StatusCode::OK, answered || status == 200);
        assert_eq!(text(response).await, if answered { "[]" } else { "first" });
    }
}

#[tokio::test]
async fn an_open_circuit_and_an_error_of_the_connection_lead_to_the_fallback() {
    let fallback = Fallback::new("prices");
    let breaker = CircuitBreaker::builder("prices").build().unwrap();
    breaker.force_open();
    let service = ServiceBuilder::new()
        .layer(fallback.http_layer(fallback::value(Response::new(Bytes::from_static(b"[]")))))
        .layer(breaker.http_layer())
        .service(script(vec![]));
    assert_eq!(text(service.oneshot(get(&[])).await.unwrap()).await, "[]");

    let refused = service_fn(|_: Request<Body>| async {
        Err::<Response<Body>, std::io::Error>(std::io::ErrorKind::ConnectionRefused.into())
    });
    let layer = fallback.http_layer(fallback::value(Response::new(Bytes::from_static(b"[]"))));
    assert_eq!(text(layer.layer(refused).oneshot(get(&[])).await.unwrap()).await, "[]");

    // The error stays as it is if the fallback fails too.
    let broken = service_fn(|_: Request<Body>| async { Err::<Response<Body>, _>("the other one") });
    let layer = fallback.http_layer(fallback::service(broken));
    let error = layer.layer(refused).oneshot(get(&[])).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn another_service_gets_the_request_and_its_failure_is_attached_to_the_first_response() {
    let fallback = Fallback::new("prices");
    let echo = service_fn(|request: Request<Body>| async move {
        Ok::<_, Infallible>(Response::new(request.into_body()))
    });
    let request = || Request::post("/").body(Body::from("order 7")).unwrap();
    let service = fallback.http_layer(fallback::service(echo)).layer(script(vec![]));
    assert_eq!(text(service.oneshot(request()).await.unwrap()).await, "order 7");

    let broken = service_fn(|_: Request<Body>| async { Err::<Response<Body>, _>("no replica") });
    let service = fallback.http_layer(fallback::service(broken)).layer(script(vec![]));
    let first = service.oneshot(request()).await.unwrap();
    assert_eq!(first.status(), 503);
    assert_eq!(first.extensions().get::<FallbackFailed>().unwrap().text(), "no replica");
    assert_eq!(text(first).await, "down");
}

#[tokio::test(start_paused = true)]
async fn the_last_good_response_says_that_it_is_stale() {
    let fallback = Fallback::new("prices");
    let good =
        response(200, &[("age", "5"), ("etag", "\"a\""), ("connection", "x-hop"), ("x-hop", "1")], "42");
    let service = fallback.http_layer(fallback::last_good(by_uri)).layer(script(vec![good]));
    let first = service.clone().oneshot(get(&[])).await.unwrap();
    assert_eq!(text(first).await, "42");
    assert_eq!(fallback.snapshot().kept, 1);
    tokio::time::advance(secs(60)).await;
    let stale = service.clone().oneshot(get(&[])).await.unwrap();
    assert_eq!(stale.status(), 200);
    assert_eq!(stale.headers()[header::AGE], "65");
    assert_eq!(stale.headers()[header::WARNING], "110 - \"Response is Stale\"");
    assert_eq!(stale.headers()[header::ETAG], "\"a\"");
    assert!(!stale.headers().contains_key("x-hop") && !stale.headers().contains_key("connection"));
    assert_eq!(stale.extensions().get(), Some(&FallbackKind::LastGood));
    assert_eq!(text(stale).await, "42");
    // Another key has none.
    let other = Request::get("/other").body(Body::default()).unwrap();
    assert_eq!(service.oneshot(other).await.unwrap().status(), 503);
    assert_eq!(fallback.snapshot().missing, 1);
}

/// Sends a request that succeeds with this response, then one that fails. Returns whether the fallback answered, and why it kept
/// nothing.
async fn kept(fallback: &Fallback, request: MakeRequest, good: Response<Body>) -> Result<(), Vec<NotKept>> {
    let service = fallback.http_layer(fallback::last_good(by_uri)).layer(script(vec![good]));
    let before = fallback.snapshot().not_kept;
    text(service.clone().oneshot(request()).await.unwrap()).await;
    let after = fallback.snapshot().not_kept;
    let again = service.oneshot(request()).await.unwrap();
    if again.extensions().get::<FallbackKind>().is_some() {
        return Ok(());
    }
    Err(after.into_iter().filter(|(why, count)| before[why] < *count).map(|(why, _)| why).collect())
}

#[tokio::test]
async fn what_may_be_meant_for_one_caller_is_not_kept_unless_asked() {
    let fallback = Fallback::new("prices");
    let private = Fallback::builder("prices").keep_private(true).build().unwrap();
    let plain: MakeRequest = || get(&[]);
    let cases: &[(MakeRequest, &[(&str, &str)])] = &[
        (|| get(&[("authorization", "Bearer x")]), &[]),
        (|| get(&[("cookie", "id=1")]), &[]),
        (|| get(&[("cache-control", "no-store")]), &[]),
        (plain, &[("set-cookie", "id=1")]),
        (plain, &[("cache-control", "no-store")]),
        (plain, &[("cache-control", "max-age=5, Private")]),
        (plain, &[("cache-control", "private=\"x\"")]),
        (plain, &[("cache-control", "max-age=5"), ("cache-control", "must-revalidate")]),
        (plain, &[("cache-control", "no-cache")]),
        (plain, &[("cache-control", "s-maxage=5")]),
    ];
    for (place, (request, headers)) in cases.iter().enumerate() {
        let good = || {
            let mut good = response(200, &[], "42");
            for (name, value) in *headers {
                good.headers_mut().append(*name, http::HeaderValue::from_static(value));
            }
            good
        };
        assert_eq!(kept(&fallback, *request, good()).await, Err(vec![NotKept::Private]), "{place}");
        assert_eq!(kept(&private, *request, good()).await, Ok(()), "{place}");
    }
    assert_eq!(kept(&fallback, plain, response(200, &[("cache-control", "max-age=5")], "42")).await, Ok(()));
}

#[tokio::test]
async fn only_whole_answers_to_safe_methods_are_kept() {
    let fallback = Fallback::builder("prices").max_body(10).build().unwrap();
    let plain: MakeRequest = || get(&[]);
    let not_whole = Err(vec![NotKept::NotWhole]);
    let post: MakeRequest = || Request::post("/").body(Body::default()).unwrap();
    assert_eq!(kept(&fallback, post, response(200, &[], "42")).await, not_whole);
    assert_eq!(kept(&fallback, || get(&[("range", "bytes=0-1")]), response(200, &[], "42")).await, not_whole);
    assert_eq!(
        kept(&fallback, plain, response(206, &[("content-range", "bytes 0-1/9")], "42")).await,
        not_whole
    );
    assert_eq!(kept(&fallback, plain, response(404, &[], "no")).await, not_whole);
    assert_eq!(kept(&fallback, plain, response(200, &[("vary", "*")], "42")).await, not_whole);
    assert_eq!(kept(&fallback, plain, response(204, &[], "")).await, Ok(()));
    assert_eq!(kept(&fallback, plain, response(200, &[], "0123456789")).await, Ok(()));
    let large = response(200, &[], "0123456789a");
    assert_eq!(kept(&fallback, plain, large).await, Err(vec![NotKept::TooLarge]));
    let short = response(200, &[("content-length", "9")], "42");
    assert_eq!(kept(&fallback, plain, short).await, Err(vec![NotKept::Incomplete]));
    let head: MakeRequest = || Request::head("/").body(Body::default()).unwrap();
    assert_eq!(kept(&fallback, head, response(200, &[("content-length", "9")], "")).await, Ok(()));
}

#[tokio::test]
async fn vary_names_headers_that_have_to_be_the_same() {
    let fallback = Fallback::new("prices");
    let good = response(200, &[("vary", "Accept-Encoding, accept")], "42");
    let service = fallback.http_layer(fallback::last_good(by_uri)).layer(script(vec![good]));
    text(service.clone().oneshot(get(&[("accept", "text/html")])).await.unwrap()).await;
    let status = async |headers: &[(&'static str, &'static str)]| {
        service.clone().oneshot(get(headers)).await.unwrap().status().as_u16()
    };
    assert_eq!(status(&[("accept", "text/html"), ("x-other", "1")]).await, 200);
    assert_eq!(status(&[("accept", "text/plain")]).await, 503);
    assert_eq!(status(&[]).await, 503);
    assert_eq!(status(&[("accept", "text/html"), ("accept-encoding", "gzip")]).await, 503);
}

#[tokio::test]
async fn a_body_that_is_not_read_to_its_end_fails_or_has_trailers_is_not_kept() {
    let fallback = Fallback::builder("prices").max_body(10).build().unwrap();
    let key = |request: &Request<()>| request.uri().clone();
    let count = |why: NotKept| fallback.snapshot().not_kept[&why];
    let frames = |frames: Vec<Result<http_body::Frame<Bytes>, &'static str>>| {
        let inner = service_fn(move |_: Request<()>| {
            let body = StreamBody::new(tokio_stream::iter(frames.clone_frames()));
            std::future::ready(Ok::<_, Infallible>(Response::new(body)))
        });
        fallback.http_layer(fallback::last_good(key)).layer(inner)
    };
    let data = |text: &'static str| Ok(http_body::Frame::data(Bytes::from_static(text.as_bytes())));

    let mut body = frames(vec![data("42"), data("43")]).oneshot(Request::new(())).await.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    drop(body);
    assert_eq!(count(NotKept::Incomplete), 1, "dropped midway");

    let failing = frames(vec![data("42"), Err("broken")]).oneshot(Request::new(())).await.unwrap();
    failing.into_body().collect().await.unwrap_err();
    assert_eq!(count(NotKept::Incomplete), 2);

    let trailers = vec![data("42"), Ok(http_body::Frame::trailers(HeaderMap::new()))];
    let trailing = frames(trailers).oneshot(Request::new(())).await.unwrap();
    trailing.into_body().collect().await.unwrap();
    assert_eq!(count(NotKept::Incomplete), 3);

    let large = frames(vec![data("123456"), data("789012")]).oneshot(Request::new(())).await.unwrap();
    assert_eq!(large.into_body().collect().await.unwrap().to_bytes(), "123456789012");
    assert_eq!(count(NotKept::TooLarge), 1);

    let whole = frames(vec![data("123456"), data("7890")]).oneshot(Request::new(())).await.unwrap();
    assert_eq!(whole.into_body().collect().await.unwrap().to_bytes(), "1234567890");
    assert_eq!(fallback.snapshot().kept, 0, "each layer has answers of its own, which go with it");
}

/// Frames are not `Clone`.
trait CloneFrames {
    fn clone_frames(&self) -> Self;
}

impl CloneFrames for Vec<Result<http_body::Frame<Bytes>, &'static str>> {
    fn clone_frames(&self) -> Self {
        let copy = |frame: &http_body::Frame<Bytes>| match frame.data_ref() {
            Some(data) => http_body::Frame::data(data.clone()),
            None => http_body::Frame::trailers(frame.trailers_ref().cloned().unwrap_or_default()),
        };
        self.iter().map(|frame| frame.as_ref().map(copy).map_err(|error| *error)).collect()
    }
}
