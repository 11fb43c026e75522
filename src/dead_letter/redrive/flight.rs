//! Calls that are under way.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A few futures, polled in turn. They are not spawned: dropping a redrive must stop what it sends.
pub(super) struct Flight<F> {
    calls: Vec<Pin<Box<F>>>,
}

impl<F: Future> Flight<F> {
    pub(super) fn new() -> Self {
        Self { calls: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    pub(super) fn push(&mut self, call: F) {
        self.calls.push(Box::pin(call));
    }

    /// The next one that ends. Pending when there is none at all: the one who asks waits for something else too.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<F::Output> {
        let ended =
            self.calls.iter_mut().enumerate().find_map(|(place, call)| match call.as_mut().poll(cx) {
                Poll::Ready(output) => Some((place, output)),
                Poll::Pending => None,
            });
        match ended {
            Some((place, output)) => {
                drop(self.calls.swap_remove(place));
                Poll::Ready(output)
            }
            None => Poll::Pending,
        }
    }
}
