//! A bounded queue.

use crate::base::sync::Mutex;

/// A queue bounded by items and bytes. Many threads push; one takes everything.
#[derive(Debug)]
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    limits: Size,
}

#[derive(Debug)]
struct State<T> {
    waiting: Vec<T>,
    bytes: usize,
    closed: bool,
}

/// A number of items and bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) items: usize,
    pub(super) bytes: usize,
}

/// Why an item was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Full,
    Closed,
}

impl<T> Queue<T> {
    pub(super) fn new(items: usize, bytes: usize) -> Self {
        let state = State { waiting: Vec::new(), bytes: 0, closed: false };
        Self { state: Mutex::new(state), limits: Size { items, bytes } }
    }

    /// Adds `item` of `bytes`. Returns the size of the queue then.
    #[inline]
    pub(super) fn push(&self, item: T, bytes: usize) -> Result<Size, Refused> {
        let mut state = self.state.lock();
        let then = Size { items: state.waiting.len() + 1, bytes: state.bytes.saturating_add(bytes) };
        let refused = if state.closed {
            Refused::Closed
        } else if then.items <= self.limits.items && then.bytes <= self.limits.bytes {
            state.waiting.push(item);
            state.bytes = then.bytes;
            return Ok(then);
        } else {
            Refused::Full
        };
        // Unlocked before the item is dropped, since its drop may run user code.
        drop(state);
        Err(refused)
    }

    /// Takes all items, and reserves room for as many.
    pub(super) fn take(&self) -> Vec<T> {
        let next = Vec::with_capacity(self.len());
        let mut state = self.state.lock();
        state.bytes = 0;
        std::mem::replace(&mut state.waiting, next)
    }

    /// Closes the queue; `false` if it was closed already.
    pub(super) fn close(&self) -> bool {
        !std::mem::replace(&mut self.state.lock().closed, true)
    }

    /// The number of waiting items.
    pub(super) fn len(&self) -> usize {
        self.state.lock().waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    #[test]
    fn one_thread_can_fill_the_queue() {
        for capacity in [1, 10, 64, 100, 2_048, 5_000] {
            let queue = Queue::new(capacity, capacity);
            for _ in 0..2 {
                let mut last = 0;
                (0..capacity).for_each(|item| last = queue.push(item, 1).unwrap().items);
                assert_eq!(last, capacity);
                assert_eq!(queue.push(0, 1), Err(Refused::Full));
                assert_eq!(queue.len(), capacity);
                assert_eq!(queue.take(), (0..capacity).collect::<Vec<_>>());
            }
            assert!(queue.close());
            assert!(!queue.close());
            assert_eq!(queue.push(0, 1), Err(Refused::Closed));
        }
    }

    #[test]
    fn a_large_item_is_refused_while_a_small_one_fits() {
        let queue = Queue::new(10, 100);
        assert_eq!(queue.push("large", 90), Ok(Size { items: 1, bytes: 90 }));
        assert_eq!(queue.push("large", 11), Err(Refused::Full));
        assert_eq!(queue.push("endless", usize::MAX), Err(Refused::Full));
        assert_eq!(queue.push("small", 10), Ok(Size { items: 2, bytes: 100 }));
        assert_eq!(queue.take(), ["large", "small"]);
        assert_eq!(queue.push("large", 100), Ok(Size { items: 1, bytes: 100 }));
    }

    #[test]
    fn many_threads_lose_no_item_and_stay_within_the_limit() {
        const THREADS: usize = 12;
        const EACH: usize = 20_000;
        let queue = Queue::new(1_000, 1_000);
        let ended = AtomicBool::new(false);
        let (mut taken, mut most) = (0, 0);
        let refused: usize = thread::scope(|scope| {
            let pushers: Vec<_> = (0..THREADS)
                .map(|_| scope.spawn(|| (0..EACH).filter(|item| queue.push(*item, 1).is_err()).count()))
                .collect();
            let taker = scope.spawn(|| {
                let (mut taken, mut most) = (0, 0);
                loop {
                    let last = ended.load(Ordering::Acquire);
                    let some = queue.take().len();
                    taken += some;
                    most = most.max(some);
                    if last {
                        return (taken, most);
                    }
                }
            });
            let refused = pushers.into_iter().map(|pusher| pusher.join().unwrap()).sum();
            ended.store(true, Ordering::Release);
            (taken, most) = taker.join().unwrap();
            refused
        });
        assert_eq!(taken + refused, THREADS * EACH);
        assert!(most <= 1_000, "{most}");
    }

    #[test]
    fn the_memory_of_a_burst_is_freed() {
        let queue = Queue::new(100_000, usize::MAX);
        (0..100_000).for_each(|item| {
            let _ = queue.push(item, 1);
        });
        (0..3).for_each(|_| drop(queue.take()));
        let kept = queue.state.lock().waiting.capacity();
        assert!(kept < 1_000, "{kept}");
    }
}
