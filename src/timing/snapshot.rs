//! What a timing handle has seen.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::lane::Reading;
use crate::outcome::FailureKind;
use crate::sketch::{Sketch, Summary};

/// The calls of one [`Timing`](crate::Timing) since it was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TimingSnapshot {
    /// The handle's name.
    pub name: Arc<str>,
    /// Calls that ended, cancelled ones included.
    pub calls: u64,
    /// Calls that run now.
    pub in_flight: u64,
    /// Calls that failed, by [`FailureKind::index`]. Those whose caller left before the head of the response, or while
    /// its body [stalled](crate::outcome#streams), are among them.
    pub failures: [u64; FailureKind::ALL.len()],
    /// Calls that were neither a success nor a failure: those whose reader dropped the body of the response midway,
    /// though it did not stall, and those that the classifier ignored.
    #[serde(default)]
    pub ignored: u64,
    /// Calls a second over the last minute, or since the handle was made if that is shorter.
    pub per_second: f64,
    /// The shortest call.
    #[serde(with = "crate::duration")]
    pub min: Duration,
    /// The mean.
    #[serde(with = "crate::duration")]
    pub mean: Duration,
    /// The longest call.
    #[serde(with = "crate::duration")]
    pub max: Duration,
    /// Half of the calls were faster; like the other percentiles right to 1/32 of its value.
    #[serde(with = "crate::duration")]
    pub p50: Duration,
    /// 95 % of the calls were faster.
    #[serde(with = "crate::duration")]
    pub p95: Duration,
    /// 99 % of the calls were faster.
    #[serde(with = "crate::duration")]
    pub p99: Duration,
    /// All durations, by size: what the seven above are told from.
    pub durations: Sketch,
}

impl TimingSnapshot {
    pub(super) fn new(name: Arc<str>, per_second: f64, reading: Reading) -> Self {
        let Reading { in_flight, recent: _, failures, ignored, durations } = reading;
        let mut snapshot = Self {
            name,
            calls: 0,
            in_flight,
            failures,
            ignored,
            per_second,
            min: Duration::ZERO,
            mean: Duration::ZERO,
            max: Duration::ZERO,
            p50: Duration::ZERO,
            p95: Duration::ZERO,
            p99: Duration::ZERO,
            durations,
        };
        snapshot.tell();
        snapshot
    }

    /// Adds the calls of `other`, of another handle or of another process; the name stays.
    ///
    /// Counts and rates add up, and the percentiles are those of all calls of both, within the error of a
    /// [`Sketch`].
    pub fn merge(&mut self, other: &Self) {
        self.in_flight = self.in_flight.saturating_add(other.in_flight);
        self.ignored = self.ignored.saturating_add(other.ignored);
        self.per_second += other.per_second;
        for (sum, failures) in self.failures.iter_mut().zip(&other.failures) {
            *sum = sum.saturating_add(*failures);
        }
        self.durations.merge(&other.durations);
        self.tell();
    }

    fn tell(&mut self) {
        let Summary { count, mean, min, max, p50, p95, p99 } = Summary::from(&self.durations);
        (self.calls, self.min, self.mean, self.max) = (count, min, mean, max);
        (self.p50, self.p95, self.p99) = (p50, p95, p99);
    }

    /// Calls that failed, of any kind.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failures.iter().sum()
    }
}
