//! Counters sharded by thread, so that threads do not contend for cache lines.

use std::cell::Cell;
use std::sync::OnceLock;

use crate::base::sync::atomic::{AtomicUsize, Ordering};

/// The number of shards. With more threads, several threads share a shard.
const SHARDS: usize = 8;

/// The shard of the next thread, before the modulo.
static NEXT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static NUMBER: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// The shard of this thread. Threads get shards in the order of their first use.
#[inline]
fn here() -> usize {
    let number = NUMBER.try_with(Cell::get).unwrap_or(0);
    if number == usize::MAX { first() } else { number % SHARDS }
}

#[cold]
fn first() -> usize {
    let number = NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS;
    let _ = NUMBER.try_with(|own| own.set(number));
    number
}

/// Values that each thread writes to its shard and that readers add up. A shard is created at its first use.
#[derive(Debug)]
pub(crate) struct PerThread<T>([OnceLock<T>; SHARDS]);

impl<T> PerThread<T> {
    pub(crate) const fn new() -> Self {
        Self([const { OnceLock::new() }; SHARDS])
    }

    /// The shard of this thread, created by `make` at its first use.
    #[inline]
    pub(crate) fn own(&self, make: impl FnOnce() -> T) -> &T {
        self.0[here()].get_or_init(make)
    }

    /// All shards that were created.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().filter_map(OnceLock::get)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::sync::atomic::AtomicU64;

    #[test]
    fn the_counts_of_all_threads_add_up() {
        let shards = PerThread::<AtomicU64>::new();
        assert_eq!(shards.iter().count(), 0);
        std::thread::scope(|scope| {
            for _ in 0..3 * SHARDS {
                scope.spawn(|| {
                    (0..100).for_each(|_| {
                        shards.own(AtomicU64::default).fetch_add(1, Ordering::Relaxed);
                    });
                });
            }
        });
        let sum: u64 = shards.iter().map(|shard| shard.load(Ordering::Relaxed)).sum();
        assert_eq!(sum, 300 * SHARDS as u64);
        assert!(shards.iter().count() <= SHARDS);
    }
}
