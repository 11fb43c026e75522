//! A real client and a real server on loopback.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use campanile::Retry;
use campanile::retry::{GiveUp, ReplayBody};
use http::header::RETRY_AFTER;
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tower::{Layer, ServiceExt};

use crate::support::{Count, builder, secs};

type Reply = Response<Full<Bytes>>;

/// Serves every connection with `answer`, which gets the number of the request and its body.
async fn serve(answer: fn(usize, Bytes) -> Reply) -> (SocketAddr, Count) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, requests) = (listener.local_addr().unwrap(), Count::default());
    let counted = requests.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let counted = counted.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                let counted = counted.clone();
                async move {
                    let body = request.into_body().collect().await.unwrap().to_bytes();
                    Ok::<_, Infallible>(answer(counted.add(), body))
                }
            });
            let server = hyper::server::conn::http1::Builder::new();
            tokio::spawn(server.serve_connection(TokioIo::new(stream), service));
        }
    });
    (address, requests)
}

fn client() -> Client<HttpConnector, ReplayBody> {
    Client::builder(TokioExecutor::new()).build_http()
}

fn request(method: Method, address: SocketAddr, body: &'static str) -> Request<Full<Bytes>> {
    let uri: Uri = format!("http://{address}/orders").parse().unwrap();
    Request::builder().method(method).uri(uri).body(Full::new(body.into())).unwrap()
}

fn retry() -> Retry {
    builder().build().unwrap()
}

/// The paused clock advances only while all tasks are idle, so the wait takes no real time.
#[tokio::test(start_paused = true)]
async fn p10_the_retry_after_of_a_server_is_kept() {
    let (address, requests) = serve(|number, body| {
        let mut response = Response::new(Full::new(body));
        if number < 3 {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            response.headers_mut().insert(RETRY_AFTER, "5".parse().unwrap());
        }
        response
    })
    .await;
    let retry = retry();
    let service = retry.http_layer().layer(client());
    let began = Instant::now();
    let response = service.oneshot(request(Method::PUT, address, "order 7")).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "order 7");
    assert_eq!((requests.get(), retry.snapshot().retries), (3, 2));
    assert!(began.elapsed() >= secs(10), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn p11_a_post_is_sent_once_to_a_server_that_answers() {
    let (address, requests) = serve(|_, _| {
        Response::builder().status(StatusCode::SERVICE_UNAVAILABLE).body(Full::default()).unwrap()
    })
    .await;
    let response =
        retry().http_layer().layer(client()).oneshot(request(Method::POST, address, "order")).await;
    assert_eq!(response.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(requests.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn p11_a_post_is_retried_if_the_connection_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let retry = retry();
    let error = retry
        .http_layer()
        .layer(client())
        .oneshot(request(Method::POST, address, "order"))
        .await
        .unwrap_err();
    // The error type of the client.
    assert!(error.is_connect());
    let counted = retry.snapshot();
    assert_eq!((counted.retries, counted.given_up[&GiveUp::Attempts]), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn p11_a_post_is_retried_if_there_is_no_connection_for_another_reason() {
    let connector = tower::service_fn(|_: Uri| {
        std::future::ready(Err::<TokioIo<TcpStream>, _>(std::io::Error::other("no such name")))
    });
    let client = Client::builder(TokioExecutor::new()).build::<_, ReplayBody>(connector);
    let retry = retry();
    let address = SocketAddr::from(([127, 0, 0, 1], 9));
    let error = retry.http_layer().layer(client).oneshot(request(Method::POST, address, "order")).await;
    assert!(error.unwrap_err().is_connect());
    assert_eq!(retry.snapshot().retries, 3);
}

#[tokio::test(start_paused = true)]
async fn p11_a_post_arrives_after_the_server_has_started() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let retry = builder().max_attempts(100).build().unwrap();
    let calling =
        tokio::spawn(retry.http_layer().layer(client()).oneshot(request(Method::POST, address, "order 7")));
    tokio::time::sleep(secs(5)).await;
    assert!(retry.snapshot().retries >= 2);
    let listener = TcpListener::bind(address).await.unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let service = service_fn(|request: Request<Incoming>| async {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            Ok::<_, Infallible>(Response::new(Full::new(body)))
        });
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await
    });
    let response = calling.await.unwrap().unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "order 7");
}
