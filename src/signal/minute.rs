//! The calls of the last minute. They are written often and read rarely.

use std::time::Duration;

use crate::base::clock::Tick;

/// The window of rates and shares.
pub(crate) const LOOK_BACK: Duration = Duration::from_secs(60);

const BUCKETS: u64 = 10;
const WIDTH: u64 = LOOK_BACK.as_nanos() as u64 / BUCKETS;
/// A nanosecond in seconds.
const SECONDS: f64 = 1e-9;
const RING: usize = BUCKETS as usize + 1;

/// The calls of the last [`LOOK_BACK`], in ten buckets and the one that is being filled.
///
/// Like [`Buckets`](crate::base::window::Buckets), but with durations, and without a running sum: the buckets are added up
/// only when they are read, every few seconds.
#[derive(Debug, Default)]
pub(super) struct Minute {
    /// The index of the current bucket, and its end.
    place: usize,
    ends: u64,
    ring: [Bucket; RING],
    /// The sums of squared durations per bucket, in square seconds. The precision of `f32` is enough.
    squares: [f32; RING],
    /// The end of the last call.
    pub(super) last: Tick,
}

/// The calls of one bucket. `u32` is enough for six seconds.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    calls: u32,
    failures: u32,
    nanos: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Calls {
    pub(super) calls: u64,
    pub(super) failures: u64,
    pub(super) nanos: u64,
    /// The sum of the squares of durations, in square seconds.
    pub(super) squares: f64,
}

impl Calls {
    pub(super) fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.failures += other.failures;
        self.nanos = self.nanos.saturating_add(other.nanos);
        self.squares += other.squares;
    }

    /// The standard error of the mean duration, in seconds. For a single call it is the duration itself.
    #[allow(clippy::cast_precision_loss)] // Sums of a minute.
    pub(super) fn error_of_mean(&self) -> f64 {
        let (calls, seconds) = (self.calls as f64, self.nanos as f64 * SECONDS);
        if self.calls < 2 {
            return seconds;
        }
        let apart = (self.squares - seconds * seconds / calls).max(0.0);
        (apart / (calls - 1.0) / calls).sqrt()
    }
}

impl Minute {
    #[inline]
    pub(super) fn record(&mut self, now: Tick, nanos: u64, failed: bool) {
        if now.0 >= self.ends {
            self.advance(now);
        }
        self.last = self.last.max(now);
        let bucket = &mut self.ring[self.place];
        bucket.calls = bucket.calls.saturating_add(1);
        bucket.failures = bucket.failures.saturating_add(u32::from(failed));
        bucket.nanos = bucket.nanos.saturating_add(nanos);
        #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
        // The sums have the same precision.
        let seconds = nanos as f32 * SECONDS as f32;
        self.squares[self.place] += seconds * seconds;
    }

    pub(super) fn sum(&mut self, now: Tick) -> Calls {
        if now.0 >= self.ends {
            self.advance(now);
        }
        let mut sum = Calls::default();
        for (bucket, squares) in self.ring.iter().zip(self.squares) {
            sum.add(&Calls {
                calls: u64::from(bucket.calls),
                failures: u64::from(bucket.failures),
                nanos: bucket.nanos,
                squares: f64::from(squares),
            });
        }
        sum
    }

    /// Empties the buckets that have left the window. The newest bucket never moves back, even if a thread has an earlier
    /// reading of the clock.
    #[cold]
    fn advance(&mut self, now: Tick) {
        let (number, newest) = (now.0 / WIDTH, (self.ends / WIDTH).saturating_sub(1));
        let first = (newest + 1).max((number + 1).saturating_sub(RING as u64));
        for gone in first..=number {
            self.ring[place(gone)] = Bucket::default();
            self.squares[place(gone)] = 0.0;
        }
        self.place = place(number);
        self.ends = number.saturating_add(1).saturating_mul(WIDTH);
    }
}

fn place(number: u64) -> usize {
    (number % RING as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    proptest! {
        #[test]
        fn it_holds_the_calls_of_the_last_minute_to_one_bucket(steps in prop::collection::vec((0_u64..40, 0_u64..10_000_000_000, any::<bool>()), 1..100)) {
            let mut minute = Minute::default();
            let mut now = Tick(1);
            let mut all = Vec::new();
            for (step, nanos, failed) in steps {
                now = now + Duration::from_secs(step);
                minute.record(now, nanos, failed);
                all.push((now.0 / WIDTH, nanos, failed));
                let counted = all.iter().filter(|(bucket, ..)| bucket + BUCKETS >= now.0 / WIDTH);
                let durations: Vec<f64> = counted.clone().map(|(_, nanos, _)| *nanos as f64 / 1e9).collect();
                let n = durations.len() as f64;
                let sum = minute.sum(now);
                prop_assert_eq!(sum.calls, durations.len() as u64);
                prop_assert_eq!(sum.failures, counted.clone().filter(|(.., failed)| *failed).count() as u64);
                prop_assert_eq!(sum.nanos, counted.map(|(_, nanos, _)| nanos).sum::<u64>());
                prop_assert_eq!(minute.last, now);
                let mean = durations.iter().sum::<f64>() / n;
                let apart: f64 = durations.iter().map(|seconds| (seconds - mean).powi(2)).sum();
                let expected = if n < 2.0 { mean } else { (apart / (n - 1.0) / n).sqrt() };
                prop_assert!((sum.error_of_mean() - expected).abs() <= 1e-3 * mean, "{} for {}", sum.error_of_mean(), expected);
            }
        }
    }
}
