//! Which requests are sent again.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use campanile::reqwest::HttpClient;
use campanile::retry::GiveUp;
use campanile::{CallError, FailureKind, Timing};
use http::Method;
use http_body::Frame;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::bodies::stream;
use crate::support::{Server, breaker, failed, redirect, refused, retry, totals};

#[tokio::test]
async fn a_post_is_sent_again_only_if_it_is_idempotent_by_its_header() {
    for (method, key, requests) in [
        (Method::POST, false, 1),
        (Method::PATCH, false, 1),
        (Method::POST, true, 3),
        (Method::PUT, false, 3),
    ] {
        let server = Server::always(503).await;
        let retry = retry().build().unwrap();
        let payments = HttpClient::builder("payments", reqwest::Client::new()).retry(&retry).build();
        let mut order = payments.client().request(method.clone(), server.url("/")).body("order 7");
        if key {
            order = order.header("idempotency-key", "7");
        }
        assert_eq!(payments.send(order).await.unwrap().status(), 503);
        assert_eq!(server.requests(), requests, "{method}");
    }
}

#[tokio::test]
async fn a_post_that_found_no_connection_was_never_sent() {
    for body in [reqwest::Body::from("order 7"), reqwest::Body::default(), stream(3)] {
        let (retry, breaker, timing) = (retry().build().unwrap(), breaker(), Timing::new("test"));
        let payments = HttpClient::builder("payments", reqwest::Client::new())
            .retry(&retry)
            .breaker(&breaker)
            .timing(&timing)
            .build();
        match payments.send(payments.client().post(refused()).body(body)).await {
            Err(CallError::Inner(error)) => assert!(error.is_connect(), "{error:?}"),
            other => panic!("{other:?}"),
        }
        assert_eq!((retry.snapshot().retries, retry.snapshot().given_up[&GiveUp::Attempts]), (2, 1));
        assert_eq!(totals(&breaker.snapshot()), (0, 0, 3));
        assert_eq!(failed(&timing, FailureKind::Error), 3);
    }
}

#[tokio::test]
async fn a_post_that_a_server_redirected_was_sent() {
    for code in [301, 302, 303] {
        for body in [reqwest::Body::from("order 7"), reqwest::Body::default(), stream(3)] {
            let to = refused();
            let server = Server::start(move |_, _| redirect(code, &to)).await;
            let retry = retry().build().unwrap();
            let payments = HttpClient::builder("payments", reqwest::Client::new()).retry(&retry).build();
            match payments.send(payments.client().post(server.url("/")).body(body)).await {
                Err(CallError::Inner(error)) => assert!(error.is_connect(), "{error:?}"),
                other => panic!("{other:?}"),
            }
            assert_eq!(server.requests(), 1, "{code}");
            assert_eq!(retry.snapshot().given_up[&GiveUp::NotIdempotent], 1);
        }
    }
}

/// A body whose caller does not continue it.
struct Stalled(Option<Bytes>);

impl http_body::Body for Stalled {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        self.0.take().map_or(Poll::Pending, |chunk| Poll::Ready(Some(Ok(Frame::data(chunk)))))
    }
}

#[tokio::test]
async fn a_post_that_a_server_redirected_before_its_end_was_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
            let answer =
                format!("HTTP/1.1 303 See Other\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", refused());
            stream.write_all(answer.as_bytes()).await.unwrap();
            open.push(stream);
        }
    });
    let retry = retry().build().unwrap();
    let payments = HttpClient::builder("payments", reqwest::Client::new()).retry(&retry).build();
    let order = payments.client().post(url).body(reqwest::Body::wrap(Stalled(Some(Bytes::from("order")))));
    assert!(matches!(payments.send(order).await, Err(CallError::Inner(error)) if error.is_connect()));
    assert_eq!(retry.snapshot().given_up[&GiveUp::NotIdempotent], 1);
}

#[tokio::test]
async fn a_post_that_another_server_is_to_process_was_not() {
    let to = refused();
    let server = Server::start(move |_, _| redirect(307, &to)).await;
    let retry = retry().build().unwrap();
    let payments = HttpClient::builder("payments", reqwest::Client::new()).retry(&retry).build();
    let order = payments.client().post(server.url("/")).body("order 7");
    assert!(matches!(payments.send(order).await, Err(CallError::Inner(error)) if error.is_connect()));
    assert_eq!(server.requests(), 3);
}
