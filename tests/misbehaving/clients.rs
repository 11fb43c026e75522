//! A hyper server behind breaker and timing, and clients that disconnect.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use campanile::{CircuitBreaker, Timing};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::StreamBody;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tower::ServiceBuilder;

use crate::{assert_idle, bounded, breaker, counts, outcomes, timed};

type Frames = mpsc::Sender<Result<Frame<Bytes>, Infallible>>;

/// A received request: the senders of what its handler waits for.
struct Asked {
    answer: oneshot::Sender<()>,
    body: Frames,
}

struct Server {
    address: SocketAddr,
    breaker: CircuitBreaker,
    timing: Timing,
    asked: mpsc::UnboundedReceiver<Asked>,
}

/// Starts a server. The test decides when it answers, and sends each frame of the body.
async fn start(half_close: bool) -> Server {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (breaker, timing) = (breaker(), Timing::new("server"));
    let (sender, asked) = mpsc::unbounded_channel();
    let handler = move |_: Request<Incoming>| {
        let sender = sender.clone();
        async move {
            let ((answer, answered), (body, frames)) = (oneshot::channel(), mpsc::channel(1));
            sender.send(Asked { answer, body }).unwrap();
            let _ = answered.await;
            Ok::<_, Infallible>(Response::new(StreamBody::new(ReceiverStream::new(frames))))
        }
    };
    let service = ServiceBuilder::new()
        .layer(timing.http_server_layer())
        .layer(breaker.http_layer())
        .service_fn(handler);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(
                hyper::server::conn::http1::Builder::new()
                    .half_close(half_close)
                    .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service.clone())),
            );
        }
    });
    Server { address, breaker, timing, asked }
}

async fn ask(server: &mut Server) -> (TcpStream, Asked) {
    let mut client = TcpStream::connect(server.address).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n").await.unwrap();
    let asked = server.asked.recv().await.unwrap();
    assert_eq!(server.timing.snapshot().in_flight, 1);
    (client, asked)
}

fn reset(client: TcpStream) {
    client.set_zero_linger().unwrap();
}

#[tokio::test]
async fn p07_a_client_that_resets_before_the_response_cancels_the_call() {
    bounded(async {
        let mut server = start(false).await;
        let (client, mut asked) = ask(&mut server).await;
        reset(client);
        asked.answer.closed().await;
        assert_eq!(outcomes(&server.breaker), counts([("ignored", 1)]));
        assert_eq!(timed(&server.timing), counts([("cancelled", 1)]));
        assert_idle(&server.breaker, &server.timing);
    })
    .await;
}

#[tokio::test]
async fn p07_a_client_that_resets_midway_ends_the_call_once() {
    bounded(async {
        let mut server = start(false).await;
        let (mut client, asked) = ask(&mut server).await;
        asked.answer.send(()).unwrap();
        asked.body.send(Ok(Frame::data(Bytes::from_static(b"ding")))).await.unwrap();
        read_until(&mut client, b"ding").await;
        assert_eq!((outcomes(&server.breaker), server.timing.snapshot().in_flight), (counts([]), 1));
        reset(client);
        asked.body.closed().await;
        assert_eq!(outcomes(&server.breaker), counts([("ignored", 1)]));
        assert_eq!(timed(&server.timing), counts([("ignored", 1)]));
        assert_idle(&server.breaker, &server.timing);
    })
    .await;
}

/// The server decides whether it answers on a half-closed connection. By default hyper does not.
#[tokio::test]
async fn p07_a_client_that_half_closes_may_wait_for_the_response() {
    for half_close in [true, false] {
        bounded(async {
            let mut server = start(half_close).await;
            let (mut client, mut asked) = ask(&mut server).await;
            client.shutdown().await.unwrap();
            if half_close {
                asked.answer.send(()).unwrap();
                asked.body.send(Ok(Frame::data(Bytes::from_static(b"ding")))).await.unwrap();
                drop(asked.body);
                let mut answer = Vec::new();
                client.read_to_end(&mut answer).await.unwrap();
                assert!(String::from_utf8_lossy(&answer).contains("ding"));
                assert_eq!(outcomes(&server.breaker), counts([("success", 1)]));
                assert_eq!(timed(&server.timing), counts([("fine", 1)]));
            } else {
                asked.answer.closed().await;
                assert_eq!(outcomes(&server.breaker), counts([("ignored", 1)]));
                assert_eq!(timed(&server.timing), counts([("cancelled", 1)]));
            }
            assert_idle(&server.breaker, &server.timing);
        })
        .await;
    }
}

async fn read_until(client: &mut TcpStream, end: &[u8]) {
    let mut read = Vec::new();
    while !read.windows(end.len()).any(|part| part == end) {
        assert!(client.read_buf(&mut read).await.unwrap() > 0);
    }
}
