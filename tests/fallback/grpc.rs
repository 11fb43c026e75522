//! The layer for gRPC around tonic's channel.

use std::net::{Ipv4Addr, SocketAddr};

use campanile::fallback::{self, FallbackKind};
use campanile::{CircuitBreaker, Fallback};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Channel, Server};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower::{Layer, ServiceBuilder};

async fn server() -> SocketAddr {
    let (reporter, service) = tonic_health::server::health_reporter();
    reporter.set_service_status("shop", tonic_health::ServingStatus::Serving).await;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let incoming = TcpListenerStream::new(listener);
    tokio::spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
    address
}

#[tokio::test]
async fn a_status_of_a_failure_leads_to_the_fallback_and_not_found_is_an_answer() {
    let address = server().await;
    let channel = || Channel::from_shared(format!("http://{address}")).unwrap().connect_lazy();
    let (fallback, breaker) = (Fallback::new("shop"), CircuitBreaker::builder("shop").build().unwrap());
    let primary = ServiceBuilder::new().layer(breaker.grpc_layer()).service(channel());

    // Bodies of tonic are not `Clone`, so a value answers: an empty message, which is the status `UNKNOWN` of health.
    let mut value = http::Response::new(bytes::Bytes::from_static(&[0, 0, 0, 0, 0]));
    value.headers_mut().insert("content-type", http::HeaderValue::from_static("application/grpc"));
    value.headers_mut().insert("grpc-status", http::HeaderValue::from_static("0"));
    let stack = fallback.grpc_layer(fallback::value(value)).layer(primary);
    let mut client = HealthClient::new(stack);
    let check = |service: &str| HealthCheckRequest { service: service.to_owned() };

    assert_eq!(client.check(check("shop")).await.unwrap().into_inner().status, 1);
    assert_eq!(client.check(check("unknown")).await.unwrap_err().code(), tonic::Code::NotFound);
    breaker.force_open();
    let answer = client.check(check("shop")).await.unwrap();
    assert_eq!(answer.into_inner().status, 0);
    let snapshot = fallback.snapshot();
    assert_eq!((snapshot.successes, snapshot.answered[&FallbackKind::Value]), (2, 1));
}
