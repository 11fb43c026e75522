//! An HTTP server on a bare socket that does as it is told, whatever HTTP says.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What happens on a connection once the request has been read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    /// These bytes, and the end of the connection.
    Say(&'static str),
    /// These bytes, and an ear for the next request.
    Keep(&'static str),
    /// The end of the connection by a reset.
    Reset,
    /// A head and a body that never ends.
    Endless,
    /// A head, and nothing more.
    HeadOnly,
    /// Nothing at all.
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

/// An error is one of a client that went away, which it may.
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
