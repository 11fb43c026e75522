//! The layers as a middleware of `reqwest-middleware`.

use campanile::reqwest::HttpClient;
use campanile::{CircuitState, FailureKind, Rejected, Timing};
use http::Extensions;
use reqwest_middleware::{ClientBuilder, Error, Middleware, Next};

use crate::support::{Server, breaker, failed, redirect, refused, retry, totals};

/// How often the middleware after the layers was called for one call.
#[derive(Clone, Debug, Default, PartialEq)]
struct Seen(u32);

struct Counts;

#[async_trait::async_trait]
impl Middleware for Counts {
    async fn handle(
        &self,
        mut request: reqwest::Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<reqwest::Response> {
        assert_eq!(extensions.get::<&str>(), Some(&"of the call"));
        extensions.insert(Seen(1));
        request.headers_mut().insert("x-inner", "yes".parse().unwrap());
        next.run(request, extensions).await
    }
}

#[tokio::test]
async fn the_layers_are_around_the_other_middlewares() {
    let server = Server::after(2).await;
    let http = reqwest::Client::new();
    let retry = retry().build().unwrap();
    let timing = Timing::new("test");
    let layers = HttpClient::builder("payments", http.clone()).retry(&retry).timing(&timing).build();
    let client = ClientBuilder::new(http).with(layers).with(Counts).build();
    let mut extensions = Extensions::new();
    extensions.insert("of the call");
    let request = client.put(server.url("/orders?of=today")).body("order 7").build().unwrap();
    let response = client.execute_with_extensions(request, &mut extensions).await.unwrap();
    assert_eq!(response.url().as_str(), server.url("/orders?of=today"));
    assert_eq!(response.text().await.unwrap(), "order 7");
    assert_eq!(extensions.get(), Some(&Seen(1)));
    assert_eq!((server.requests(), timing.snapshot().calls, failed(&timing, FailureKind::Error)), (3, 3, 2));
    assert!(server.got().iter().all(|got| got.body == "order 7" && got.headers["x-inner"] == "yes"));
}

#[tokio::test]
async fn twenty_503s_open_the_circuit_of_a_middleware() {
    let server = Server::always(503).await;
    let (http, breaker) = (reqwest::Client::new(), breaker());
    let layers = HttpClient::builder("payments", http.clone()).breaker(&breaker).build();
    let client = ClientBuilder::new(http).with(layers).build();
    let mut refused = 0;
    for _ in 0..20 {
        match client.post(server.url("/")).body("order 7").send().await {
            Ok(response) => assert_eq!(response.status(), 503),
            Err(error) => {
                assert!(Rejected::find(&error).is_some_and(|why| why.retry_after().is_some()), "{error:?}");
                refused += 1;
            }
        }
    }
    assert_eq!((breaker.state(), refused, server.requests()), (CircuitState::Open, 10, 10));
}

#[tokio::test]
async fn what_was_never_sent_is_known_behind_middlewares() {
    let (http, breaker) = (reqwest::Client::new(), breaker());
    let retry = retry().build().unwrap();
    let layers = HttpClient::builder("payments", http.clone()).retry(&retry).breaker(&breaker).build();
    let client = ClientBuilder::new(http).with(layers).build();
    match client.post(format!("{}?token=s3cret", refused())).body("order 7").send().await {
        Err(Error::Reqwest(error)) => assert!(error.is_connect() && !format!("{error:?}").contains("s3cret")),
        other => panic!("{other:?}"),
    }
    assert_eq!((retry.snapshot().retries, totals(&breaker.snapshot())), (2, (0, 0, 3)));

    let to = refused();
    let server = Server::start(move |_, _| redirect(303, &to)).await;
    assert!(client.post(server.url("/")).body("order 7").send().await.is_err());
    assert_eq!((server.requests(), retry.snapshot().retries), (1, 2), "a server has processed it");

    let server = Server::start(|_, _| redirect(302, "/")).await;
    assert!(client.get(server.url("/")).send().await.is_err_and(|error| error.is_redirect()));
    assert_eq!((server.requests(), totals(&breaker.snapshot())), (11, (0, 1, 4)));
}
