//! How a sketch is written.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{BUCKETS, STEPS, Sketch, bucket_of};
use crate::base::clock::nanos;

/// A sketch as serde sees it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wire {
    /// Buckets for each power of two, so that sketches of another resolution are not mixed up with these.
    steps: u64,
    #[serde(with = "crate::base::duration")]
    sum: Duration,
    #[serde(with = "crate::base::duration")]
    min: Duration,
    #[serde(with = "crate::base::duration")]
    max: Duration,
    /// The numbers of the buckets in use, growing, each with its count.
    buckets: Vec<(u16, u64)>,
}

impl From<Sketch> for Wire {
    fn from(sketch: Sketch) -> Self {
        Self {
            steps: STEPS,
            sum: sketch.sum,
            min: sketch.min(),
            max: sketch.max(),
            buckets: sketch.buckets().collect(),
        }
    }
}

/// What is wrong with a sketch that was read.
pub(super) enum Fault {
    Steps(u64),
    Bucket(u16),
    Order,
    Empty(u16),
    Count,
    Bounds,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Steps(steps) => {
                write!(f, "a sketch with {steps} buckets to a power of two; this one has {STEPS}")
            }
            Self::Bucket(bucket) => {
                write!(f, "bucket {bucket} of a sketch; the last one is {}", BUCKETS - 1)
            }
            Self::Order => f.write_str("the buckets of a sketch must grow"),
            Self::Empty(bucket) => write!(f, "bucket {bucket} of a sketch is empty"),
            Self::Count => f.write_str("the counts of a sketch exceed 64 bits"),
            Self::Bounds => f.write_str("the buckets of a sketch lie outside of its min and max"),
        }
    }
}

impl TryFrom<Wire> for Sketch {
    type Error = Fault;

    fn try_from(wire: Wire) -> Result<Self, Fault> {
        if wire.steps != STEPS {
            return Err(Fault::Steps(wire.steps));
        }
        let (Some((first, _)), Some((last, _))) = (wire.buckets.first(), wire.buckets.last()) else {
            return Ok(Self::new());
        };
        let (min, max) = (nanos(wire.min), nanos(wire.max));
        if usize::from(*last) >= BUCKETS {
            return Err(Fault::Bucket(*last));
        }
        if min > max || bucket_of(min) > *first || bucket_of(max) < *last {
            return Err(Fault::Bounds);
        }
        if !wire.buckets.is_sorted_by(|(one, _), (next, _)| one < next) {
            return Err(Fault::Order);
        }
        let mut sketch = Self { sum: wire.sum, min, max, ..Self::default() };
        for (bucket, in_bucket) in wire.buckets {
            if in_bucket == 0 {
                return Err(Fault::Empty(bucket));
            }
            sketch.count = sketch.count.checked_add(in_bucket).ok_or(Fault::Count)?;
            sketch.add_to(bucket, in_bucket);
        }
        Ok(sketch)
    }
}
