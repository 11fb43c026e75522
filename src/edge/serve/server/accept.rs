//! Accepts connections until the server must stop, and waits until they have ended.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use axum::serve::Listener;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use tokio::task::{JoinSet, unconstrained};
use tower::{BoxError, Service};

use super::connection;
use super::load::{Load, Tracker};
use crate::base::panics::Panic;
use crate::edge::serve::stop::Stop;

/// The most connections that are taken from the queue of the listener once the server stops: more than its usual length.
const QUEUED: usize = 4_096;

/// Ends once all connections have ended. If it is dropped, it cuts them off.
pub(in crate::edge::serve) async fn accept<L, S, B>(
    mut listener: L,
    service: S,
    load: Arc<Load>,
    mut stop: Stop,
) -> Result<(), Infallible>
where
    L: Listener,
    L::Addr: Clone + Sync + 'static,
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let mut connections = JoinSet::new();
    let start = {
        let stop = stop.clone();
        move |connections: &mut JoinSet<()>, (io, peer): (L::Io, L::Addr)| {
            let tracker = Tracker::open(&load);
            connections.spawn(connection::serve(io, peer, service.clone(), tracker, stop.clone()));
        }
    };
    loop {
        // One future for each connection, not dropped in between: a listener may do a handshake in it.
        let mut accepting = pin!(listener.accept());
        let accepted = loop {
            tokio::select! {
                accepted = &mut accepting => break Some(accepted),
                () = &mut stop => break None,
                Some(ended) = connections.join_next() => reap(ended),
            }
        };
        match accepted {
            Some(accepted) => start(&mut connections, accepted),
            None => break,
        }
    }
    // A client that has connected already may send its request, although the listener is closed after this.
    for _ in 0..QUEUED {
        let mut accepting = pin!(unconstrained(listener.accept()));
        let accepted = poll_fn(|cx| match accepting.as_mut().poll(cx) {
            Poll::Ready(accepted) => Poll::Ready(Some(accepted)),
            Poll::Pending => Poll::Ready(None),
        });
        match accepted.await {
            Some(accepted) => start(&mut connections, accepted),
            None => break,
        }
    }
    drop(listener);
    while let Some(ended) = connections.join_next().await {
        reap(ended);
    }
    Ok(())
}

/// A panic of a handler ends its connection only. Its payload is dropped with care.
fn reap(ended: Result<(), tokio::task::JoinError>) {
    drop(ended.map_err(Panic::of_task));
}
