//! The vital signs of components: how often they are called, how they fail, how long they take.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use crate::clock::{self, Tick, nanos};
use crate::sketch::{LiveSketch, Summary};
use crate::sync::Mutex;
use crate::window::{Buckets, Counts, Sample};

/// The time that rates and shares look back.
pub(crate) const LOOK_BACK: Duration = Duration::from_secs(60);

/// The components of one pipeline, at most [`Vitals::CAPACITY`] of them.
#[derive(Debug, Default)]
pub(crate) struct Vitals {
    components: RwLock<BTreeMap<Arc<str>, Arc<Vital>>>,
}

impl Vitals {
    /// More components than this share the last one, called `other`.
    pub(crate) const CAPACITY: usize = 1_000;

    /// The vital signs of the component called `name`.
    pub(crate) fn component(&self, name: &str) -> Arc<Vital> {
        if let Some(vital) = self.read().get(name) {
            return Arc::clone(vital);
        }
        let mut components = self.components.write().unwrap_or_else(PoisonError::into_inner);
        let name = if components.len() >= Self::CAPACITY { "other" } else { name };
        Arc::clone(components.entry(name.into()).or_default())
    }

    /// Every component with its vital signs, by name.
    pub(crate) fn readings(&self) -> Vec<(Arc<str>, VitalReading)> {
        self.read().iter().map(|(name, vital)| (Arc::clone(name), vital.reading())).collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<Arc<str>, Arc<Vital>>> {
        self.components.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The vital signs of one component.
#[derive(Debug)]
pub(crate) struct Vital {
    recent: Mutex<Recent>,
    durations: LiveSketch,
}

#[derive(Debug)]
struct Recent {
    counts: Buckets,
    durations: Sums,
    consecutive_failures: u64,
    calls: u64,
    failures: u64,
}

/// The vital signs of one component at one moment.
#[derive(Clone, Debug)]
pub(crate) struct VitalReading {
    /// Calls and failures of the last [`LOOK_BACK`].
    pub(crate) recent: Counts,
    /// Mean duration of the calls of the last [`LOOK_BACK`].
    pub(crate) recent_mean: Duration,
    /// Failures since the last success.
    pub(crate) consecutive_failures: u64,
    /// Calls since the start.
    pub(crate) calls: u64,
    /// Failures since the start.
    pub(crate) failures: u64,
    /// Durations since the start.
    pub(crate) durations: Summary,
}

impl Default for Vital {
    fn default() -> Self {
        Self {
            recent: Mutex::new(Recent {
                counts: Buckets::new(LOOK_BACK),
                durations: Sums::default(),
                consecutive_failures: 0,
                calls: 0,
                failures: 0,
            }),
            durations: LiveSketch::default(),
        }
    }
}

impl Vital {
    /// Takes in one call that ended at `now`.
    pub(crate) fn record(&self, now: Tick, duration: Duration, failed: bool) {
        self.durations.record(nanos(duration));
        let mut recent = self.recent.lock();
        recent.counts.record(now, Sample { failed, slow: false });
        recent.durations.record(now, duration);
        recent.calls += 1;
        if failed {
            recent.failures += 1;
            recent.consecutive_failures += 1;
        } else {
            recent.consecutive_failures = 0;
        }
    }

    pub(crate) fn reading(&self) -> VitalReading {
        let durations = self.durations.summary();
        let now = clock::now();
        let mut recent = self.recent.lock();
        let counts = recent.counts.counts(now);
        let sum = recent.durations.sum(now);
        VitalReading {
            recent: counts,
            recent_mean: Duration::from_nanos(sum.checked_div(counts.calls).unwrap_or(0)),
            consecutive_failures: recent.consecutive_failures,
            calls: recent.calls,
            failures: recent.failures,
            durations,
        }
    }
}

/// Nanoseconds of the calls of the last [`LOOK_BACK`], in the buckets that [`Buckets`] has for their counts.
#[derive(Debug, Default)]
struct Sums {
    newest: u64,
    ring: [u64; Self::BUCKETS as usize + 1],
}

impl Sums {
    const BUCKETS: u64 = 10;
    const WIDTH: u64 = LOOK_BACK.as_nanos() as u64 / Self::BUCKETS;

    fn record(&mut self, now: Tick, duration: Duration) {
        self.advance(now);
        let place = self.newest as usize % self.ring.len();
        self.ring[place] = self.ring[place].saturating_add(nanos(duration));
    }

    fn sum(&mut self, now: Tick) -> u64 {
        self.advance(now);
        self.ring.iter().fold(0, |sum, nanos| sum.saturating_add(*nanos))
    }

    fn advance(&mut self, now: Tick) {
        let number = now.0 / Self::WIDTH;
        let len = self.ring.len() as u64;
        for gone in (self.newest + 1).max((number + 1).saturating_sub(len))..=number {
            self.ring[(gone % len) as usize] = 0;
        }
        self.newest = self.newest.max(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_success_ends_a_row_of_failures_and_an_earlier_clock_does_no_harm() {
        let vital = Vital::default();
        let second = Duration::from_secs(1);
        let now = clock::now();
        vital.record(now, second, true);
        vital.record(Tick(1), 3 * second, true);
        let reading = vital.reading();
        assert_eq!((reading.consecutive_failures, reading.recent.failures, reading.failures), (2, 2, 2));
        assert_eq!(reading.recent_mean, 2 * second);
        vital.record(now, second, false);
        assert_eq!(vital.reading().consecutive_failures, 0);
    }

    #[test]
    fn p35_components_are_bounded_and_the_rest_is_visible() {
        let vitals = Vitals::default();
        let now = clock::now();
        for n in 0..2 * Vitals::CAPACITY {
            vitals.component(&format!("component {n}")).record(now, Duration::ZERO, false);
        }
        let readings = vitals.readings();
        assert_eq!(readings.len(), Vitals::CAPACITY + 1);
        let other = readings.iter().find(|(name, _)| &**name == "other").map(|(_, reading)| reading.calls);
        assert_eq!(other, Some(Vitals::CAPACITY as u64));
    }

    proptest! {
        #[test]
        fn the_mean_is_that_of_the_calls_that_count(calls in prop::collection::vec((0_u64..40, 0_u64..10_000), 1..100)) {
            let vital = Vital::default();
            let mut now = Tick(1);
            let mut all = Vec::new();
            for (step, millis) in calls {
                now = now + Duration::from_secs(step);
                let duration = Duration::from_millis(millis);
                vital.record(now, duration, false);
                all.push((now.0 / Sums::WIDTH, duration));
                let newest = now.0 / Sums::WIDTH;
                let sum: Duration =
                    all.iter().filter(|(bucket, _)| bucket + Sums::BUCKETS >= newest).map(|(_, duration)| *duration).sum();
                let mut recent = vital.recent.lock();
                prop_assert_eq!(Duration::from_nanos(recent.durations.sum(now)), sum);
                let counted = all.iter().filter(|(bucket, _)| bucket + Sums::BUCKETS >= newest).count();
                prop_assert_eq!(recent.counts.counts(now).calls, counted as u64);
            }
        }
    }
}
