//! Calls that are under way.
//!
//! `FuturesUnordered` of the crate `futures-util` does the same. It would bring four crates to everyone who parks
//! letters, for a few dozen futures at a time.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use crate::base::sync::Mutex;
use crate::base::sync::atomic::{AtomicBool, Ordering};

/// Calls, each polled when it was woken. They are not spawned: dropping a redrive must stop what it sends.
pub(super) struct Flight<F> {
    calls: Vec<Call<F>>,
    /// The task that polls the flight, for the wakers of the calls.
    task: Arc<Mutex<Option<Waker>>>,
}

struct Call<F> {
    future: Pin<Box<F>>,
    woken: Arc<Woken>,
    waker: Waker,
}

/// Whether a call was woken since it was last polled.
struct Woken {
    woken: AtomicBool,
    task: Arc<Mutex<Option<Waker>>>,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.woken.swap(true, Ordering::AcqRel) {
            // A waker runs code of the executor: not under the lock.
            let task = self.task.lock().clone();
            if let Some(task) = task {
                task.wake();
            }
        }
    }
}

impl<F: Future> Flight<F> {
    pub(super) fn new() -> Self {
        Self { calls: Vec::new(), task: Arc::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    pub(super) fn push(&mut self, call: F) {
        let woken = Arc::new(Woken { woken: AtomicBool::new(true), task: Arc::clone(&self.task) });
        let waker = Waker::from(Arc::clone(&woken));
        self.calls.push(Call { future: Box::pin(call), woken, waker });
    }

    /// The next one that ends. Pending when there is none at all: the one who asks waits for something else too.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<F::Output> {
        {
            let mut task = self.task.lock();
            if task.as_ref().is_none_or(|task| !task.will_wake(cx.waker())) {
                *task = Some(cx.waker().clone());
            }
        }
        for place in 0..self.calls.len() {
            let call = &mut self.calls[place];
            // Before the poll: what wakes it during the poll counts.
            if call.woken.woken.swap(false, Ordering::AcqRel)
                && let Poll::Ready(output) = call.future.as_mut().poll(&mut Context::from_waker(&call.waker))
            {
                drop(self.calls.swap_remove(place));
                return Poll::Ready(output);
            }
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn every_call_lands_once_in_the_order_of_their_ends() {
        let mut flight = Flight::new();
        let (senders, calls): (Vec<_>, Vec<_>) = (0..5).map(|_| oneshot::channel::<usize>()).unzip();
        calls.into_iter().for_each(|call| flight.push(call));
        let mut senders: Vec<_> = senders.into_iter().map(Some).collect();
        for place in [3, 0, 4, 1, 2] {
            let sender = senders[place].take().unwrap();
            let task = tokio::spawn(async move { sender.send(place) });
            let landed = std::future::poll_fn(|cx| flight.poll_next(cx)).await;
            assert_eq!(landed, Ok(place));
            task.await.unwrap().unwrap();
        }
        assert_eq!(flight.len(), 0);
    }

    #[tokio::test]
    async fn only_what_was_woken_is_polled() {
        use std::cell::Cell;
        let polls = Cell::new(0);
        let mut flight: Flight<Pin<Box<dyn Future<Output = ()>>>> = Flight::new();
        for _ in 0..50 {
            flight.push(Box::pin(std::future::poll_fn(|_| {
                polls.set(polls.get() + 1);
                Poll::Pending
            })));
        }
        flight.push(Box::pin(tokio::task::yield_now()));
        std::future::poll_fn(|cx| flight.poll_next(cx)).await;
        assert_eq!(polls.get(), 50);
    }
}
