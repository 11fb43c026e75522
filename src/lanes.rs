//! A lane for each thread, so that threads that count the same thing do not wait for each other's cache lines.

use std::cell::Cell;
use std::sync::OnceLock;

use crate::sync::atomic::{AtomicUsize, Ordering};

/// More threads than this share lanes.
const LANES: usize = 8;

/// The number that the next thread gets.
static NEXT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static NUMBER: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// The lane of this thread. Threads that are made one after the other have neighbouring lanes.
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

/// What threads count apart and readers add up. A lane is made when the first of its threads comes.
#[derive(Debug)]
pub(crate) struct Lanes<T>([OnceLock<T>; LANES]);

impl<T> Lanes<T> {
    pub(crate) const fn new() -> Self {
        Self([const { OnceLock::new() }; LANES])
    }

    /// The lane of this thread; `make` makes it.
    #[inline]
    pub(crate) fn own(&self, make: impl FnOnce() -> T) -> &T {
        self.0[here()].get_or_init(make)
    }

    /// Every lane that was made.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().filter_map(OnceLock::get)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::atomic::AtomicU64;

    #[test]
    fn what_threads_count_apart_adds_up() {
        let lanes = Lanes::<AtomicU64>::new();
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
