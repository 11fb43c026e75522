//! What a server has in progress.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::base::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The connections and requests of a server.
#[derive(Debug, Default)]
pub(in crate::edge::serve) struct Load {
    connections: AtomicUsize,
    requests: AtomicUsize,
    /// Whether answers over HTTP/1 close their connection.
    closing: AtomicBool,
}

impl Load {
    /// From now on, answers over HTTP/1 close their connection.
    pub(in crate::edge::serve) fn close_connections(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    /// What is in progress, for people.
    pub(in crate::edge::serve) fn left(&self) -> String {
        let connections = self.connections.load(Ordering::Relaxed);
        match (connections, self.requests.load(Ordering::Relaxed)) {
            (0, _) => "the server had not ended".to_owned(),
            (_, requests) => {
                let plural = |count: usize| if count == 1 { "" } else { "s" };
                let (more, others) = (plural(requests), plural(connections));
                format!("{requests} request{more} on {connections} connection{others}")
            }
        }
    }
}

/// One connection, which counts until its last user drops it.
#[derive(Debug)]
pub(super) struct Tracker {
    load: Arc<Load>,
    requested: AtomicBool,
    first_request: Notify,
}

impl Tracker {
    pub(super) fn open(load: &Arc<Load>) -> Self {
        load.connections.fetch_add(1, Ordering::Relaxed);
        Self { load: Arc::clone(load), requested: AtomicBool::new(false), first_request: Notify::new() }
    }

    /// Whether answers over HTTP/1 close their connection.
    pub(super) fn is_closing(&self) -> bool {
        self.load.closing.load(Ordering::Relaxed)
    }

    /// Whether a request has arrived.
    pub(super) fn is_used(&self) -> bool {
        self.requested.load(Ordering::Acquire)
    }

    /// Waits for the first request, if none has arrived.
    pub(super) async fn first_request(&self) {
        self.first_request.notified().await;
    }
}

impl Drop for Tracker {
    fn drop(&mut self) {
        self.load.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A request in progress, up to the end of its response's body.
#[derive(Debug)]
pub(super) struct InProgress(Arc<Tracker>);

impl InProgress {
    pub(super) fn begin(tracker: &Arc<Tracker>) -> Self {
        tracker.load.requests.fetch_add(1, Ordering::Relaxed);
        if !tracker.is_used() && !tracker.requested.swap(true, Ordering::AcqRel) {
            tracker.first_request.notify_one();
        }
        Self(Arc::clone(tracker))
    }

    pub(super) fn is_closing(&self) -> bool {
        self.0.is_closing()
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        self.0.load.requests.fetch_sub(1, Ordering::Relaxed);
    }
}
