//! The counts and percentiles of a timing handle.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::minute::{Recent, add_failures};
use super::shard::ShardTotals;
use crate::base::outcome::FailureKind;
use crate::base::sketch::{Sketch, Summary};

/// The calls of one [`Timing`](crate::Timing) since it was made, and of the last minute.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TimingSnapshot {
    /// The handle's name.
    pub name: Arc<str>,
    /// Calls that ended, including cancelled ones.
    pub calls: u64,
    /// Running calls.
    pub in_flight: u64,
    /// Calls that failed, by [`FailureKind::index`]. Includes calls that were dropped before the head of the response
    /// or while its body had [stalled](crate::base::outcome#streams).
    pub failures: [u64; FailureKind::ALL.len()],
    /// Calls that failed, of any kind.
    #[serde(default)]
    pub failed: u64,
    /// Calls that were neither success nor failure: those whose body was dropped midway without a stall, and those that the
    /// classifier ignored.
    #[serde(default)]
    pub ignored: u64,
    /// The share of calls that did not fail, from 0 to 1; `None` without calls.
    #[serde(default)]
    pub success_rate: Option<f64>,
    /// The shortest call.
    #[serde(with = "crate::base::duration")]
    pub min: Duration,
    /// The mean.
    #[serde(with = "crate::base::duration")]
    pub mean: Duration,
    /// The longest call.
    #[serde(with = "crate::base::duration")]
    pub max: Duration,
    /// The median. The error of percentiles is at most 1/32 of the value.
    #[serde(with = "crate::base::duration")]
    pub p50: Duration,
    /// 95 % of the calls were faster.
    #[serde(with = "crate::base::duration")]
    pub p95: Duration,
    /// 99 % of the calls were faster.
    #[serde(with = "crate::base::duration")]
    pub p99: Duration,
    /// All durations. The fields above are computed from it.
    pub durations: Sketch,
    /// The calls of the last minute.
    #[serde(default)]
    pub last_minute: LastMinute,
}

/// The calls of one [`Timing`](crate::Timing) that ended in the last 60 seconds, the current one included.
///
/// # Example
/// ```
/// use campanile::Timing;
/// use tower::{Layer, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let timing = Timing::new("orders");
/// let service = timing.layer().layer(service_fn(|fine: bool| async move { if fine { Ok(()) } else { Err("no") } }));
/// for fine in [true, true, true, false] {
///     let _ = service.clone().oneshot(fine).await;
/// }
/// let now = timing.snapshot().last_minute;
/// assert_eq!((now.calls, now.success_rate), (4, Some(0.75)));
/// println!("{:.1} calls per second, p95 {:?}", now.per_second, now.p95);
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LastMinute {
    /// Calls that ended, including cancelled ones.
    pub calls: u64,
    /// Calls that failed, by [`FailureKind::index`], including cancelled ones.
    pub failures: [u64; FailureKind::ALL.len()],
    /// Calls that failed, of any kind.
    #[serde(default)]
    pub failed: u64,
    /// The share of calls that did not fail, from 0 to 1; `None` without calls.
    #[serde(default)]
    pub success_rate: Option<f64>,
    /// Calls per second, over the minute or the time since the handle was made.
    pub per_second: f64,
    /// The mean; zero without calls, like the percentiles.
    #[serde(with = "crate::base::duration")]
    pub mean: Duration,
    /// The median. The error of percentiles is at most 1/32 of the value.
    #[serde(with = "crate::base::duration")]
    pub p50: Duration,
    /// 95 % of the calls were faster.
    #[serde(with = "crate::base::duration")]
    pub p95: Duration,
    /// 99 % of the calls were faster.
    #[serde(with = "crate::base::duration")]
    pub p99: Duration,
    /// All durations. Mean and percentiles are computed from it. The error of its minimum and maximum is that of a
    /// percentile.
    pub durations: Sketch,
}

impl TimingSnapshot {
    /// `seconds` is the part of the last minute in which the handle existed.
    pub(super) fn new(name: Arc<str>, seconds: f64, totals: ShardTotals) -> Self {
        let ShardTotals { in_flight, recent, failures, ignored, durations } = totals;
        let mut snapshot = Self {
            name,
            calls: 0,
            in_flight,
            failures,
            failed: 0,
            ignored,
            success_rate: None,
            min: Duration::ZERO,
            mean: Duration::ZERO,
            max: Duration::ZERO,
            p50: Duration::ZERO,
            p95: Duration::ZERO,
            p99: Duration::ZERO,
            durations,
            last_minute: LastMinute::new(seconds, recent),
        };
        snapshot.summarize();
        snapshot
    }

    /// Adds the calls of `other`, from another handle or process. The name stays.
    ///
    /// Counts and rates are added. Percentiles are those of all calls of both, within the error of a [`Sketch`].
    pub fn merge(&mut self, other: &Self) {
        self.in_flight = self.in_flight.saturating_add(other.in_flight);
        self.ignored = self.ignored.saturating_add(other.ignored);
        add_failures(&mut self.failures, &other.failures);
        self.durations.merge(&other.durations);
        self.last_minute.merge(&other.last_minute);
        self.summarize();
    }

    /// Computes the other fields from the sketch and the failures.
    fn summarize(&mut self) {
        let Summary { count, mean, min, max, p50, p95, p99 } = Summary::from(&self.durations);
        (self.calls, self.min, self.mean, self.max) = (count, min, mean, max);
        (self.p50, self.p95, self.p99) = (p50, p95, p99);
        self.failed = self.failures.iter().sum();
        self.success_rate = success_rate(self.calls, self.failed);
    }
}

impl LastMinute {
    #[allow(clippy::cast_precision_loss)] // Counts of calls stay far below 2^52.
    fn new(seconds: f64, recent: Recent) -> Self {
        let Recent { failures, durations } = recent;
        let per_second = if seconds > 0.0 { durations.count() as f64 / seconds } else { 0.0 };
        let mut minute = Self { failures, per_second, durations, ..Self::default() };
        minute.summarize();
        minute
    }

    fn merge(&mut self, other: &Self) {
        self.per_second += other.per_second;
        add_failures(&mut self.failures, &other.failures);
        self.durations.merge(&other.durations);
        self.summarize();
    }

    /// Computes the other fields from the sketch and the failures.
    fn summarize(&mut self) {
        let Summary { count, mean, p50, p95, p99, .. } = Summary::from(&self.durations);
        (self.calls, self.mean, self.p50, self.p95, self.p99) = (count, mean, p50, p95, p99);
        self.failed = self.failures.iter().sum();
        self.success_rate = success_rate(self.calls, self.failed);
    }
}

#[allow(clippy::cast_precision_loss)] // Counts of calls stay far below 2^52.
fn success_rate(calls: u64, failed: u64) -> Option<f64> {
    (calls > 0).then(|| calls.saturating_sub(failed) as f64 / calls as f64)
}
