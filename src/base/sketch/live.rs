//! A sketch for concurrent writers.

use super::buckets::{BUCKETS, bucket_of};
use super::durations::{Sketch, duration_of};
use crate::base::sync::atomic::{AtomicU64, Ordering};

/// A [`Sketch`] that is written without a lock.
#[derive(Debug)]
pub(crate) struct LiveSketch {
    sum: AtomicU64,
    /// How often the sum overflowed.
    wraps: AtomicU64,
    min: AtomicU64,
    max: AtomicU64,
    buckets: [AtomicU64; BUCKETS],
}

/// The counts of a [`LiveSketch`] at one moment; empty by default.
#[derive(Debug)]
pub(crate) struct Counts {
    buckets: Box<[u64; BUCKETS]>,
    nanos: u128,
}

impl Counts {
    /// Adds later counts.
    pub(crate) fn add(&mut self, nanos: u128, grown: impl Iterator<Item = (u16, u32)>) {
        self.nanos = self.nanos.saturating_add(nanos);
        grown.for_each(|(bucket, more)| self.buckets[usize::from(bucket)] += u64::from(more));
    }
}

impl Default for Counts {
    fn default() -> Self {
        Self { buckets: Box::new([0; BUCKETS]), nanos: 0 }
    }
}

impl Default for LiveSketch {
    fn default() -> Self {
        Self {
            sum: AtomicU64::new(0),
            wraps: AtomicU64::new(0),
            min: AtomicU64::new(u64::MAX),
            max: AtomicU64::new(0),
            buckets: [const { AtomicU64::new(0) }; BUCKETS],
        }
    }
}

impl LiveSketch {
    /// Adds a duration in nanoseconds.
    #[inline]
    pub(crate) fn record(&self, nanos: u64) {
        if self.sum.fetch_add(nanos, Ordering::Relaxed).checked_add(nanos).is_none() {
            self.wraps.fetch_add(1, Ordering::Relaxed);
        }
        if nanos < self.min.load(Ordering::Relaxed) {
            self.min.fetch_min(nanos, Ordering::Relaxed);
        }
        if nanos > self.max.load(Ordering::Relaxed) {
            self.max.fetch_max(nanos, Ordering::Relaxed);
        }
        // Last, so that a reader that sees the count also sees the minimum and maximum.
        self.buckets[usize::from(bucket_of(nanos))].fetch_add(1, Ordering::Release);
    }

    /// Calls `grown` with each bucket that grew since `before`, and by how much. Returns the sum of the new durations in
    /// nanoseconds.
    pub(crate) fn since(&self, before: &Counts, mut grown: impl FnMut(u16, u64)) -> u128 {
        for ((bucket, now), before) in (0..).zip(&self.buckets).zip(before.buckets.iter()) {
            let more = now.load(Ordering::Acquire).saturating_sub(*before);
            if more > 0 {
                grown(bucket, more);
            }
        }
        self.nanos().saturating_sub(before.nanos)
    }

    /// The sum of all durations in nanoseconds.
    fn nanos(&self) -> u128 {
        (u128::from(self.wraps.load(Ordering::Relaxed)) << u64::BITS)
            + u128::from(self.sum.load(Ordering::Relaxed))
    }

    /// The sketch of all durations until now.
    pub(crate) fn read(&self) -> Sketch {
        let mut sketch = Sketch::new();
        for (bucket, count) in (0..).zip(&self.buckets) {
            let count = count.load(Ordering::Acquire);
            if count > 0 {
                sketch.add_to(bucket, count);
                sketch.count += count;
            }
        }
        if sketch.count > 0 {
            sketch.min = self.min.load(Ordering::Relaxed);
            sketch.max = self.max.load(Ordering::Relaxed);
            sketch.sum = duration_of(self.nanos());
        }
        sketch
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn concurrent_writes_equal_sequential_ones(values in prop::collection::vec(any::<u64>(), 0..300)) {
            let live = LiveSketch::default();
            std::thread::scope(|scope| {
                for part in values.chunks(values.len() / 3 + 1) {
                    let live = &live;
                    scope.spawn(move || part.iter().for_each(|value| live.record(*value)));
                }
            });
            let one: Sketch = values.iter().copied().map(Duration::from_nanos).collect();
            prop_assert_eq!(live.read(), one);
        }
    }

    #[test]
    fn the_mean_is_correct_for_a_sum_beyond_64_bits() {
        let live = LiveSketch::default();
        (0..3).for_each(|_| live.record(u64::MAX));
        assert_eq!(live.read().mean(), Duration::from_nanos(u64::MAX));
        live.record(0);
        assert_eq!(live.read().mean(), Duration::from_nanos((u128::from(u64::MAX) * 3 / 4) as u64));
        assert_eq!(duration_of(u128::MAX), Duration::MAX);
    }
}
