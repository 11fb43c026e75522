//! Redirects, which reqwest follows inside of an attempt.

use campanile::reqwest::HttpClient;
use campanile::retry::GiveUp;
use campanile::{CallError, FailureKind, Timing};
use http::Method;

use crate::support::{Server, breaker, failed, redirect, retry, totals};

#[tokio::test]
async fn the_url_of_a_response_is_that_of_the_last_request() {
    let other = Server::after(0).await;
    let to = other.url("/there?of=today");
    let server =
        Server::start(move |_, got| redirect(if got.path == "/kept" { 307 } else { 303 }, &to)).await;
    let payments = HttpClient::new("payments", reqwest::Client::new()).unwrap();
    for (path, method, body) in [("/kept", Method::POST, "order 7"), ("/", Method::GET, "")] {
        let response = payments.send(payments.client().post(server.url(path)).body("order 7")).await.unwrap();
        assert_eq!(response.url().as_str(), other.url("/there?of=today"));
        assert_eq!(response.remote_addr(), Some(other.address));
        assert_eq!(response.text().await.unwrap(), body);
        assert_eq!(other.got().last().map(|got| got.method.clone()), Some(method));
    }
    assert_eq!(payments.timing().unwrap().snapshot().calls, 2);
}

#[tokio::test]
async fn redirects_without_an_end_are_permanent_and_not_the_circuits() {
    let server = Server::start(|_, _| redirect(302, "/")).await;
    let (retry, breaker, timing) = (retry().build().unwrap(), breaker(), Timing::new("test"));
    let payments = HttpClient::builder("payments", reqwest::Client::new())
        .retry(&retry)
        .breaker(&breaker)
        .timing(&timing)
        .build();
    match payments.send(payments.client().get(server.url("/"))).await {
        Err(CallError::Inner(error)) => assert!(error.is_redirect(), "{error:?}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(server.requests(), 11);
    assert_eq!(retry.snapshot().given_up[&GiveUp::Permanent], 1);
    assert_eq!(totals(&breaker.snapshot()), (0, 1, 0));
    assert_eq!(failed(&timing, FailureKind::Error), 1);
}

#[tokio::test]
async fn a_client_that_follows_no_redirect_gets_them() {
    let server = Server::start(|_, _| redirect(302, "/")).await;
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let payments = HttpClient::new("payments", http).unwrap();
    let response = payments.send(payments.client().post(server.url("/")).body("order 7")).await.unwrap();
    assert_eq!((response.status().as_u16(), server.requests()), (302, 1));
}
