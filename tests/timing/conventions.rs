//! The `Server-Timing` header, and the gauge of a handle.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use campanile::Timing;
use campanile::timing::HttpTimingLayer;
use http::{HeaderValue, Request, Response};
use http_body_util::Full;
use tower::{Layer, ServiceExt, service_fn};

type Body = Full<Bytes>;

/// Answers after 12.3456 ms, with a `Server-Timing` header of its own.
async fn answer(_: Request<Body>) -> Result<Response<Body>, Infallible> {
    tokio::time::sleep(Duration::from_nanos(12_345_600)).await;
    let mut response = Response::new(Body::from("body"));
    response.headers_mut().insert("server-timing", HeaderValue::from_static("db;dur=1.5"));
    Ok(response)
}

async fn server_timing(layer: HttpTimingLayer) -> Vec<String> {
    let response = layer.layer(service_fn(answer)).oneshot(Request::new(Body::default())).await.unwrap();
    response
        .headers()
        .get_all("server-timing")
        .iter()
        .map(|value| value.to_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn the_header_is_appended_in_milliseconds_to_the_head() {
    let timing = Timing::new("server");
    assert_eq!(server_timing(timing.http_server_layer()).await, ["db;dur=1.5"]);
    let layer = timing.http_server_layer().server_timing("app").unwrap();
    // tokio's timer rounds up to whole milliseconds.
    assert_eq!(server_timing(layer.clone()).await, ["db;dur=1.5", "app;dur=13.000"]);
    assert_eq!(
        server_timing(layer.classify(campanile::outcome::ByHttpStatus)).await.len(),
        2,
        "it outlives a setting"
    );
    let client = timing.http_client_layer().server_timing("app").unwrap();
    assert_eq!(server_timing(client).await, ["db;dur=1.5"]);
    assert_eq!(timing.snapshot().calls, 4);
}

#[test]
fn a_name_in_server_timing_is_a_token() {
    let timing = Timing::new("server");
    for name in ["app", "a", "0", "total-1.2_x", "!#$%&'*+-.^_`|~"] {
        let layer: Result<HttpTimingLayer, _> = timing.http_server_layer().server_timing(name);
        assert!(layer.is_ok(), "{name:?}");
    }
    for name in ["", " ", "two words", "a;b", "a,b", "a=b", "\"a\"", "a\r\nb", "a\0", "Zürich", "(a)"] {
        let layer: Result<HttpTimingLayer, _> = timing.http_server_layer().server_timing(name);
        let error = layer.unwrap_err();
        assert_eq!((error.setting(), error.value()), ("server_timing", format!("{name:?}").as_str()));
        assert!(error.to_string().contains("token"), "{error}");
    }
}

#[cfg(feature = "prometheus")]
#[tokio::test]
async fn running_calls_are_a_gauge_of_their_handle() {
    use campanile::Telemetry;

    let telemetry = Telemetry::builder("test").variables(|_| None).prometheus().install().unwrap();
    let gauge = |name: &str, labels: &str| {
        let text = telemetry.prometheus_text();
        let mut lines =
            text.lines().filter(|line| line.starts_with(&format!("{name}{{")) && line.contains(labels));
        lines.next().map(|line| line.rsplit(' ').next().unwrap_or_default().to_owned())
    };
    let timing = Timing::new("gauged");
    let own = || gauge("campanile_timing_active_calls", "operation=\"gauged\"");
    assert_eq!(own(), None, "before the first call");
    let hanging = service_fn(|_: Request<Body>| std::future::pending::<Result<Response<Body>, Infallible>>());
    let request = || Request::post("http://db:8080/").body(Body::default()).unwrap();
    let plain = timing.layer().layer(hanging).oneshot(request());
    let client = timing.http_client_layer().layer(hanging).oneshot(request());
    let client_gauge = || gauge("http_client_active_requests", "server_address=\"db\",server_port=\"8080\"");
    let mut calls = Box::pin(async { tokio::join!(plain, client) });
    assert!(polled_once(calls.as_mut()).await.is_none());
    assert_eq!((own().as_deref(), client_gauge().as_deref()), (Some("2"), Some("1")));
    drop(calls);
    assert_eq!((own().as_deref(), client_gauge().as_deref()), (Some("0"), Some("0")));
    let text = telemetry.prometheus_text();
    // Other tests of this process record to the same pipeline.
    let cancelled = text.lines().any(|line| {
        line.starts_with("http_client_request_duration_seconds_count")
            && line.contains("error_type=\"cancelled\"")
            && line.contains("server_address=\"db\",server_port=\"8080\"")
    });
    assert!(cancelled, "{text}");
    telemetry.shutdown(Duration::from_secs(60));
}

/// The output, if one poll completes the future.
#[cfg(feature = "prometheus")]
async fn polled_once<F: Future + Unpin>(mut future: F) -> Option<F::Output> {
    std::future::poll_fn(|cx| match std::pin::Pin::new(&mut future).poll(cx) {
        std::task::Poll::Ready(output) => std::task::Poll::Ready(Some(output)),
        std::task::Poll::Pending => std::task::Poll::Ready(None),
    })
    .await
}
