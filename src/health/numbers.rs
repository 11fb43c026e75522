//! Conversions of numbers.

use std::time::Duration;

use serde::Serializer;

/// A count as a float.
#[allow(clippy::cast_precision_loss)] // Counts stay far below 2^52.
pub(super) fn count(value: u64) -> f64 {
    value as f64
}

/// Serializes a duration in seconds.
pub(super) fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}
