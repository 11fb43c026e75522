//! Requests that failed for good: parked, and sent again through the same client.

use std::time::Duration;

use campanile::dead_letter::{BodyState, LetterFilter, Payload, Redrive};
use campanile::reqwest::HttpClient;
use campanile::{DeadLetterQueue, FailureKind};

use crate::support::{Server, breaker, raw, redirect, retry, status, totals};

#[tokio::test]
async fn a_parked_request_is_redriven_byte_for_byte() {
    let server = Server::start(|number, _| status(if number <= 3 { 503 } else { 200 })).await;
    let queue = DeadLetterQueue::in_memory(10);
    let retry = retry().build().unwrap();
    let payments =
        HttpClient::builder("payments", reqwest::Client::new()).letters(&queue).retry(&retry).build();
    let body = "{\"order\": 7,\n \"note\": \"zwei Täßchen\", \"amount\": 1.10}";
    let order = payments
        .client()
        .put(server.url("/orders/7?priority=high"))
        .header("content-type", "application/json")
        .header("x-tenant", "blue")
        .body(body);
    assert_eq!(payments.send(order).await.unwrap().status(), 503);

    let letter = queue.list(LetterFilter::all()).await.unwrap().remove(0);
    assert_eq!((letter.error_type.as_str(), server.requests()), ("503", 3));
    let report = queue.redrive_http(payments.http_service(), Redrive::all()).await.unwrap();
    assert_eq!((report.redriven, queue.len().await.unwrap()), (1, 0));
    let got = server.got();
    let (first, last) = (&got[0], &got[3]);
    assert_eq!((first.body.as_ref(), &first.body), (body.as_bytes(), &last.body));
    assert_eq!((&first.method, &first.path), (&last.method, &last.path));
    for name in ["content-type", "x-tenant", "content-length", "host", "accept"] {
        assert_eq!(first.headers.get(name), last.headers.get(name), "{name}");
    }
    assert_eq!(last.headers["campanile-letter"], letter.id.to_string());
}

#[tokio::test]
async fn a_redrive_that_fails_keeps_the_letter_and_an_open_circuit_stops_it() {
    let server = Server::always(503).await;
    let (queue, breaker) = (DeadLetterQueue::in_memory(10), breaker());
    let payments =
        HttpClient::builder("payments", reqwest::Client::new()).letters(&queue).breaker(&breaker).build();
    payments.send(payments.client().post(server.url("/")).body("order 7")).await.unwrap();
    let report = queue.redrive_http(payments.http_service(), Redrive::all()).await.unwrap();
    assert_eq!((report.redriven, report.failed, server.requests()), (0, 1, 2));
    breaker.force_open();
    let report =
        queue.redrive_http(payments.http_service(), Redrive::all().max_pause(Duration::ZERO)).await.unwrap();
    assert_eq!((report.redriven, report.failed, server.requests()), (0, 0, 2));
    assert_eq!(queue.len().await.unwrap(), 1);
}

#[tokio::test]
async fn redirects_without_an_end_are_parked() {
    let server = Server::start(|_, _| redirect(307, "/")).await;
    let queue = DeadLetterQueue::in_memory(10);
    let payments = HttpClient::builder("payments", reqwest::Client::new()).letters(&queue).build();
    let order = payments.client().post(server.url("/orders")).body("order 7");
    assert!(payments.send(order).await.is_err());
    let id = queue.list(LetterFilter::all()).await.unwrap()[0].id;
    let letter = queue.get(id).await.unwrap().unwrap();
    let Payload::Http(request) = &letter.payload else { panic!("{:?}", letter.payload) };
    assert_eq!((request.body.as_slice(), &request.body_state), (&b"order 7"[..], &BodyState::Complete));
    assert_eq!((letter.error_type.as_str(), letter.kind), ("reqwest::Error", FailureKind::Error));
}

#[tokio::test]
async fn a_cancelled_call_is_parked_if_wanted_and_frees_its_layers() {
    let url = raw(None).await;
    let queue = DeadLetterQueue::builder("orders").park_cancelled(true).build().unwrap();
    let breaker = breaker();
    let payments =
        HttpClient::builder("payments", reqwest::Client::new()).letters(&queue).breaker(&breaker).build();
    let call = payments.send(payments.client().post(url).body("order 7"));
    assert!(tokio::time::timeout(Duration::from_millis(20), call).await.is_err());
    assert_eq!(totals(&breaker.snapshot()), (0, 1, 0));
    // A task parks it, because the caller has left.
    while queue.is_empty().await.unwrap() {
        tokio::task::yield_now().await;
    }
    assert_eq!(queue.list(LetterFilter::all()).await.unwrap()[0].error_type, "cancelled");
}
