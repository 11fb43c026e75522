//! Accepts the connections of the metrics server, within bounds.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::pages::Pages;

/// How long requests in progress may take at the end.
pub(in crate::edge::serve) const END_WITHIN: Duration = Duration::from_secs(1);

/// How long the head of a request may take to arrive.
const HEAD: Duration = Duration::from_secs(10);

/// How long a connection may take.
const CONNECTION: Duration = Duration::from_secs(30);

/// How long to wait after the system refused a connection, such as for want of file descriptors.
const REFUSED: Duration = Duration::from_millis(500);

/// The smallest buffer that hyper allows.
const BUFFER: usize = 8_192;

/// Serves until `stopped` ends.
pub(super) async fn serve(
    listener: TcpListener,
    pages: Pages,
    max_connections: usize,
    mut stopped: oneshot::Receiver<()>,
) {
    let mut connections: VecDeque<JoinHandle<()>> = VecDeque::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = &mut stopped => break,
        };
        connections.retain(|connection| !connection.is_finished());
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) if is_of_client(&error) => continue,
            Err(_) => {
                // Its descriptor may serve the next one, of this port or of the program's.
                match connections.pop_front() {
                    Some(oldest) => end(oldest).await,
                    None => sleep(REFUSED).await,
                }
                continue;
            }
        };
        if connections.len() >= max_connections
            && let Some(oldest) = connections.pop_front()
        {
            // A page takes milliseconds, so the oldest is the least likely to be of use.
            oldest.abort();
        }
        connections.push_back(tokio::spawn(connection(stream, pages.clone())));
    }
    drop(listener);
    let all_end = async {
        for connection in connections {
            let _ = connection.await;
        }
    };
    let _ = timeout(END_WITHIN, all_end).await;
}

/// Whether a client left before its connection was accepted.
fn is_of_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Ends a connection, and waits until it is closed.
async fn end(connection: JoinHandle<()>) {
    connection.abort();
    let _ = connection.await;
}

/// One request. A connection that serves no other has no idle time, which would need a limit of its own.
async fn connection(stream: TcpStream, pages: Pages) {
    let service = service_fn(move |request| {
        let pages = pages.clone();
        async move { Ok::<_, Infallible>(pages.answer(request).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .keep_alive(false)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(stream), service);
    // Most errors are clients that leave.
    let _ = timeout(CONNECTION, served).await;
}
