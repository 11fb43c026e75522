//! Many callers of one client, and the trace that it carries on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use campanile::Telemetry;
use campanile::reqwest::HttpClient;
use http::Response;
use tracing::instrument::WithSubscriber;
use tracing::{Dispatch, Instrument, info_span};
use tracing_subscriber::prelude::*;

use crate::support::{Server, breaker, retry, status, totals};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_callers_share_a_client() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    // Each order fails at first.
    let server = Server::start(move |_, got| {
        let first =
            got.body.starts_with(b"first") && counted.fetch_add(1, Ordering::SeqCst).is_multiple_of(4);
        if first { status(503) } else { Response::new(got.body.clone().into()) }
    })
    .await;
    let (retry, breaker) = (retry().max_attempts(1_000).build().unwrap(), breaker());
    let timing = campanile::Timing::new("test");
    let payments = HttpClient::builder("payments", reqwest::Client::new())
        .retry(&retry)
        .breaker(&breaker)
        .timing(&timing)
        .build();
    let callers: Vec<_> = (0..64)
        .map(|caller| {
            let (payments, url) = (payments.clone(), server.url("/"));
            tokio::spawn(async move {
                for call in 0..20 {
                    let body = format!("first {caller} {call}");
                    let order = payments.client().put(&url).body(body.clone());
                    let response = payments.send(order).await.unwrap();
                    assert_eq!(response.text().await.unwrap(), body);
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    let (seen, retries) = (timing.snapshot(), retry.snapshot().retries);
    assert_eq!((seen.calls - seen.failed, seen.failed, seen.in_flight), (1_280, retries, 0));
    assert_eq!(totals(&breaker.snapshot()), (1_280, 0, retries));
    assert!(retries > 300, "{retries}");
}

#[tokio::test]
async fn each_attempt_carries_the_trace_on() {
    let server = Server::after(1).await;
    let retry = retry().build().unwrap();
    let telemetry = Telemetry::builder("test").variables(|_| None).build().unwrap();
    let payments =
        HttpClient::builder("payments", reqwest::Client::new()).retry(&retry).telemetry(&telemetry).build();
    let dispatch = Dispatch::new(tracing_subscriber::registry().with(telemetry.span_layer()));
    let order = payments.send(payments.client().get(server.url("/")));
    let call = async { order.instrument(info_span!("order")).await };
    call.with_subscriber(dispatch).await.unwrap();
    let got = server.got();
    let parents: Vec<_> = got.iter().map(|got| got.headers["traceparent"].to_str().unwrap()).collect();
    assert_eq!(parents.len(), 2);
    assert_eq!(parents[0][..35], parents[1][..35], "the same trace");
    assert_ne!(parents[0][36..52], parents[1][36..52], "a span for each attempt");
    let calls = telemetry.health().snapshot().component("payments").and_then(|found| found.calls.clone());
    assert_eq!(calls.map(|calls| (calls.total, calls.failed)), Some((2, 1)), "they count for the client");
}
