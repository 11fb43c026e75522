//! Percentiles of durations with a bounded error, without a lock.
//!
//! Buckets grow with the value, sixteen to each power of two, so that a percentile is wrong by at most 1/32
//! (3.2 %) of itself. Two sketches add up bucket by bucket.

use std::time::Duration;

use crate::clock::nanos;
use crate::sync::atomic::{AtomicU64, Ordering};

const STEPS_LOG2: u32 = 4;
/// Up to 2^42 ns, more than an hour; longer ones share the last bucket.
const BUCKETS: usize = ((42 - STEPS_LOG2 as usize) + 1) << STEPS_LOG2;

/// Durations, counted by size.
#[derive(Debug)]
pub(crate) struct Sketch {
    buckets: Box<[AtomicU64]>,
    sum: AtomicU64,
    /// How often the sum went past its end.
    wraps: AtomicU64,
    min: AtomicU64,
    max: AtomicU64,
}

/// What a [`Sketch`] held at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Summary {
    pub(crate) count: u64,
    pub(crate) mean: Duration,
    pub(crate) min: Duration,
    pub(crate) max: Duration,
    pub(crate) p50: Duration,
    pub(crate) p95: Duration,
    pub(crate) p99: Duration,
}

impl Default for Sketch {
    fn default() -> Self {
        Self {
            buckets: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicU64::new(0),
            wraps: AtomicU64::new(0),
            min: AtomicU64::new(u64::MAX),
            max: AtomicU64::new(0),
        }
    }
}

impl Sketch {
    pub(crate) fn record(&self, duration: Duration) {
        let value = nanos(duration);
        if self.sum.fetch_add(value, Ordering::Relaxed).checked_add(value).is_none() {
            self.wraps.fetch_add(1, Ordering::Relaxed);
        }
        if value < self.min.load(Ordering::Relaxed) {
            self.min.fetch_min(value, Ordering::Relaxed);
        }
        if value > self.max.load(Ordering::Relaxed) {
            self.max.fetch_max(value, Ordering::Relaxed);
        }
        // Last, so that whoever sees the call counted sees its bounds too.
        let bucket = bucket_of::<STEPS_LOG2>(value).min(BUCKETS - 1);
        self.buckets[bucket].fetch_add(1, Ordering::Release);
    }

    pub(crate) fn summary(&self) -> Summary {
        let counts: Vec<u64> = self.buckets.iter().map(|bucket| bucket.load(Ordering::Acquire)).collect();
        let count: u64 = counts.iter().sum();
        if count == 0 {
            return Summary::default();
        }
        let min = self.min.load(Ordering::Relaxed);
        let max = self.max.load(Ordering::Relaxed);
        let wraps = u128::from(self.wraps.load(Ordering::Relaxed));
        let sum = (wraps << u64::BITS) + u128::from(self.sum.load(Ordering::Relaxed));
        let mean = u64::try_from(sum / u128::from(count)).unwrap_or(u64::MAX);
        let at = |share: f64| Duration::from_nanos(quantile(&counts, count, share).clamp(min, max.max(min)));
        Summary {
            count,
            mean: Duration::from_nanos(mean),
            min: Duration::from_nanos(min),
            max: Duration::from_nanos(max),
            p50: at(0.50),
            p95: at(0.95),
            p99: at(0.99),
        }
    }
}

#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // A rank among counts.
fn quantile(counts: &[u64], count: u64, share: f64) -> u64 {
    let rank = ((share * count as f64).ceil() as u64).max(1);
    let mut seen = 0;
    for (bucket, in_bucket) in counts.iter().enumerate() {
        seen += in_bucket;
        if seen >= rank {
            return middle_of::<STEPS_LOG2>(bucket);
        }
    }
    u64::MAX
}

/// The bucket of a value, with 2^`STEPS_LOG2` buckets to each power of two: smaller values than that have a bucket
/// each; above, the top bits after the leading one choose it.
#[inline]
pub(crate) fn bucket_of<const STEPS_LOG2: u32>(value: u64) -> usize {
    let steps = 1 << STEPS_LOG2;
    if value < steps {
        return value as usize;
    }
    let exponent = value.ilog2() - STEPS_LOG2;
    let step = (value >> exponent) - steps;
    (u64::from(exponent + 1) * steps + step) as usize
}

/// The middle of such a bucket.
pub(crate) fn middle_of<const STEPS_LOG2: u32>(bucket: usize) -> u64 {
    let (steps, bucket) = (1 << STEPS_LOG2, bucket as u64);
    if bucket < steps {
        return bucket;
    }
    let exponent = bucket / steps - 1;
    let low = (steps + bucket % steps) << exponent;
    low + (1 << exponent) / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_percentile_is_within_its_error(mut values in prop::collection::vec(1_u64..3_600_000_000_000, 1..300)) {
            let sketch = Sketch::default();
            values.iter().for_each(|value| sketch.record(Duration::from_nanos(*value)));
            values.sort_unstable();
            let summary = sketch.summary();
            for (share, got) in [(0.50, summary.p50), (0.95, summary.p95), (0.99, summary.p99)] {
                let rank = (share * values.len() as f64).ceil() as usize;
                let exact = values[rank.max(1) - 1] as f64;
                let error = (got.as_nanos() as f64 - exact).abs() / exact;
                prop_assert!(summary.min <= got && got <= summary.max);
                prop_assert!(error <= 1.0 / 32.0 + 1e-9, "p{share}: {got:?} for {exact} ns");
            }
            prop_assert_eq!(summary.min, Duration::from_nanos(values[0]));
            prop_assert_eq!(summary.max, Duration::from_nanos(values[values.len() - 1]));
            prop_assert_eq!(summary.mean, Duration::from_nanos(values.iter().sum::<u64>() / values.len() as u64));
        }
    }

    #[test]
    fn the_mean_outlasts_a_sum_beyond_64_bits() {
        let sketch = Sketch::default();
        (0..3).for_each(|_| sketch.record(Duration::MAX));
        assert_eq!(sketch.summary().mean, Duration::from_nanos(u64::MAX));
        sketch.record(Duration::ZERO);
        assert_eq!(sketch.summary().mean, Duration::from_nanos((u128::from(u64::MAX) * 3 / 4) as u64));
    }
}
