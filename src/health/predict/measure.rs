//! The measures of a round.

use std::time::Duration;

use crate::health::outlook::VitalSign;

/// One vital sign, as a round measured it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::health) struct Measure {
    pub(in crate::health) sign: VitalSign,
    pub(in crate::health) value: f64,
    /// The limit at which the value becomes a reason of the score; infinite if it has none.
    pub(in crate::health) limit: f64,
    /// The number of calls that a mean or share was made of. 1 for any other value.
    pub(in crate::health) weight: f64,
    /// The standard error of the value, estimated from its calls; 0 if unknown.
    pub(in crate::health) error: f64,
}

/// When a round was, on all clocks that prediction uses.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Timestamp {
    /// Milliseconds since the first round.
    pub(super) at: u64,
    /// The hour of the week, and the part of it that has passed.
    pub(super) hour: u8,
    pub(super) part: f64,
}

pub(super) fn millis(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000).saturating_add(u64::from(duration.subsec_millis()))
}
