//! A sketch for one writer.

use std::time::Duration;

use super::buckets::{STEPS, bucket_of, middle_of};
use crate::base::clock::nanos;

/// The initial capacity in powers of two. Most durations are within a factor of 256, so one allocation is usually enough.
const ROOM: usize = 8;

/// A distribution of durations, of bounded size and error: count, mean, extremes and percentiles.
///
/// Sketches can be merged: [`merge`](Self::merge) of two is the sketch of all their durations, from two handles or, with
/// serde, from two processes. Count, sum, minimum and maximum are exact. The error of a [`quantile`](Self::quantile) is at
/// most [`RELATIVE_ERROR`](Self::RELATIVE_ERROR) of its value. A sketch takes 136 bytes for each power of two in which it
/// has a duration in nanoseconds: at most 61 of them, and usually a few.
///
/// A duration of more than 584 years counts as 584 years, the maximum in nanoseconds of a `u64`.
///
/// # Example
/// ```
/// use campanile::timing::Sketch;
/// use std::time::Duration;
///
/// let one: Sketch = (1..=50).map(Duration::from_millis).collect();
/// let mut all: Sketch = (51..=100).map(Duration::from_millis).collect();
/// all.merge(&one);
/// assert_eq!((all.count(), all.max()), (100, Duration::from_millis(100)));
/// let p95 = all.quantile(0.95).expect("it is not empty").as_secs_f64();
/// assert!((p95 - 0.095).abs() <= 0.095 * Sketch::RELATIVE_ERROR);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sketch {
    /// The powers of two that have durations, in ascending order.
    rows: Vec<Row>,
    pub(super) count: u64,
    pub(super) sum: Duration,
    /// In nanoseconds. Zero if the sketch is empty.
    pub(super) min: u64,
    pub(super) max: u64,
}

/// The buckets of one power of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    /// The number of the first bucket.
    first: u16,
    counts: [u64; STEPS as usize],
}

impl Sketch {
    /// The largest relative error of a quantile: 1/32.
    pub const RELATIVE_ERROR: f64 = 1.0 / (2 * STEPS) as f64;

    /// An empty sketch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one duration.
    pub fn record(&mut self, duration: Duration) {
        let value = nanos(duration);
        self.add(1, Duration::from_nanos(value), value, value);
        self.add_to(bucket_of(value), 1);
    }

    /// Adds all durations of `other`.
    pub fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        self.add(other.count, other.sum, other.min, other.max);
        other.buckets().for_each(|(bucket, count)| self.add_to(bucket, count));
    }

    /// The number of durations.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Whether the sketch is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The exact sum.
    #[must_use]
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// The mean, to the nanosecond. Zero if the sketch is empty.
    #[must_use]
    pub fn mean(&self) -> Duration {
        let mean = self.sum.as_nanos().checked_div(u128::from(self.count)).unwrap_or(0);
        Duration::from_nanos(u64::try_from(mean).unwrap_or(u64::MAX))
    }

    /// The exact minimum. Zero if the sketch is empty.
    #[must_use]
    pub fn min(&self) -> Duration {
        Duration::from_nanos(self.min)
    }

    /// The exact maximum. Zero if the sketch is empty.
    #[must_use]
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.max)
    }

    /// The duration that a `share` of all durations did not exceed: `0.5` is the median, `0.99` the 99th percentile.
    ///
    /// `None` if the sketch is empty, or if `share` is not between 0 and 1.
    #[must_use]
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // A rank.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        if self.count == 0 || !(0.0..=1.0).contains(&share) {
            return None;
        }
        let rank = ((share * self.count as f64).ceil() as u64).max(1);
        let mut seen = 0_u64;
        for (bucket, count) in self.buckets() {
            seen = seen.saturating_add(count);
            if seen >= rank {
                return Some(Duration::from_nanos(middle_of(bucket).clamp(self.min, self.max)));
            }
        }
        // The count was rounded up to a float.
        Some(self.max())
    }

    /// The non-empty buckets in ascending order, each with its count.
    pub(super) fn buckets(&self) -> impl Iterator<Item = (u16, u64)> {
        let of_row = |row: &Row| (row.first..).zip(row.counts);
        self.rows.iter().flat_map(of_row).filter(|(_, count)| *count > 0)
    }

    /// Adds `count` durations of one bucket. [`Self::add_sum`] adds their sum.
    pub(crate) fn add_bucket(&mut self, bucket: u16, count: u64) {
        let middle = middle_of(bucket);
        self.add(count, Duration::ZERO, middle, middle);
        self.add_to(bucket, count);
    }

    /// Adds the nanoseconds of durations that were added by [`Self::add_bucket`].
    pub(crate) fn add_sum(&mut self, nanos: u128) {
        self.sum = self.sum.saturating_add(duration_of(nanos));
    }

    #[inline]
    fn add(&mut self, count: u64, sum: Duration, min: u64, max: u64) {
        (self.min, self.max) =
            if self.count == 0 { (min, max) } else { (self.min.min(min), self.max.max(max)) };
        self.sum = self.sum.saturating_add(sum);
        self.count = self.count.saturating_add(count);
    }

    #[inline]
    pub(super) fn add_to(&mut self, bucket: u16, count: u64) {
        let step = bucket % STEPS as u16;
        let first = bucket - step;
        let place = self.rows.partition_point(|row| row.first < first);
        if self.rows.get(place).is_none_or(|row| row.first != first) {
            if self.rows.is_empty() {
                self.rows.reserve(ROOM);
            }
            self.rows.insert(place, Row { first, counts: [0; STEPS as usize] });
        }
        let own = &mut self.rows[place].counts[usize::from(step)];
        *own = own.saturating_add(count);
    }
}

impl Extend<Duration> for Sketch {
    fn extend<I: IntoIterator<Item = Duration>>(&mut self, durations: I) {
        durations.into_iter().for_each(|duration| self.record(duration));
    }
}

impl FromIterator<Duration> for Sketch {
    fn from_iter<I: IntoIterator<Item = Duration>>(durations: I) -> Self {
        let mut sketch = Self::new();
        sketch.extend(durations);
        sketch
    }
}

/// Nanoseconds as a duration, at most [`Duration::MAX`].
pub(super) fn duration_of(nanos: u128) -> Duration {
    const SECOND: u128 = 1_000_000_000;
    match u64::try_from(nanos / SECOND) {
        Ok(seconds) => Duration::new(seconds, (nanos % SECOND) as u32),
        Err(_) => Duration::MAX,
    }
}
