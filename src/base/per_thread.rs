//! Counters striped by thread, so that threads do not contend for cache lines.

use std::cell::Cell;
use std::sync::OnceLock;

use crate::base::sync::atomic::{AtomicUsize, Ordering};

/// The number of lanes. More threads share them.
const LANES: usize = 8;

/// The number of the next thread.
static NEXT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static NUMBER: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// The lane of this thread. Threads take lanes in the order of their first use.
#[inline]
fn here() -> usize {
    let number = NUMBER.try_with(Cell::get).unwrap_or(0);
    if number == usize::MAX { first() } else { number % LANES }
}

#[cold]
fn first() -> usize {
    let number = NEXT.fetch_add(1, Ordering::Relaxed) % LANES;
    let _ = NUMBER.try_with(|own| own.set(number));
    number
}

/// Values that each lane of threads writes and readers sum. A lane is made at its first use.
#[derive(Debug)]
pub(crate) struct PerThread<T>([OnceLock<T>; LANES]);

impl<T> PerThread<T> {
    pub(crate) const fn new() -> Self {
        Self([const { OnceLock::new() }; LANES])
    }

    /// The lane of this thread, made by `make` at its first use.
    #[inline]
    pub(crate) fn own(&self, make: impl FnOnce() -> T) -> &T {
        self.0[here()].get_or_init(make)
    }

    /// All lanes that were made.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().filter_map(OnceLock::get)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::sync::atomic::AtomicU64;

    #[test]
    fn what_threads_count_apart_adds_up() {
        let lanes = PerThread::<AtomicU64>::new();
        assert_eq!(lanes.iter().count(), 0);
        std::thread::scope(|scope| {
            for _ in 0..3 * LANES {
                scope.spawn(|| {
                    (0..100).for_each(|_| {
                        lanes.own(AtomicU64::default).fetch_add(1, Ordering::Relaxed);
                    });
                });
            }
        });
        let sum: u64 = lanes.iter().map(|lane| lane.load(Ordering::Relaxed)).sum();
        assert_eq!(sum, 300 * LANES as u64);
        assert!(lanes.iter().count() <= LANES);
    }
}
