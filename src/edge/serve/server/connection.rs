//! Serves one connection.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::sleep;
use tower::{BoxError, Service};

use super::load::Tracker;
use super::tracked::Tracked;
use crate::edge::serve::stop::Stop;

/// How long a connection without a request stays open once the server stops: its first request may be under way.
const FIRST_REQUEST: Duration = Duration::from_millis(500);

pub(super) async fn serve<I, A, S, B>(io: I, peer: A, service: S, tracker: Tracker, stop: Stop)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    A: Clone + Send + Sync + 'static,
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let tracker = Arc::new(tracker);
    let service = Tracked::new(service, Arc::clone(&tracker), peer);
    let mut builder = Builder::new(TokioExecutor::new());
    // As in axum: for WebSockets over HTTP/2.
    builder.http2().enable_connect_protocol();
    let service = TowerToHyperService::new(service);
    let mut connection = pin!(builder.serve_connection_with_upgrades(TokioIo::new(io), service));
    // How a connection ends is of no interest: most errors are clients that leave.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = stop => {}
    }
    if !tracker.is_used() {
        tokio::select! {
            _ = connection.as_mut() => return,
            () = tracker.first_request() => {}
            () = sleep(FIRST_REQUEST) => {}
        }
    }
    // HTTP/1: ends after the request in progress, at once if there is none. HTTP/2: GOAWAY.
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}
