//! What a timing handle has seen.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::outcome::FailureKind;

/// The calls of one [`Timing`](crate::Timing) since it was made.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TimingSnapshot {
    /// The handle's name.
    pub name: Arc<str>,
    /// Calls that ended, cancelled ones included.
    pub calls: u64,
    /// Calls that run now.
    pub in_flight: u64,
    /// Calls that failed, by [`FailureKind::index`]; a cancelled call is among them.
    pub failures: [u64; FailureKind::ALL.len()],
    /// Calls a second over the last minute, or since the handle was made if that is shorter.
    pub per_second: f64,
    /// The shortest call.
    #[serde(serialize_with = "crate::duration::serialize")]
    pub min: Duration,
    /// The mean.
    #[serde(serialize_with = "crate::duration::serialize")]
    pub mean: Duration,
    /// The longest call.
    #[serde(serialize_with = "crate::duration::serialize")]
    pub max: Duration,
    /// Half of the calls were faster; like the other percentiles right to 1/32 of its value.
    #[serde(serialize_with = "crate::duration::serialize")]
    pub p50: Duration,
    /// 95 % of the calls were faster.
    #[serde(serialize_with = "crate::duration::serialize")]
    pub p95: Duration,
    /// 99 % of the calls were faster.
    #[serde(serialize_with = "crate::duration::serialize")]
    pub p99: Duration,
}

impl TimingSnapshot {
    /// Calls that failed, of any kind.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failures.iter().sum()
    }
}
