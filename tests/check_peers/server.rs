//! An HTTP server on a bare socket, which can violate the protocol.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What the server does after reading a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    /// Sends these bytes and closes the connection.
    Say(&'static str),
    /// Sends these bytes and reads the next request.
    Keep(&'static str),
    /// Resets the connection.
    Reset,
    /// Sends a head and a body that never ends.
    Endless,
    /// Sends a head and no body.
    HeadOnly,
    /// Sends nothing.
    Silence,
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    act: watch::Sender<Act>,
    connections: Arc<AtomicUsize>,
    request: watch::Receiver<String>,
}

impl Server {
    pub(crate) async fn start(act: Act) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (act, acts) = watch::channel(act);
        let (tell, request) = watch::channel(String::new());
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, acts.clone(), tell.clone()));
            }
        });
        Self { address, act, connections, request }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn now(&self, act: Act) {
        self.act.send_replace(act);
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The head of the last request, in lower case.
    pub(crate) fn request(&self) -> String {
        self.request.borrow().clone()
    }
}

/// Errors are ignored: the client may close the connection.
async fn serve(
    mut stream: TcpStream,
    acts: watch::Receiver<Act>,
    tell: watch::Sender<String>,
) -> std::io::Result<()> {
    let mut read = Vec::new();
    let act = loop {
        read.clear();
        while !read.ends_with(b"\r\n\r\n") {
            if stream.read_buf(&mut read).await? == 0 {
                return Ok(());
            }
        }
        tell.send_replace(String::from_utf8_lossy(&read).to_lowercase());
        let act = *acts.borrow();
        match act {
            Act::Keep(text) => stream.write_all(text.as_bytes()).await?,
            act => break act,
        }
    };
    match act {
        Act::Keep(_) => {}
        Act::Say(text) => stream.write_all(text.as_bytes()).await?,
        Act::Reset => stream.set_zero_linger()?,
        Act::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await?;
            let chunk = format!("2000\r\n{}\r\n", "m".repeat(0x2000));
            loop {
                stream.write_all(chunk.as_bytes()).await?;
            }
        }
        Act::HeadOnly => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n").await?;
            stream.read_buf(&mut read).await?;
        }
        Act::Silence => {
            stream.read_buf(&mut read).await?;
        }
    }
    Ok(())
}
