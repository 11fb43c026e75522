//! The serialized form of a sketch.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::buckets::{BUCKETS, STEPS, bucket_of};
use super::durations::Sketch;
use crate::base::clock::nanos;

/// The serialized form of a sketch.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    /// The number of buckets for each power of two. Sketches with another number are rejected.
    steps: u64,
    #[serde(with = "crate::base::duration")]
    sum: Duration,
    #[serde(with = "crate::base::duration")]
    min: Duration,
    #[serde(with = "crate::base::duration")]
    max: Duration,
    /// The numbers of the non-empty buckets in ascending order, each with its count.
    buckets: Vec<(u16, u64)>,
}

impl From<&Sketch> for Wire {
    fn from(sketch: &Sketch) -> Self {
        Self {
            steps: STEPS,
            sum: sketch.sum,
            min: sketch.min(),
            max: sketch.max(),
            buckets: sketch.buckets().collect(),
        }
    }
}

impl Serialize for Sketch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Wire::from(self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Sketch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(Wire::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// The errors of a malformed sketch.
enum SketchError {
    Steps(u64),
    Bucket(u16),
    Order,
    Empty(u16),
    Count,
    Bounds,
}

impl fmt::Display for SketchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Steps(steps) => {
                write!(f, "the sketch has {steps} buckets for each power of two; only {STEPS} are supported")
            }
            Self::Bucket(bucket) => {
                write!(f, "the sketch has a bucket {bucket}; the last valid one is {}", BUCKETS - 1)
            }
            Self::Order => f.write_str("the buckets of the sketch are not in ascending order"),
            Self::Empty(bucket) => write!(f, "bucket {bucket} of the sketch is empty: leave it out"),
            Self::Count => f.write_str("the counts of the sketch together exceed 64 bits"),
            Self::Bounds => f.write_str("the buckets of the sketch are outside of its min and max"),
        }
    }
}

impl TryFrom<Wire> for Sketch {
    type Error = SketchError;

    fn try_from(wire: Wire) -> Result<Self, SketchError> {
        if wire.steps != STEPS {
            return Err(SketchError::Steps(wire.steps));
        }
        let (Some((first, _)), Some((last, _))) = (wire.buckets.first(), wire.buckets.last()) else {
            return Ok(Self::new());
        };
        let (min, max) = (nanos(wire.min), nanos(wire.max));
        if usize::from(*last) >= BUCKETS {
            return Err(SketchError::Bucket(*last));
        }
        if min > max || bucket_of(min) > *first || bucket_of(max) < *last {
            return Err(SketchError::Bounds);
        }
        if !wire.buckets.is_sorted_by(|(one, _), (next, _)| one < next) {
            return Err(SketchError::Order);
        }
        let mut sketch = Self::default();
        (sketch.sum, sketch.min, sketch.max) = (wire.sum, min, max);
        for (bucket, in_bucket) in wire.buckets {
            if in_bucket == 0 {
                return Err(SketchError::Empty(bucket));
            }
            sketch.count = sketch.count.checked_add(in_bucket).ok_or(SketchError::Count)?;
            sketch.add_to(bucket, in_bucket);
        }
        Ok(sketch)
    }
}
