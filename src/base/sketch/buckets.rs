//! Logarithmic buckets.
//!
//! There are sixteen buckets for each power of two, so the relative error of a percentile is at most 1/32 (3.2 %). The last
//! bucket ends at 2^64 ns, which is 584 years.

const STEPS_LOG2: u32 = 4;
pub(super) const STEPS: u64 = 1 << STEPS_LOG2;
/// The number of buckets: sixteen for values below sixteen, and sixteen for each power of two above.
pub(super) const BUCKETS: usize = ((u64::BITS - STEPS_LOG2) as usize + 1) * STEPS as usize;

#[inline]
pub(super) fn bucket_of(value: u64) -> u16 {
    log_bucket::<STEPS_LOG2>(value) as u16
}

pub(super) fn middle_of(bucket: u16) -> u64 {
    log_middle::<STEPS_LOG2>(usize::from(bucket))
}

/// The bucket of a value, with 2^`STEPS_LOG2` buckets for each power of two. Each value below that number has its own
/// bucket. The bucket of a larger value is given by the bits after its leading one.
#[inline]
pub(crate) fn log_bucket<const STEPS_LOG2: u32>(value: u64) -> usize {
    let steps = 1 << STEPS_LOG2;
    if value < steps {
        return value as usize;
    }
    let exponent = value.ilog2() - STEPS_LOG2;
    // The shifted value includes the leading one, which is the first step of the next row.
    (u64::from(exponent) * steps + (value >> exponent)) as usize
}

/// The middle of a bucket of [`log_bucket`].
pub(crate) fn log_middle<const STEPS_LOG2: u32>(bucket: usize) -> u64 {
    let (steps, bucket) = (1 << STEPS_LOG2, bucket as u64);
    if bucket < steps {
        return bucket;
    }
    let exponent = bucket / steps - 1;
    let low = (steps + bucket % steps) << exponent;
    low + (1 << exponent) / 2
}
