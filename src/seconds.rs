//! Counts by the second, without a lock.

use std::time::Duration;

use crate::clock::{Tick, nanos};
use crate::sync::atomic::{AtomicU64, Ordering};

/// So much of a slot is the count; the rest is the second that it is of.
const COUNT_BITS: u32 = 32;
const COUNT: u64 = (1 << COUNT_BITS) - 1;

/// How often something happened in each of the last seconds, `SLOTS` of them.
///
/// `SLOTS` is a power of two, so that the place of a second stays right when its tag wraps.
#[derive(Debug)]
pub(crate) struct Seconds<const SLOTS: usize> {
    /// The second in the upper half, its count in the lower.
    slots: [AtomicU64; SLOTS],
}

/// The second that `now` lies in.
pub(crate) fn second_of(now: Tick) -> u64 {
    now.0 / nanos(Duration::from_secs(1))
}

impl<const SLOTS: usize> Seconds<SLOTS> {
    pub(crate) fn new() -> Self {
        const { assert!(SLOTS.is_power_of_two()) };
        Self { slots: std::array::from_fn(|_| AtomicU64::new(0)) }
    }

    /// It happened once, in the second of `now`.
    #[inline]
    pub(crate) fn add(&self, now: Tick) {
        let second = second_of(now);
        let tag = second << COUNT_BITS;
        let slot = &self.slots[Self::place_of(second)];
        let mut seen = slot.load(Ordering::Relaxed);
        loop {
            let wanted = match (seen & !COUNT).cmp(&tag) {
                std::cmp::Ordering::Equal => seen + 1,
                std::cmp::Ordering::Less => tag | 1,
                // This thread slept through all slots since it read the clock: too old to count.
                std::cmp::Ordering::Greater => return,
            };
            match slot.compare_exchange_weak(seen, wanted, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(changed) => seen = changed,
            }
        }
    }

    /// How often it happened in the seconds that end with `second`, at most `SLOTS` of them.
    pub(crate) fn sum(&self, second: u64, seconds: u64) -> u64 {
        let first = second.saturating_sub(seconds.min(SLOTS as u64) - 1);
        (first..=second)
            .map(|second| {
                let seen = self.slots[Self::place_of(second)].load(Ordering::Relaxed);
                if seen & !COUNT == second << COUNT_BITS { seen & COUNT } else { 0 }
            })
            .sum()
    }

    fn place_of(second: u64) -> usize {
        (second % SLOTS as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn p05_the_last_seconds_are_those_of_a_list(
            steps in prop::collection::vec((0_u64..4_000, 0_u32..4), 0..200),
            over in 1_u64..=16,
        ) {
            let seconds = Seconds::<16>::new();
            let mut now = 3_600_000;
            let mut all = Vec::new();
            for (step, count) in steps {
                now += step;
                for _ in 0..count {
                    seconds.add(Tick(now * 1_000_000));
                    all.push(now / 1_000);
                }
                let second = now / 1_000;
                let exact = all.iter().filter(|at| **at + over > second).count();
                prop_assert_eq!(seconds.sum(second, over), exact as u64);
            }
        }
    }

    #[test]
    fn threads_lose_nothing() {
        let seconds = Seconds::<16>::new();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10_000_u64).for_each(|n| seconds.add(Tick((3_600_000 + n) * 1_000_000))));
            }
        });
        assert_eq!(seconds.sum(3_609, 10), 40_000);
    }
}
