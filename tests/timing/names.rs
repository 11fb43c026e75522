//! Names of timings and routes of requests may be any text.

use campanile::{FailureKind, Timing};
use tower::{Layer, ServiceExt, service_fn};

#[tokio::test(start_paused = true)]
async fn any_name_will_do() {
    let long = "ö".repeat(10_000);
    for name in ["", " ", "\0\r\n\u{7f}", "Zürich ☃", &long] {
        let timing = Timing::new(name);
        let service =
            timing.layer().layer(service_fn(|good: bool| async move { good.then_some(()).ok_or("broken") }));
        service.clone().oneshot(true).await.unwrap();
        service.oneshot(false).await.unwrap_err();
        let snapshot = timing.snapshot();
        assert_eq!((timing.name(), &*snapshot.name, snapshot.calls), (name, name, 2));
        assert_eq!(snapshot.failures[FailureKind::Error.index()], 1);
    }
}

#[cfg(feature = "http")]
#[tokio::test(start_paused = true)]
async fn any_route_will_do() {
    use bytes::Bytes;
    use http::{Request, Response};
    use http_body_util::Empty;
    let timing = Timing::new("routes");
    let route =
        |request: &http::request::Parts| request.extensions.get::<Option<String>>().cloned().flatten();
    let answer = |_: Request<Empty<Bytes>>| async {
        Ok::<_, std::convert::Infallible>(Response::new(Empty::<Bytes>::new()))
    };
    let service = timing.http_server_layer().route(route).layer(service_fn(answer));
    let long = "/ö".repeat(100_000);
    let routes = [None, Some(""), Some("\0\r\n"), Some("/Zürich/☃"), Some(&*long)]
        .map(|route| route.map(str::to_owned));
    // Also far more than the maximum number of combinations.
    let many = (0..3_000).map(|number| Some(format!("/{number}")));
    let mut sent = 0;
    for route in routes.into_iter().chain(many) {
        let mut request = Request::new(Empty::new());
        request.extensions_mut().insert(route);
        service.clone().oneshot(request).await.unwrap();
        sent += 1;
    }
    let snapshot = timing.snapshot();
    assert_eq!((snapshot.calls, snapshot.in_flight, snapshot.failed), (sent, 0, 0));
}
