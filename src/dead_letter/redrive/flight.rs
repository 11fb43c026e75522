//! Calls that are under way.

use std::future::Future;
use std::task::{Context, Poll};

use futures_util::stream::{FuturesUnordered, StreamExt};

/// Calls, each polled when it has something to tell. They are not spawned: dropping a redrive must stop what it sends.
pub(super) struct Flight<F> {
    calls: FuturesUnordered<F>,
}

impl<F: Future> Flight<F> {
    pub(super) fn new() -> Self {
        Self { calls: FuturesUnordered::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    pub(super) fn push(&mut self, call: F) {
        self.calls.push(call);
    }

    /// The next one that ends. Pending when there is none at all: the one who asks waits for something else too.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<F::Output> {
        match self.calls.poll_next_unpin(cx) {
            Poll::Ready(Some(output)) => Poll::Ready(output),
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }
}
