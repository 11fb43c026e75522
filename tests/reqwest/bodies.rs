//! Bodies of requests and responses.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use campanile::reqwest::HttpClient;
use campanile::retry::GiveUp;
use campanile::{FailureKind, Timing};
use http_body::Frame;

use crate::support::{Server, breaker, failed, raw, retry, totals};

/// A body of `left` chunks of 1 KiB, whose length reqwest does not know.
struct Chunks {
    left: u8,
}

impl http_body::Body for Chunks {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let Some(left) = self.left.checked_sub(1) else { return Poll::Ready(None) };
        self.left = left;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(vec![left; 1024])))))
    }
}

pub(crate) fn stream(chunks: u8) -> reqwest::Body {
    reqwest::Body::wrap(Chunks { left: chunks })
}

fn bytes(chunks: u8) -> Vec<u8> {
    (0..chunks).rev().flat_map(|left| vec![left; 1024]).collect()
}

#[tokio::test]
async fn bodies_are_sent_again_byte_for_byte() {
    let large: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
    // Bytes in memory may exceed the cap. A stream may not.
    let bodies: [(reqwest::Body, Vec<u8>); 4] = [
        (reqwest::Body::from(large.clone()), large),
        (reqwest::Body::from("order 7"), b"order 7".to_vec()),
        (stream(64), bytes(64)),
        (reqwest::Body::default(), Vec::new()),
    ];
    for (body, sent) in bodies {
        let server = Server::after(2).await;
        let retry = retry().body_cap(64 * 1024).build().unwrap();
        let payments = HttpClient::builder("payments", reqwest::Client::new()).retry(&retry).build();
        let response = payments.send(payments.client().put(server.url("/")).body(body)).await.unwrap();
        assert_eq!(response.bytes().await.unwrap(), sent);
        assert_eq!(server.requests(), 3);
        assert!(server.got().iter().all(|got| got.body == sent));
    }
}

#[tokio::test]
async fn a_stream_beyond_the_cap_is_sent_once_and_whole() {
    let server = Server::after(2).await;
    let retry = retry().body_cap(64 * 1024).build().unwrap();
    let payments = HttpClient::builder("payments", reqwest::Client::new()).retry(&retry).build();
    let response = payments.send(payments.client().put(server.url("/")).body(stream(65))).await.unwrap();
    assert_eq!((response.status().as_u16(), server.requests()), (503, 1));
    assert_eq!(server.got()[0].body, bytes(65));
    assert_eq!(retry.snapshot().given_up[&GiveUp::Body], 1);
}

#[tokio::test]
async fn a_response_that_breaks_off_is_a_failure_at_its_end() {
    let url = raw(Some("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\ntwo")).await;
    let (breaker, timing) = (breaker(), Timing::new("test"));
    let payments =
        HttpClient::builder("payments", reqwest::Client::new()).breaker(&breaker).timing(&timing).build();
    let response = payments.send(payments.client().get(url)).await.unwrap();
    assert_eq!((totals(&breaker.snapshot()), timing.snapshot().calls), ((0, 0, 0), 0));
    let error = response.bytes().await.unwrap_err();
    assert!(error.is_body() || error.is_decode(), "{error:?}");
    assert_eq!(totals(&breaker.snapshot()), (0, 0, 1));
    assert_eq!(failed(&timing, FailureKind::Error), 1);
}
