//! How many calls the last minute saw, told by a count that only grows.

use crate::clock::Tick;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicU64, Ordering};

/// The seconds that the rate looks back.
pub(super) const LOOK_BACK: u64 = 60;

const SLOTS: usize = 64;
const SECOND: u64 = 1_000_000_000;

/// Remembers, for each of the last seconds, where the count stood when it began.
///
/// A call asks for the time only whether a new second has begun, and the first one of a second writes a mark: a
/// second counter beside the first would cost every call a write.
#[derive(Debug)]
pub(super) struct Rate {
    /// The nanosecond from which on another mark is due.
    next: AtomicU64,
    marks: Mutex<Marks>,
}

#[derive(Debug)]
struct Marks {
    /// A second, and the count at its first call; by the second. A second without a call has none.
    ring: [(u64, u64); SLOTS],
    /// The first second without a mark.
    next: u64,
}

impl Rate {
    pub(super) const fn new() -> Self {
        Self { next: AtomicU64::new(0), marks: Mutex::new(Marks { ring: [(u64::MAX, 0); SLOTS], next: 0 }) }
    }

    /// A call ended at `now` and is not in `count` yet.
    #[inline]
    pub(super) fn tick(&self, now: Tick, count: impl FnOnce() -> u64) {
        if now.0 >= self.next.load(Ordering::Relaxed) {
            self.begin(now.0 / SECOND, count());
        }
    }

    #[cold]
    fn begin(&self, second: u64, count: u64) {
        let mut marks = self.marks.lock();
        // Of several threads that saw the second begin, the first one is right.
        if second >= marks.next {
            marks.next = second + 1;
            marks.ring[place_of(second)] = (second, count);
            self.next.store((second + 1).saturating_mul(SECOND), Ordering::Relaxed);
        }
    }

    /// How many of the `count` calls ended in the last [`LOOK_BACK`] seconds, the current one included.
    pub(super) fn recent(&self, now: Tick, count: u64) -> u64 {
        let second = now.0 / SECOND;
        let first = second.saturating_sub(LOOK_BACK - 1);
        let marks = self.marks.lock();
        let at_first = (first..=second)
            .map(|second| (second, marks.ring[place_of(second)]))
            .find_map(|(second, (of, count))| (of == second).then_some(count));
        at_first.map_or(0, |before| count.saturating_sub(before))
    }
}

fn place_of(second: u64) -> usize {
    (second % SLOTS as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn p05_the_last_minute_is_that_of_a_list(steps in prop::collection::vec((0_u64..9_000, 0_u32..4), 0..200)) {
            let rate = Rate::new();
            let mut now = 3_600_000;
            let mut all: Vec<u64> = Vec::new();
            for (step, calls) in steps {
                now += step;
                let tick = Tick(now * 1_000_000);
                for _ in 0..calls {
                    rate.tick(tick, || all.len() as u64);
                    all.push(now / 1_000);
                }
                let exact = all.iter().filter(|at| **at + LOOK_BACK > now / 1_000).count();
                prop_assert_eq!(rate.recent(tick, all.len() as u64), exact as u64);
            }
        }
    }

    #[test]
    fn a_call_of_an_earlier_second_changes_no_mark() {
        let rate = Rate::new();
        rate.tick(Tick(5 * SECOND), || 10);
        rate.tick(Tick(4 * SECOND), || 11);
        rate.begin(4, 11);
        assert_eq!(rate.recent(Tick(5 * SECOND), 12), 2);
        rate.tick(Tick(u64::MAX), || 12);
        assert_eq!(rate.recent(Tick(u64::MAX), 13), 1);
    }
}
