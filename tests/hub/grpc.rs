//! gRPC clients and servers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use campanile::{Campanile, LetterFilter, Redrive};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::Code;
use tonic::transport::{Channel, Server};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::program::started;

/// A server behind the layer of the hub, which refuses as many calls as the result says.
async fn ledger(campanile: &Campanile, name: &'static str) -> (Channel, Arc<AtomicUsize>) {
    let (reporter, service) = tonic_health::server::health_reporter();
    reporter.set_service_status("shop", tonic_health::ServingStatus::Serving).await;
    let failures = Arc::new(AtomicUsize::new(0));
    let left = Arc::clone(&failures);
    let flaky = move |request: tonic::Request<()>| {
        let fails = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        if fails { Err(tonic::Status::unavailable("not now")) } else { Ok(request) }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let layer = campanile.server(name).build().unwrap().grpc_layer();
    tokio::spawn(
        Server::builder()
            .layer(layer)
            .layer(tonic::service::InterceptorLayer::new(flaky))
            .add_service(service)
            .serve_with_incoming(TcpListenerStream::new(listener)),
    );
    (Channel::from_shared(format!("http://{address}")).unwrap().connect_lazy(), failures)
}

fn check(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

#[tokio::test]
async fn a_client_of_tonic_retries_parks_and_is_refused_by_an_open_circuit() {
    let campanile = started(&[
        "dependency.ledger.retry={max_attempts=3, backoff={first=\"1ms\", max=\"1ms\"}}",
        "dependency.ledger.breaker.consecutive_failures=9",
        "dependency.ledger.letters={opaque_bodies=true}",
    ])
    .await;
    let (channel, failures) = ledger(&campanile, "ledger-server").await;
    let ledger = campanile.dependency("ledger").build().await.unwrap();
    let mut client = HealthClient::new(ledger.grpc_client(channel.clone()));

    failures.store(2, Ordering::SeqCst);
    client.check(check("shop")).await.unwrap();
    let (timed, circuit) = (ledger.timing().snapshot(), ledger.breaker().unwrap().snapshot());
    assert_eq!((timed.calls, timed.failed, circuit.calls, circuit.failures), (3, 2, 3, 2));
    let served = campanile.server("ledger-server").build().unwrap().timing().snapshot();
    assert_eq!((served.calls, served.failed), (3, 2));

    // The caller's own fault is not a failure of the service: not retried, not parked.
    let letters = ledger.letters().unwrap();
    assert_eq!(client.check(check("unknown")).await.unwrap_err().code(), Code::NotFound);
    assert_eq!((ledger.timing().snapshot().calls, letters.len().await.unwrap()), (4, 0));

    failures.store(3, Ordering::SeqCst);
    assert_eq!(client.check(check("shop")).await.unwrap_err().code(), Code::Unavailable);
    ledger.breaker().unwrap().force_open();
    let refused = client.check(check("shop")).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert!(refused.message().contains("ledger"), "{}", refused.message());
    assert_eq!((ledger.timing().snapshot().calls, letters.count(LetterFilter::all()).await.unwrap()), (7, 2));

    ledger.breaker().unwrap().reset();
    let report = letters.redrive_http(ledger.grpc_client(channel), Redrive::all().rate(1_000)).await.unwrap();
    assert_eq!((report.redriven, letters.len().await.unwrap()), (2, 0), "{report:?}");
}

#[tokio::test]
async fn a_client_of_tonic_without_letters_retry_and_circuit_is_still_timed() {
    let campanile =
        started(&["dependency.thin-ledger.retry=false", "dependency.thin-ledger.breaker=false"]).await;
    let (channel, failures) = ledger(&campanile, "thin-ledger-server").await;
    failures.store(1, Ordering::SeqCst);
    let thin = campanile.dependency("thin-ledger").build().await.unwrap();
    let mut client = HealthClient::new(thin.grpc_client(channel));
    assert_eq!(client.check(check("shop")).await.unwrap_err().code(), Code::Unavailable);
    client.check(check("shop")).await.unwrap();
    assert_eq!((thin.timing().snapshot().calls, thin.timing().snapshot().failed), (2, 1));
}
