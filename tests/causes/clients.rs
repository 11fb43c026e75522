//! Clients with error types of their own, behind a stack of all layers.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use campanile::dead_letter::{Letter, LetterFilter};
use campanile::retry::{GiveUp, ReplayBody};
use campanile::{Backoff, CircuitBreaker, DeadLetterQueue, FailureKind, Retry, Timing};
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::{TokioExecutor, TokioIo};
use reqwest::dns::{Resolve, Resolving};
use tokio::net::{TcpListener, TcpStream};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};

/// The counts of a stack after one POST.
struct Seen {
    letter: Letter,
    breaker: [u64; 6],
    timing: [u64; 6],
    given_up: Option<GiveUp>,
}

/// Sends a POST through all layers around `client`, which fails.
async fn post<S, B, K>(client: S, uri: String) -> Seen
where
    S: Service<Request<ReplayBody>, Response = Response<B>> + Clone,
    S::Error: campanile::error::Cause<K> + fmt::Debug,
    B: http_body::Body,
    B::Error: Into<tower::BoxError>,
{
    let (queue, timing) = (DeadLetterQueue::in_memory(10), Timing::new("client"));
    let retry = Retry::builder()
        .max_attempts(3)
        .backoff(Backoff::constant(Duration::from_millis(1)))
        .build()
        .unwrap();
    let breaker = CircuitBreaker::builder("client").build().unwrap();
    let service = ServiceBuilder::new()
        .layer(queue.http_layer())
        .layer(retry.http_layer())
        .layer(breaker.http_layer())
        .layer(timing.http_client_layer())
        .service(client);
    let request = Request::post(uri).body(Full::new(Bytes::from("order 7"))).unwrap();
    assert!(service.oneshot(request).await.is_err());
    let given_up = retry.snapshot().given_up;
    Seen {
        letter: queue.list(LetterFilter::all()).await.unwrap().remove(0),
        breaker: breaker.snapshot().totals.failures,
        timing: timing.snapshot().failures,
        given_up: given_up.iter().find(|(_, count)| **count > 0).map(|(why, _)| *why),
    }
}

fn of_kind(kind: FailureKind, count: u64) -> [u64; 6] {
    FailureKind::ALL.map(|other| if other == kind { count } else { 0 })
}

impl Seen {
    /// Asserts that it was sent three times, because no attempt had reached a server.
    fn was_retried(&self) {
        assert_eq!((self.letter.tries, self.given_up), (3, Some(GiveUp::Attempts)), "{:?}", self.letter);
        assert_eq!(self.breaker, of_kind(self.letter.kind, 3));
        assert_eq!(self.timing, of_kind(self.letter.kind, 3));
    }

    /// Asserts that it was sent once, because it may have reached a server.
    fn was_not_retried(&self) {
        assert_eq!((self.letter.tries, self.given_up), (1, Some(GiveUp::NotIdempotent)), "{:?}", self.letter);
        assert_eq!(self.breaker, of_kind(self.letter.kind, 1));
        assert_eq!(self.timing, of_kind(self.letter.kind, 1));
    }
}

/// A port where nothing listens.
async fn unused() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap()
}

fn reqwest_client() -> reqwest::ClientBuilder {
    // A proxy of this machine would answer instead of the server.
    reqwest::Client::builder().no_proxy()
}

/// `client` as a service of `http`.
fn over_reqwest(
    client: reqwest::ClientBuilder,
) -> impl Service<Request<ReplayBody>, Response = Response<reqwest::Body>, Error = reqwest::Error> + Clone {
    let client = client.build().unwrap();
    service_fn(move |request: Request<ReplayBody>| {
        let client = client.clone();
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let request = reqwest::Request::try_from(Request::from_parts(head, body))?;
            client.execute(request).await.map(Response::from)
        }
    })
}

#[tokio::test]
async fn p11_a_post_by_reqwest_is_retried_if_the_connection_is_refused() {
    let seen = post(over_reqwest(reqwest_client()), format!("http://{}/orders", unused().await)).await;
    seen.was_retried();
    let Letter { kind, message, causes, error_type, .. } = &seen.letter;
    assert_eq!((*kind, error_type.as_str()), (FailureKind::Error, "reqwest::Error"));
    assert!(message.starts_with("error sending request"), "{message}");
    let root = causes.last().unwrap();
    assert!(root.contains("refused"), "{causes:?}");
    assert_eq!(seen.letter.attempts.len(), 3);
}

/// A resolver without any names.
struct Nameless;

impl Resolve for Nameless {
    fn resolve(&self, _: reqwest::dns::Name) -> Resolving {
        Box::pin(async { Err("no such host".into()) })
    }
}

#[tokio::test]
async fn p11_a_post_is_retried_if_its_host_has_no_address() {
    let client = reqwest_client().dns_resolver(std::sync::Arc::new(Nameless));
    let seen = post(over_reqwest(client), "http://payments.invalid/orders".to_owned()).await;
    seen.was_retried();
    assert_eq!(seen.letter.causes.last().unwrap(), "no such host");

    let nameless = service_fn(|_: Name| async {
        Err::<std::vec::IntoIter<SocketAddr>, _>(io::Error::other("no such host"))
    });
    let client = Client::builder(TokioExecutor::new()).build(HttpConnector::new_with_resolver(nameless));
    let seen = post(client, "http://payments.invalid/orders".to_owned()).await;
    seen.was_retried();
    assert_eq!(seen.letter.causes.last().unwrap(), "no such host");
}

/// A handshake that fails on an open connection, before a request is sent.
#[derive(Debug)]
struct Handshake;

impl fmt::Display for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("invalid peer certificate: Expired")
    }
}

impl Error for Handshake {}

#[tokio::test]
async fn p11_a_post_is_retried_if_the_handshake_failed() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let connector = service_fn(|uri: Uri| {
        Box::pin(async move {
            let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
            let stream = TcpStream::connect(authority).await.unwrap();
            if stream.peer_addr().is_ok() { Err(Handshake) } else { Ok(TokioIo::new(stream)) }
        })
    });
    let client = Client::builder(TokioExecutor::new()).build(connector);
    let seen = post(client, format!("http://{address}/orders")).await;
    seen.was_retried();
    assert_eq!(seen.letter.causes.last().unwrap(), "invalid peer certificate: Expired");
}

/// A server that reads the request and disconnects without a response.
#[tokio::test]
async fn p11_a_post_that_was_sent_is_not_retried() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let mut start = [0; 4];
            stream.readable().await.unwrap();
            let _ = stream.try_read(&mut start);
        }
    });
    let seen = post(over_reqwest(reqwest_client()), format!("http://{address}/orders")).await;
    seen.was_not_retried();
    assert_eq!(seen.letter.kind, FailureKind::Error);
    server.abort();
}

/// A server that accepts connections and never answers.
#[tokio::test(start_paused = true)]
async fn a_timeout_of_reqwest_is_a_timeout_for_every_layer() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = over_reqwest(reqwest_client().timeout(Duration::from_secs(5)));
    let seen = post(client, format!("http://{address}/orders")).await;
    seen.was_not_retried();
    assert_eq!(seen.letter.kind, FailureKind::Timeout, "{:?}", seen.letter);
    assert_eq!(seen.letter.causes.last().unwrap(), "operation timed out");
}
