//! A server that answers by a function and keeps its requests, and settings that several tests share.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use campanile::breaker::BreakerSnapshot;
use campanile::retry::RetryBuilder;
use campanile::{Backoff, CircuitBreaker, FailureKind, Retry, Timing, Window};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

pub(crate) type Answer = Response<Full<Bytes>>;

/// A request as the server got it.
#[derive(Clone, Debug)]
pub(crate) struct Got {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A server on loopback.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    got: Arc<Mutex<Vec<Got>>>,
}

impl Server {
    /// Answers each request by `answer`, which gets the number of the request, from 1.
    pub(crate) async fn start(answer: impl Fn(usize, &Got) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self { address: listener.local_addr().unwrap(), got: Arc::default() };
        let (got, answer) = (Arc::clone(&server.got), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (got, answer) = (Arc::clone(&got), Arc::clone(&answer));
                let service = service_fn(move |request: Request<Incoming>| {
                    let (got, answer) = (Arc::clone(&got), Arc::clone(&answer));
                    async move {
                        let (head, body) = request.into_parts();
                        // A caller may break off in the middle of its body.
                        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
                        let (path, headers) = (head.uri.to_string(), head.headers);
                        let request = Got { method: head.method, path, headers, body };
                        let number = {
                            let mut got = got.lock().unwrap();
                            got.push(request.clone());
                            got.len()
                        };
                        Ok::<_, Infallible>(answer(number, &request))
                    }
                });
                let server = hyper::server::conn::http1::Builder::new();
                tokio::spawn(server.serve_connection(TokioIo::new(stream), service));
            }
        });
        server
    }

    /// Answers each request with this status.
    pub(crate) async fn always(code: u16) -> Self {
        Self::start(move |_, _| status(code)).await
    }

    /// Answers the first requests with 503, and then with 200 and the body of the request.
    pub(crate) async fn after(failures: usize) -> Self {
        Self::start(
            move |number, got| {
                if number <= failures { status(503) } else { Response::new(got.body.clone().into()) }
            },
        )
        .await
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }

    pub(crate) fn requests(&self) -> usize {
        self.got.lock().unwrap().len()
    }
}

pub(crate) fn status(code: u16) -> Answer {
    let mut response = Answer::default();
    *response.status_mut() = StatusCode::from_u16(code).unwrap();
    response
}

pub(crate) fn redirect(code: u16, to: &str) -> Answer {
    let mut response = status(code);
    response.headers_mut().insert(http::header::LOCATION, to.parse().unwrap());
    response
}

/// A server that reads a request, writes `answer` and closes the connection; without an answer it is silent.
pub(crate) async fn raw(answer: Option<&'static str>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut silent = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            match answer {
                Some(answer) => stream.write_all(answer.as_bytes()).await.unwrap_or_default(),
                None => silent.push(stream),
            }
        }
    });
    format!("http://{address}/")
}

/// The URL of a port on which nothing listens.
pub(crate) fn refused() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}/", listener.local_addr().unwrap())
}

/// Three attempts, a millisecond apart and without a budget.
pub(crate) fn retry() -> RetryBuilder {
    Retry::builder()
        .name("test")
        .max_attempts(3)
        .backoff(Backoff::constant(Duration::from_millis(1)))
        .budget(None)
}

/// Opens after 10 calls of which half have failed.
pub(crate) fn breaker() -> CircuitBreaker {
    CircuitBreaker::builder("test").window(Window::count(100)).minimum_calls(10).build().unwrap()
}

pub(crate) fn failed(timing: &Timing, kind: FailureKind) -> u64 {
    timing.snapshot().failures[kind.index()]
}

/// Successes, ignored calls and failures.
pub(crate) fn totals(snapshot: &BreakerSnapshot) -> (u64, u64, u64) {
    let totals = &snapshot.totals;
    (totals.successes, totals.ignored, totals.failures.iter().sum())
}
