//! A collector with scripted answers over HTTP and gRPC. It keeps the requests.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// A request that the collector received.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

pub(crate) struct Collector {
    pub(crate) address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    runtime: Option<Runtime>,
}

impl Collector {
    /// Answers request number `n`, counted from 0, with `answer(n)`.
    pub(crate) fn start(answer: impl Fn(usize) -> Response<Full<Bytes>> + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), answer)
    }

    pub(crate) fn start_at(
        address: SocketAddr,
        answer: impl Fn(usize) -> Response<Full<Bytes>> + Send + Sync + 'static,
    ) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind(address)).unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (answer, turn, seen) = (Arc::new(answer), Arc::new(AtomicUsize::new(0)), Arc::clone(&requests));
        runtime.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (answer, turn, seen) = (Arc::clone(&answer), Arc::clone(&turn), Arc::clone(&seen));
                let service = hyper::service::service_fn(move |request: http::Request<Incoming>| {
                    let (answer, turn, seen) = (Arc::clone(&answer), Arc::clone(&turn), Arc::clone(&seen));
                    async move {
                        let (head, body) = request.into_parts();
                        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
                        let path = head.uri.path().to_owned();
                        seen.lock().unwrap().push(Request { path, headers: head.headers, body });
                        Ok::<_, Infallible>(answer(turn.fetch_add(1, Ordering::Relaxed)))
                    }
                });
                tokio::spawn(async move {
                    // An error means that the client closed the connection, which it may.
                    let _ = auto::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { address, requests, runtime: Some(runtime) }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        // The end of the runtime closes the listener and every connection.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(60));
        }
    }
}

/// An answer over HTTP.
pub(crate) fn http(status: u16, body: &'static [u8]) -> Response<Full<Bytes>> {
    Response::builder().status(status).body(Full::from(body)).unwrap()
}

/// An answer over gRPC without a message.
pub(crate) fn grpc(status: u16) -> Response<Full<Bytes>> {
    Response::builder()
        .header("content-type", "application/grpc")
        .header("grpc-status", status)
        .body(Full::default())
        .unwrap()
}

/// A successful answer over gRPC with a framed message. Its status is among the headers.
pub(crate) fn grpc_with(message: &'static [u8]) -> Response<Full<Bytes>> {
    let mut answer = grpc(0);
    *answer.body_mut() = Full::from(message);
    answer
}
