//! The calls in progress.
//!
//! `FuturesUnordered` of the crate `futures-util` does the same. It would bring four crates to each user of dead letters, for
//! a few dozen futures at a time.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use crate::base::sync::Mutex;
use crate::base::sync::atomic::{AtomicBool, Ordering};

/// A set of calls, each polled only after it was woken. They are not spawned, because dropping a redrive must cancel them.
pub(super) struct Calls<F> {
    calls: Vec<Call<F>>,
    /// The task that polls the set, for the wakers of the calls.
    task: Arc<Mutex<Option<Waker>>>,
}

struct Call<F> {
    future: Pin<Box<F>>,
    woken: Arc<WakeFlag>,
    waker: Waker,
}

/// Whether a call was woken since it was last polled.
struct WakeFlag {
    woken: AtomicBool,
    task: Arc<Mutex<Option<Waker>>>,
}

impl Wake for WakeFlag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.woken.swap(true, Ordering::AcqRel) {
            // Not under the lock, because a waker runs code of the executor.
            let task = self.task.lock().clone();
            if let Some(task) = task {
                task.wake();
            }
        }
    }
}

impl<F: Future> Calls<F> {
    pub(super) fn new() -> Self {
        Self { calls: Vec::new(), task: Arc::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    pub(super) fn push(&mut self, call: F) {
        let woken = Arc::new(WakeFlag { woken: AtomicBool::new(true), task: Arc::clone(&self.task) });
        let waker = Waker::from(Arc::clone(&woken));
        self.calls.push(Call { future: Box::pin(call), woken, waker });
    }

    /// The output of the next call that ends. Pending if there is no call, because the caller also waits for other things.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<F::Output> {
        {
            let mut task = self.task.lock();
            if task.as_ref().is_none_or(|task| !task.will_wake(cx.waker())) {
                *task = Some(cx.waker().clone());
            }
        }
        for place in 0..self.calls.len() {
            let call = &mut self.calls[place];
            // Cleared before the poll, so that a wake during the poll counts.
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
    async fn every_call_is_returned_once_in_the_order_in_which_they_end() {
        let mut set = Calls::new();
        let (senders, calls): (Vec<_>, Vec<_>) = (0..5).map(|_| oneshot::channel::<usize>()).unzip();
        calls.into_iter().for_each(|call| set.push(call));
        let mut senders: Vec<_> = senders.into_iter().map(Some).collect();
        for place in [3, 0, 4, 1, 2] {
            let sender = senders[place].take().unwrap();
            let task = tokio::spawn(async move { sender.send(place) });
            let ended = std::future::poll_fn(|cx| set.poll_next(cx)).await;
            assert_eq!(ended, Ok(place));
            task.await.unwrap().unwrap();
        }
        assert_eq!(set.len(), 0);
    }

    #[tokio::test]
    async fn only_woken_calls_are_polled() {
        use std::cell::Cell;
        let polls = Cell::new(0);
        let mut set: Calls<Pin<Box<dyn Future<Output = ()>>>> = Calls::new();
        for _ in 0..50 {
            set.push(Box::pin(std::future::poll_fn(|_| {
                polls.set(polls.get() + 1);
                Poll::Pending
            })));
        }
        set.push(Box::pin(tokio::task::yield_now()));
        std::future::poll_fn(|cx| set.poll_next(cx)).await;
        assert_eq!(polls.get(), 50);
    }
}
