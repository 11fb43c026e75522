//! Servers of the gRPC health protocol.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use campanile::health::{Finding, GrpcCheck, GrpcCheckSettings};
use tokio::net::TcpListener;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic_health::ServingStatus;

use crate::server::{Act, Server as RawServer};
use crate::{find, why};

/// A server of these services, and the number of connections that it accepted.
async fn serve(routes: tonic::service::Routes) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    let incoming = TcpListenerStream::new(listener).map(move |stream| {
        counted.fetch_add(1, Ordering::SeqCst);
        stream
    });
    tokio::spawn(Server::builder().add_routes(routes).serve_with_incoming(incoming));
    (address, connections)
}

#[tokio::test]
async fn only_serving_passes() {
    let (reporter, service) = tonic_health::server::health_reporter();
    let (address, connections) = serve(tonic::service::Routes::new(service)).await;
    let url = format!("http://{address}");
    let whole = GrpcCheck::builder(&*url).build().unwrap();
    let orders = GrpcCheck::builder(&*url).service("shop.v1.Orders").build().unwrap();
    assert_eq!(find(&whole).await, Finding::Pass);
    assert_eq!(
        why(find(&orders).await),
        format!(
            "{url}/, service `shop.v1.Orders`: the server has no such service (NOT_FOUND): use the full name from its \
             `.proto` file"
        )
    );
    for (status, found) in [
        (ServingStatus::NotServing, "the server reports NOT_SERVING"),
        (ServingStatus::Unknown, "the server reports UNKNOWN"),
    ] {
        reporter.set_service_status("shop.v1.Orders", status).await;
        assert_eq!(why(find(&orders).await), format!("{url}/, service `shop.v1.Orders`: {found}"));
        assert_eq!(find(&whole).await, Finding::Pass, "the server as a whole serves");
    }
    reporter.set_service_status("shop.v1.Orders", ServingStatus::Serving).await;
    assert_eq!(find(&orders).await, Finding::Pass);
    assert_eq!(connections.load(Ordering::SeqCst), 7, "one for each run");
}

#[tokio::test]
async fn a_server_without_the_health_service_fails() {
    let (address, _) = serve(tonic::service::Routes::default()).await;
    let found = why(find(&GrpcCheck::builder(format!("http://{address}/")).build().unwrap()).await);
    assert_eq!(
        found,
        format!(
            "http://{address}/: the server does not implement `grpc.health.v1` (UNIMPLEMENTED): add its health service"
        )
    );
}

#[tokio::test]
async fn a_failure_names_its_cause() {
    let server = RawServer::start(Act::Say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")).await;
    let check = GrpcCheck::builder(server.url("")).timeout(Duration::from_millis(500)).build().unwrap();
    // The server waits for the end of an HTTP/1 request, which never comes.
    let silence = why(find(&check).await);
    assert!(silence.ends_with("no answer within 500ms"), "{silence}");

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = listener.local_addr().unwrap();
    let leaves = GrpcCheck::builder(format!("http://{gone}")).build().unwrap();
    let leaving = tokio::spawn(async move {
        drop(listener.accept().await);
        listener
    });
    let left = why(find(&leaves).await);
    assert!(left.starts_with(&format!("http://{gone}/: ")) && !left.contains("Unknown"), "{left}");
    drop(leaving.await);
    let refused = why(find(&leaves).await);
    assert!(refused.contains("Connection refused"), "{refused}");
}

#[test]
fn invalid_settings_are_refused() {
    for (url, words) in [
        ("http://u:hunter2@a", "send them in a header"),
        ("http://a/grpc.health.v1.Health", "a URL without a path"),
        ("http://a?hunter2", "a URL without a path"),
        ("a:50051", "a scheme and a host"),
    ] {
        let error = GrpcCheck::builder(url).build().unwrap_err().to_string();
        assert!(error.contains(words) && !error.contains("hunter2"), "{error}");
    }
    let text = r#"{"url": "http://a", "service": "b", "timeout": "1s"}"#;
    let settings: GrpcCheckSettings = serde_json::from_str(text).unwrap();
    assert!(GrpcCheck::from_settings(&settings).is_ok());
    assert!(serde_json::from_str::<GrpcCheckSettings>(r#"{"services": "b"}"#).is_err());
}
