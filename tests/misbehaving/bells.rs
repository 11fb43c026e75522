//! A gRPC service written by hand. Messages are text, and the test controls each of them.

use std::convert::Infallible;
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BufMut};
use campanile::{CircuitBreaker, Timing};
use http::{Request, Response};
use http_body::Body;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::{ReceiverStream, UnboundedReceiverStream};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{Grpc, NamedService};
use tonic::{Status, Streaming};
use tower::{BoxError, Service, service_fn};

use crate::breaker;

// ===== messages =====

/// A message is a line of text.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Text;

impl Codec for Text {
    type Encode = String;
    type Decode = String;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Text {
    type Item = String;
    type Error = Status;

    fn encode(&mut self, text: String, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(text.as_bytes());
        Ok(())
    }
}

impl Decoder for Text {
    type Item = String;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<String>, Status> {
        let bytes = buffer.copy_to_bytes(buffer.remaining());
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }
}

// ===== the service =====

pub(crate) const RING: &str = "/bells.Tower/Ring";
pub(crate) const COUNT: &str = "/bells.Tower/Count";
pub(crate) const ECHO: &str = "/bells.Tower/Echo";

pub(crate) type Answers = mpsc::Sender<Result<String, Status>>;

/// A received call.
pub(crate) struct Ring {
    /// Starts the response, or fails it.
    pub(crate) begin: oneshot::Sender<Result<(), Status>>,
    pub(crate) answers: Answers,
}

#[derive(Clone)]
struct Tower {
    rings: mpsc::UnboundedSender<Ring>,
    heard: mpsc::UnboundedSender<String>,
}

impl NamedService for Tower {
    const NAME: &'static str = "bells.Tower";
}

impl<B> Service<Request<B>> for Tower
where
    B: Body + Send + 'static,
    B::Error: Into<BoxError> + Send,
    B::Data: Send,
{
    type Response = Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let Self { rings, heard } = self.clone();
        Box::pin(async move {
            let mut grpc = Grpc::new(Text);
            let path = request.uri().path().to_owned();
            Ok(match path.as_str() {
                RING => grpc.server_streaming(service_fn(move |_| ring(rings.clone())), request).await,
                COUNT => {
                    let count = move |request: tonic::Request<_>| count(request, heard.clone());
                    grpc.client_streaming(service_fn(count), request).await
                }
                ECHO => {
                    let echo = |request: tonic::Request<_>| echo(request.into_inner());
                    grpc.streaming(service_fn(echo), request).await
                }
                _ => Status::unimplemented(path).into_http(),
            })
        })
    }
}

type Stream = ReceiverStream<Result<String, Status>>;

/// Streams the messages that the test sends.
async fn ring(rings: mpsc::UnboundedSender<Ring>) -> Result<tonic::Response<Stream>, Status> {
    let ((begin, started), (answers, stream)) = (oneshot::channel(), mpsc::channel(1));
    let _ = rings.send(Ring { begin, answers });
    started.await.unwrap_or_else(|_| Err(Status::aborted("the test has ended")))?;
    Ok(tonic::Response::new(ReceiverStream::new(stream)))
}

/// Counts messages until its client has ended the stream. `enough` ends the call earlier, `later` only the first time.
async fn count(
    request: tonic::Request<Streaming<String>>,
    heard: mpsc::UnboundedSender<String>,
) -> Result<tonic::Response<String>, Status> {
    let is_first = !request.metadata().contains_key("grpc-previous-rpc-attempts");
    let (mut messages, mut counted) = (request.into_inner(), 0);
    while let Some(message) = messages.message().await? {
        counted += 1;
        let _ = heard.send(message.clone());
        match message.as_str() {
            "enough" => return Err(Status::internal("enough")),
            "later" if is_first => return Err(Status::unavailable("later")),
            _ => {}
        }
    }
    Ok(tonic::Response::new(counted.to_string()))
}

/// Repeats each message, and sends a last one when its client has ended the stream.
async fn echo(
    messages: Streaming<String>,
) -> Result<tonic::Response<impl tokio_stream::Stream<Item = Result<String, Status>>>, Status> {
    Ok(tonic::Response::new(messages.chain(tokio_stream::once(Ok("good-bye".to_owned())))))
}

// ===== the server =====

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) breaker: CircuitBreaker,
    pub(crate) timing: Timing,
    pub(crate) rings: mpsc::UnboundedReceiver<Ring>,
    /// The messages that were counted.
    pub(crate) heard: mpsc::UnboundedReceiver<String>,
    connections: mpsc::UnboundedReceiver<std::net::TcpStream>,
}

impl Server {
    /// Starts a tonic server on a real socket, behind a timing and a breaker.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (breaker, timing) = (breaker(), Timing::new("server"));
        let (tell_ring, rings) = mpsc::unbounded_channel();
        let (tell_heard, heard) = mpsc::unbounded_channel();
        let (keep, connections) = mpsc::unbounded_channel();
        let (give, incoming) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let stream = stream.into_std().unwrap();
                let _ = keep.send(stream.try_clone().unwrap());
                if give.send(TcpStream::from_std(stream)).is_err() {
                    return;
                }
            }
        });
        tokio::spawn(
            tonic::transport::Server::builder()
                .layer(timing.grpc_server_layer())
                .layer(breaker.grpc_layer())
                .add_service(Tower { rings: tell_ring, heard: tell_heard })
                .serve_with_incoming(UnboundedReceiverStream::new(incoming)),
        );
        Self { address, breaker, timing, rings, heard, connections }
    }

    /// Ends all connections, also in the middle of calls.
    pub(crate) fn cut_connections(&mut self) {
        while let Ok(connection) = self.connections.try_recv() {
            connection.shutdown(Shutdown::Both).unwrap();
        }
    }
}
