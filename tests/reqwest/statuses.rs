//! What a status means to the layers.

use std::time::Duration;

use campanile::reqwest::HttpClient;
use campanile::{CallError, CircuitState, FailureKind, RejectReason, Timing};
use http::Response;
use http::header::RETRY_AFTER;
use tokio::time::Instant;
use tower::{Service, ServiceExt};

use crate::support::{Server, breaker, failed, retry, status, totals};

#[tokio::test]
async fn twenty_503s_open_the_circuit_and_are_failures() {
    let server = Server::always(503).await;
    let (breaker, timing) = (breaker(), Timing::new("test"));
    let http = reqwest::Client::new();
    let payments = HttpClient::builder("payments", http.clone()).breaker(&breaker).timing(&timing).build();
    let mut rejected = 0;
    for _ in 0..20 {
        match payments.send(http.post(server.url("/orders")).body("order 7")).await {
            Ok(response) => assert_eq!(response.status(), 503),
            Err(CallError::Rejected(why)) => {
                assert_eq!((why.by(), why.reason()), ("test", RejectReason::Open));
                assert!(why.retry_after().is_some_and(|wait| !wait.is_zero()));
                rejected += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!((breaker.state(), rejected, server.requests()), (CircuitState::Open, 10, 10));
    assert_eq!((timing.snapshot().calls, failed(&timing, FailureKind::Error)), (10, 10));
    assert_eq!(totals(&breaker.snapshot()), (0, 0, 10));
}

#[tokio::test]
async fn the_defaults_are_all_layers_but_letters() {
    let server = Server::after(1).await;
    let payments = HttpClient::new("payments", reqwest::Client::new()).unwrap();
    let response = payments.send(payments.client().put(server.url("/")).body("order 7")).await.unwrap();
    assert_eq!(response.text().await.unwrap(), "order 7");
    let (retry, breaker, timing) =
        (payments.retry().unwrap(), payments.breaker().unwrap(), payments.timing().unwrap());
    assert_eq!((retry.snapshot().retries, timing.snapshot().calls), (1, 2));
    assert_eq!(totals(&breaker.snapshot()), (1, 0, 1));
    assert_eq!((payments.name(), breaker.name(), timing.name()), ("payments", "payments", "payments"));
}

#[tokio::test]
async fn a_mistake_of_the_caller_is_no_failure_of_the_circuit() {
    let server = Server::always(404).await;
    let (retry, breaker) = (retry().build().unwrap(), breaker());
    let http = reqwest::Client::new();
    let payments = HttpClient::builder("payments", http.clone()).retry(&retry).breaker(&breaker).build();
    for _ in 0..20 {
        let response = payments.send(http.get(server.url("/"))).await.unwrap();
        assert_eq!(response.status(), 404);
        response.bytes().await.unwrap();
    }
    assert_eq!((server.requests(), breaker.state()), (20, CircuitState::Closed));
    assert_eq!(totals(&breaker.snapshot()), (20, 0, 0));
}

#[tokio::test]
async fn overload_has_a_kind_of_its_own() {
    let server = Server::always(429).await;
    let timing = Timing::new("test");
    let payments = HttpClient::builder("payments", reqwest::Client::new()).timing(&timing).build();
    payments.send(payments.client().get(server.url("/"))).await.unwrap();
    assert_eq!(failed(&timing, FailureKind::Overload), 1);
}

/// The paused clock advances only while all tasks are idle, so the wait takes no real time.
#[tokio::test(start_paused = true)]
async fn the_retry_after_of_a_server_is_kept() {
    let server = Server::start(|number, _| {
        let mut response = status(if number < 3 { 503 } else { 200 });
        if number < 3 {
            response.headers_mut().insert(RETRY_AFTER, "5".parse().unwrap());
        }
        response
    })
    .await;
    let retry = retry().build().unwrap();
    let payments = HttpClient::builder("payments", reqwest::Client::new()).retry(&retry).build();
    let began = Instant::now();
    assert_eq!(payments.send(payments.client().get(server.url("/"))).await.unwrap().status(), 200);
    assert!(began.elapsed() >= Duration::from_secs(10), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_response_is_that_of_reqwest() {
    let server = Server::start(|_, got| {
        assert_eq!(got.path, "/orders?of=today");
        Response::builder().header("x-tenant", "blue").body("two cups".into()).unwrap()
    })
    .await;
    let mut payments = HttpClient::new("payments", reqwest::Client::new()).unwrap();
    let url = server.url("/orders?of=today");
    let request = payments.client().get(format!("{url}#first")).build().unwrap();
    let response = payments.ready().await.unwrap().call(request).await.unwrap();
    assert_eq!(response.url().as_str(), url);
    assert_eq!(response.remote_addr(), Some(server.address));
    assert_eq!((response.content_length(), response.version()), (Some(8), http::Version::HTTP_11));
    assert_eq!(response.headers()["x-tenant"], "blue");
    assert_eq!(response.text().await.unwrap(), "two cups");
}
