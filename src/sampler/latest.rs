//! The last values of each source, and how long they are reported.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::probe::{Part, Sample};
use super::thresholds::{Thresholds, Watch};
use crate::base::clock::{self, Tick};
use crate::base::sync::Mutex;
use crate::base::sync::atomic::{AtomicU64, Ordering};
use crate::signal::{Emit, SAMPLER_AGE, SAMPLER_DURATION, SAMPLER_FAILURES, Sign, Source};

/// The number of intervals after which a value is no longer reported.
const STALE_AFTER: u32 = 3;

/// The last values of each source.
#[derive(Debug)]
pub(super) struct Latest {
    slots: Box<[Slot]>,
    thresholds: Thresholds,
}

#[derive(Debug)]
struct Slot {
    source: Cow<'static, str>,
    good_for: Duration,
    sampled: Mutex<Option<Arc<Sampled>>>,
    watch: Mutex<Watch>,
    failures: AtomicU64,
    /// The failures of parts of this source, while the rest of it could be read.
    parts: Mutex<Vec<(Part, u64)>>,
}

#[derive(Debug)]
struct Sampled {
    at: Tick,
    took: Duration,
    sample: Sample,
}

impl Latest {
    /// Makes room for the values of sources with these names and intervals.
    pub(super) fn new(
        sources: impl Iterator<Item = (Cow<'static, str>, Duration)>,
        thresholds: Thresholds,
    ) -> Self {
        let slot = |(source, every): (_, Duration)| Slot {
            source,
            good_for: every * STALE_AFTER,
            sampled: Mutex::new(None),
            watch: Mutex::new(Watch::new(every * STALE_AFTER)),
            failures: AtomicU64::new(0),
            parts: Mutex::new(Vec::new()),
        };
        Self { slots: sources.map(slot).collect(), thresholds }
    }

    /// Replaces the sample of a source. Returns the previous one, emptied for reuse, unless a reader still holds it.
    pub(super) fn store(&self, source: usize, at: Tick, took: Duration, sample: Sample) -> Option<Sample> {
        let slot = self.slots.get(source)?;
        slot.count_failed_parts(&sample);
        slot.watch.lock().read(&sample.figures, at, &self.thresholds);
        let sampled = Arc::new(Sampled { at, took, sample });
        let before = slot.sampled.lock().replace(sampled);
        let mut sample = before.and_then(Arc::into_inner)?.sample;
        sample.readings.clear();
        sample.figures.clear();
        sample.failures.0.clear();
        Some(sample)
    }

    pub(super) fn failed(&self, source: usize) {
        if let Some(slot) = self.slots.get(source) {
            slot.failures.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn observe_at(&self, now: Tick, emit: &mut Emit<'_>) {
        for slot in &self.slots {
            let source = [("source", &*slot.source)];
            #[allow(clippy::cast_precision_loss)] // Failures stay far below 2^52.
            emit(&SAMPLER_FAILURES, slot.failures.load(Ordering::Relaxed) as f64, &source);
            for (part, failures) in &*slot.parts.lock() {
                #[allow(clippy::cast_precision_loss)] // As above.
                emit(&SAMPLER_FAILURES, *failures as f64, &[source[0], ("part", part)]);
            }
            // Cloned, so that the lock is not held while `emit` runs, which may be slow.
            let sampled = slot.sampled.lock().clone();
            let Some(sampled) = sampled else { continue };
            let age = now.since(sampled.at);
            emit(&SAMPLER_AGE, age.as_secs_f64(), &source);
            if age > slot.good_for {
                continue;
            }
            emit(&SAMPLER_DURATION, sampled.took.as_secs_f64(), &source);
            for reading in &sampled.sample.readings {
                reading.labels.with(|labels| emit(reading.metric, reading.value, labels));
            }
        }
    }
}

impl Slot {
    fn count_failed_parts(&self, sample: &Sample) {
        if sample.failures.0.is_empty() {
            return;
        }
        let mut parts = self.parts.lock();
        for (part, _) in &sample.failures.0 {
            match parts.iter_mut().find(|(known, _)| known == part) {
                Some((_, failures)) => *failures += 1,
                None => parts.push((part, 1)),
            }
        }
    }
}

impl Source for Latest {
    fn observe(&self, emit: &mut Emit<'_>) {
        self.observe_at(clock::now(), emit);
    }

    fn signs(&self, emit: &mut dyn FnMut(&str, Sign)) {
        let now = clock::now();
        for slot in &self.slots {
            slot.watch.lock().signs(now, emit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::SYSTEM_UPTIME;

    #[test]
    fn a_stale_value_is_not_reported() {
        let every = Duration::from_secs(10);
        let latest = Latest::new([("machine".into(), every)].into_iter(), Thresholds::default());
        let at = Tick(1_000_000_000_000);
        let mut sample = Sample::default();
        sample.value(&SYSTEM_UPTIME, 7.0);
        latest.store(0, at, Duration::from_millis(2), sample);
        let seen = |now: Tick| {
            let mut seen = Vec::new();
            latest.observe_at(now, &mut |metric, value, _| seen.push((metric.name, value)));
            seen
        };
        let failures = (SAMPLER_FAILURES.name, 0.0);
        assert_eq!(
            seen(at + every * 3),
            [failures, (SAMPLER_AGE.name, 30.0), (SAMPLER_DURATION.name, 0.002), (SYSTEM_UPTIME.name, 7.0)]
        );
        assert_eq!(seen(at + every * 4), [failures, (SAMPLER_AGE.name, 40.0)], "its age is still reported");
    }

    #[test]
    fn p40_failures_of_parts_are_counted_by_part() {
        let every = Duration::from_secs(10);
        let latest = Latest::new([("machine".into(), every)].into_iter(), Thresholds::default());
        let at = Tick(1_000_000_000_000);
        for reading in 0..3 {
            let mut sample = Sample::default();
            sample.value(&SYSTEM_UPTIME, 7.0);
            sample.failures.add("/proc/stat", "gone");
            if reading == 1 {
                sample.failures.add("/proc/meminfo", "gone");
            }
            latest.store(0, at, Duration::ZERO, sample);
        }
        let mut seen = Vec::new();
        latest.observe_at(at, &mut |metric, value, labels| {
            if metric == &SAMPLER_FAILURES {
                seen.push((value, labels.last().map(|(_, value)| (*value).to_owned())));
            }
        });
        let named = |name: &str| Some(name.to_owned());
        assert_eq!(
            seen,
            [(0.0, named("machine")), (3.0, named("/proc/stat")), (1.0, named("/proc/meminfo"))]
        );
    }
}
