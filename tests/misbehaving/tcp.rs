//! A scripted HTTP server on a plain socket, which may break the protocol.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};

/// What the server does on a connection after it has read the request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    /// A whole response.
    Answer,
    /// Closes the connection without a response.
    Close,
    /// Resets the connection.
    Reset,
    /// Sends text that is not HTTP.
    Garbage,
    /// Waits until the server is released, then sends a whole response.
    Stall,
    /// Sends a head that promises ten bytes and this number of them. When the server is released, does the next.
    Part(usize, Then),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Then {
    /// Sends the rest.
    Finish,
    Reset,
    /// Ends its side of the connection. The other side stays open.
    HalfClose,
}

pub(crate) const BODY: &[u8] = b"0123456789";

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// The first line of each request that was read.
    pub(crate) requests: mpsc::UnboundedReceiver<String>,
    released: Arc<Semaphore>,
}

impl Server {
    /// Starts the server. Each connection gets the next act; later ones get a response.
    pub(crate) async fn start(acts: impl IntoIterator<Item = Act>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, requests) = mpsc::unbounded_channel();
        let released = Arc::new(Semaphore::new(0));
        let mut acts: VecDeque<_> = acts.into_iter().collect();
        let release = Arc::clone(&released);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let act = acts.pop_front().unwrap_or(Act::Answer);
                tokio::spawn(serve(stream, act, sender.clone(), Arc::clone(&release)));
            }
        });
        Self { address, requests, released }
    }

    /// Releases one connection.
    pub(crate) fn release(&self) {
        self.released.add_permits(1);
    }

    /// The number of requests that were read since the last call of this.
    pub(crate) fn requests(&mut self) -> usize {
        std::iter::from_fn(|| self.requests.try_recv().ok()).count()
    }
}

/// An error means that the client disconnected, which is allowed.
async fn serve(
    mut stream: TcpStream,
    act: Act,
    sender: mpsc::UnboundedSender<String>,
    released: Arc<Semaphore>,
) -> std::io::Result<()> {
    let request = read_request(&mut stream).await?;
    let _ = sender.send(request.lines().next().unwrap_or_default().to_owned());
    match act {
        Act::Answer => answer(&mut stream).await?,
        Act::Close => {}
        Act::Reset => stream.set_zero_linger()?,
        Act::Garbage => stream.write_all(b"\x16\x03\x01 what is this\r\n\r\n").await?,
        Act::Stall => {
            wait(&released).await;
            answer(&mut stream).await?;
        }
        Act::Part(length, then) => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n").await?;
            stream.write_all(&BODY[..length]).await?;
            wait(&released).await;
            match then {
                Then::Finish => stream.write_all(&BODY[length..]).await?,
                Then::Reset => stream.set_zero_linger()?,
                Then::HalfClose => {
                    stream.shutdown().await?;
                    stream.read_to_end(&mut Vec::new()).await?;
                }
            }
        }
    }
    Ok(())
}

async fn wait(released: &Semaphore) {
    if let Ok(permit) = released.acquire().await {
        permit.forget();
    }
}

async fn answer(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\nconnection: close\r\n\r\n").await?;
    stream.write_all(BODY).await
}

/// Reads the head of a request, and its body of known length: closing a socket with unread data is a reset.
async fn read_request(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut read = Vec::new();
    loop {
        if stream.read_buf(&mut read).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let text = String::from_utf8_lossy(&read).to_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.trim().parse().unwrap()) {
                return Ok(text);
            }
        }
    }
}
