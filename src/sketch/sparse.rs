//! A sketch behind somebody's lock.

use std::time::Duration;

use super::{BUCKETS, STEPS, Summary, bucket_of, live::duration_of, middle_of};

const WIDTH: usize = STEPS as usize;
const ROWS: usize = BUCKETS / WIDTH;
/// Room for so many powers of two from the start: most calls are within a factor of 256, and find room without an
/// allocation.
const ROOM: usize = 8;

/// A [`Sketch`](super::Sketch) of which there may be thousands: it has room for the powers of two that came.
#[derive(Clone, Debug)]
pub(crate) struct SparseSketch {
    count: u64,
    sum: u128,
    min: u64,
    max: u64,
    /// Where the buckets of a power of two are, from 1 on; 0 when none of it came.
    rows: [u8; ROWS],
    buckets: Vec<[u64; WIDTH]>,
}

impl Default for SparseSketch {
    fn default() -> Self {
        Self { count: 0, sum: 0, min: u64::MAX, max: 0, rows: [0; ROWS], buckets: Vec::with_capacity(ROOM) }
    }
}

impl SparseSketch {
    /// Adds durations of so many nanoseconds.
    pub(crate) fn extend(&mut self, nanos: &[u64]) {
        self.count += nanos.len() as u64;
        for nanos in nanos.iter().copied() {
            self.sum += u128::from(nanos);
            self.min = self.min.min(nanos);
            self.max = self.max.max(nanos);
            let bucket = usize::from(bucket_of(nanos));
            let row = match self.rows[bucket / WIDTH] {
                0 => self.open(bucket / WIDTH),
                row => usize::from(row) - 1,
            };
            self.buckets[row][bucket % WIDTH] += 1;
        }
    }

    #[cold]
    #[allow(clippy::cast_possible_truncation)] // There are 61 rows.
    fn open(&mut self, row: usize) -> usize {
        if self.buckets.len() == self.buckets.capacity() {
            self.buckets.reserve_exact(ROOM / 2);
        }
        self.buckets.push([0; WIDTH]);
        self.rows[row] = self.buckets.len() as u8;
        self.buckets.len() - 1
    }

    /// What it holds now.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Ranks.
    pub(crate) fn read(&self) -> Summary {
        if self.count == 0 {
            return Summary::default();
        }
        let ranks = [0.50, 0.95, 0.99].map(|share| ((share * self.count as f64).ceil() as u64).max(1));
        let mut found = [self.max; 3];
        let (mut seen, mut next) = (0_u64, 0);
        for (row, place) in (0_u16..).zip(self.rows).filter(|(_, place)| *place > 0) {
            for (step, count) in (0_u16..).zip(self.buckets[usize::from(place) - 1]) {
                seen += count;
                while next < ranks.len() && seen >= ranks[next] {
                    found[next] = middle_of(row * STEPS as u16 + step).clamp(self.min, self.max);
                    next += 1;
                }
            }
        }
        let [p50, p95, p99] = found.map(Duration::from_nanos);
        Summary {
            count: self.count,
            mean: duration_of(self.sum / u128::from(self.count)),
            min: Duration::from_nanos(self.min),
            max: Duration::from_nanos(self.max),
            p50,
            p95,
            p99,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sketch::Sketch;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_tells_what_a_sketch_does(values in prop::collection::vec(prop_oneof![any::<u64>(), 0_u64..10_000], 0..300)) {
            let mut sparse = SparseSketch::default();
            values.chunks(19).for_each(|some| sparse.extend(some));
            let sketch: Sketch = values.iter().copied().map(Duration::from_nanos).collect();
            prop_assert_eq!(sparse.read(), Summary::from(&sketch));
        }
    }

    #[test]
    fn it_is_small_for_durations_that_crowd_together() {
        let mut sparse = SparseSketch::default();
        (1_000_000..9_000_000).step_by(1_000).for_each(|nanos| sparse.extend(&[nanos]));
        let bytes = size_of_val(&sparse) + sparse.buckets.capacity() * size_of::<[u64; WIDTH]>();
        assert!(bytes <= 1_200, "{bytes}");
    }
}
