//! A sketch behind somebody's lock.

use super::{BUCKETS, Sketch, bucket_of};

/// A [`Sketch`] that is quick to fill: it has room for every bucket.
#[derive(Clone, Debug)]
pub(crate) struct DenseSketch {
    sum: u128,
    min: u64,
    max: u64,
    buckets: Box<[u64; BUCKETS]>,
}

impl Default for DenseSketch {
    fn default() -> Self {
        Self { sum: 0, min: u64::MAX, max: 0, buckets: Box::new([0; BUCKETS]) }
    }
}

impl DenseSketch {
    /// Adds a duration of so many nanoseconds.
    #[inline]
    pub(crate) fn record(&mut self, nanos: u64) {
        self.sum += u128::from(nanos);
        self.min = self.min.min(nanos);
        self.max = self.max.max(nanos);
        self.buckets[usize::from(bucket_of(nanos))] += 1;
    }

    /// What it holds now.
    pub(crate) fn read(&self) -> Sketch {
        let mut sketch = Sketch::new();
        for (bucket, count) in (0..).zip(self.buckets.iter().copied()).filter(|(_, count)| *count > 0) {
            sketch.buckets.insert(bucket, count);
            sketch.count += count;
        }
        if sketch.count > 0 {
            (sketch.min, sketch.max) = (self.min, self.max);
            sketch.sum = super::live::duration_of(self.sum);
        }
        sketch
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_holds_what_a_sketch_does(values in prop::collection::vec(any::<u64>(), 0..300)) {
            let mut dense = DenseSketch::default();
            values.iter().for_each(|value| dense.record(*value));
            prop_assert_eq!(dense.read(), values.iter().copied().map(Duration::from_nanos).collect::<Sketch>());
        }
    }
}
