//! tonic's `Server::layer`, and the server's own timeouts and limits.

use std::io;
use std::time::Duration;

use campanile::outcome::ByGrpcStatus;
use campanile::retry::{GiveUp, ReplayBody};
use campanile::{FailureKind, Timing};
use http::Request;
use hyper_util::rt::TokioIo;
use tokio::io::DuplexStream;
use tokio_stream::{Stream, StreamExt};
use tonic::Code;
use tonic::service::InterceptorLayer;
use tonic::transport::{Channel, Endpoint, Server, Uri};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::health_server::{Health, HealthServer};
use tower::util::MapFutureLayer;
use tower::{ServiceBuilder, service_fn};

use crate::support::{breaker, of_kind, retry, secs};

/// The two ends of one connection: a channel, and the connections of a server.
fn connection() -> (Channel, impl Stream<Item = io::Result<DuplexStream>>) {
    let (client, server) = tokio::io::duplex(65_536);
    let mut client = Some(client);
    let connector = service_fn(move |_: Uri| {
        let client = client.take().ok_or(io::ErrorKind::ConnectionRefused);
        async move { Ok::<_, io::Error>(TokioIo::new(client?)) }
    });
    let channel = Endpoint::from_static("http://shop").connect_with_connector_lazy(connector);
    (channel, tokio_stream::once(Ok(server)).chain(tokio_stream::pending()))
}

fn service() -> HealthServer<impl Health> {
    tonic_health::server::health_reporter().1
}

fn whole_server() -> HealthCheckRequest {
    HealthCheckRequest::default()
}

#[tokio::test(start_paused = true)]
async fn the_first_layer_of_a_server_is_the_outermost() {
    let (breaker, timing) = (breaker(), Timing::new("test"));
    let (channel, incoming) = connection();
    tokio::spawn(
        Server::builder()
            .layer(timing.grpc_server_layer())
            .layer(breaker.grpc_layer())
            .add_service(service())
            .serve_with_incoming(incoming),
    );
    let mut client = HealthClient::new(channel);
    client.check(whole_server()).await.unwrap();
    breaker.force_open();
    assert_eq!(client.check(whole_server()).await.unwrap_err().code(), Code::Unavailable);
    // Timing is outside: it sees the refusal.
    assert_eq!((timing.snapshot().calls, timing.snapshot().failed), (2, 1));
    let totals = breaker.snapshot().totals;
    assert_eq!((totals.successes, totals.rejected), (1, 1));
}

/// tonic's `add_service` asks for the name of a service, which is that of the inner one.
#[tokio::test(start_paused = true)]
async fn layers_go_around_one_service_of_a_server() {
    let (breaker, timing) = (breaker(), Timing::new("test"));
    let queue = campanile::DeadLetterQueue::in_memory(10);
    let (channel, incoming) = connection();
    let layered = ServiceBuilder::new()
        .layer(queue.grpc_layer())
        .layer(retry().grpc_layer())
        .layer(breaker.grpc_layer())
        .layer(timing.grpc_server_layer())
        .service(service());
    tokio::spawn(Server::builder().add_service(layered).serve_with_incoming(incoming));
    HealthClient::new(channel).check(whole_server()).await.unwrap();
    assert_eq!((timing.snapshot().calls, breaker.snapshot().totals.successes), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn the_layers_for_http_do_not_see_that_a_grpc_call_failed() {
    let (http, grpc) = (breaker(), breaker());
    let (channel, incoming) = connection();
    let fails = |_: tonic::Request<()>| Err(tonic::Status::internal("broken"));
    tokio::spawn(
        Server::builder()
            .layer(http.http_layer())
            .layer(grpc.grpc_layer())
            .layer(InterceptorLayer::new(fails))
            .add_service(service())
            .serve_with_incoming(incoming),
    );
    let status = HealthClient::new(channel).check(whole_server()).await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    assert_eq!((http.snapshot().totals.successes, http.snapshot().failures), (1, 0));
    assert_eq!((grpc.snapshot().totals.successes, grpc.snapshot().failures), (0, 1));
}

/// The server's timeout and the `grpc-timeout` of a client are outside of all layers.
#[tokio::test(start_paused = true)]
async fn the_timeout_of_a_server_is_a_cancellation_for_its_layers() {
    let (breaker, timing) = (breaker(), Timing::new("test"));
    let (channel, incoming) = connection();
    let hangs = MapFutureLayer::new(|call| async move {
        std::future::pending::<()>().await;
        call.await
    });
    tokio::spawn(
        Server::builder()
            .timeout(secs(5))
            .layer(timing.grpc_server_layer())
            .layer(breaker.grpc_layer())
            .layer(hangs)
            .add_service(service())
            .serve_with_incoming(incoming),
    );
    let mut client = HealthClient::new(channel);
    let status = client.check(whole_server()).await.unwrap_err();
    assert!(status.message().to_lowercase().contains("timeout"), "{status:?}");
    let mut hasty = tonic::Request::new(whole_server());
    hasty.set_timeout(secs(2));
    client.check(hasty).await.unwrap_err();
    // The client measures the time too, and may report it first.
    tokio::time::sleep(secs(1)).await;
    assert_eq!(of_kind(breaker.snapshot().totals.failures, FailureKind::Cancelled), 2);
    assert_eq!(of_kind(timing.snapshot().failures, FailureKind::Cancelled), 2);
}

/// The server's concurrency limit and load shedding are outside too.
#[tokio::test(start_paused = true)]
async fn calls_that_a_server_sheds_never_reach_its_layers() {
    let (breaker, timing) = (breaker(), Timing::new("test"));
    let (channel, incoming) = connection();
    let slow = MapFutureLayer::new(|call| async move {
        tokio::time::sleep(Duration::from_millis(500)).await;
        call.await
    });
    tokio::spawn(
        Server::builder()
            .concurrency_limit_per_connection(1)
            .load_shed(true)
            .layer(timing.grpc_server_layer())
            .layer(breaker.grpc_layer())
            .layer(slow)
            .add_service(service())
            .serve_with_incoming(incoming),
    );
    let client = HealthClient::new(channel);
    let (mut first, mut second) = (client.clone(), client);
    let (first, second) = tokio::join!(first.check(whole_server()), second.check(whole_server()));
    assert_eq!(u8::from(first.is_ok()) + u8::from(second.is_ok()), 1);
    assert_eq!((breaker.snapshot().totals.successes, timing.snapshot().calls), (1, 1));
    assert_eq!((breaker.snapshot().totals.failures, timing.snapshot().failed), ([0; 6], 0));
}

/// A channel that can never connect.
fn refused() -> Channel {
    let connector = service_fn(|_: Uri| async {
        Err::<TokioIo<DuplexStream>, _>(io::Error::from(io::ErrorKind::ConnectionRefused))
    });
    Endpoint::from_static("http://shop").connect_with_connector_lazy(connector)
}

fn body(request: Request<ReplayBody>) -> Request<tonic::body::Body> {
    request.map(tonic::body::Body::new)
}

/// Every gRPC request is a POST, which is sent again only if it cannot have been processed. Both retries recognise the
/// error of a channel without a connection.
#[tokio::test(start_paused = true)]
async fn a_retry_detects_that_there_was_no_connection() {
    let (http, grpc) = (retry(), retry());
    let stack = ServiceBuilder::new()
        .layer(http.http_layer().classify(ByGrpcStatus))
        .map_request(body)
        .service(refused());
    HealthClient::new(stack).check(whole_server()).await.unwrap_err();
    assert_eq!((http.snapshot().retries, http.snapshot().given_up[&GiveUp::Attempts]), (2, 1));

    let (breaker, timing) = (breaker(), Timing::new("test"));
    let stack = ServiceBuilder::new()
        .layer(grpc.grpc_layer())
        .layer(breaker.grpc_layer())
        .layer(timing.grpc_client_layer())
        .map_request(body)
        .service(refused());
    HealthClient::new(stack).check(whole_server()).await.unwrap_err();
    assert_eq!((grpc.snapshot().retries, grpc.snapshot().given_up[&GiveUp::Attempts]), (2, 1));
    assert_eq!((breaker.snapshot().failures, timing.snapshot().failed), (3, 3));
}
