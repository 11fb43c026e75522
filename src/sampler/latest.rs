//! The values that were read last, and whether they are still good.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::probe::{Reading, Sample};
use crate::clock::{self, Tick};
use crate::signal::{Emit, SAMPLER_DURATION, SAMPLER_FAILURES, Source};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicU64, Ordering};

/// A value of this many intervals ago is not reported any more.
const STALE_AFTER: u32 = 3;

/// The last values of each source.
#[derive(Debug)]
pub(super) struct Latest {
    slots: Box<[Slot]>,
}

#[derive(Debug)]
struct Slot {
    source: Cow<'static, str>,
    good_for: Duration,
    sampled: Mutex<Option<Sampled>>,
    failures: AtomicU64,
}

#[derive(Clone, Debug)]
struct Sampled {
    at: Tick,
    took: Duration,
    readings: Arc<[Reading]>,
}

impl Latest {
    pub(super) fn new(sources: impl Iterator<Item = (Cow<'static, str>, Duration)>) -> Self {
        Self {
            slots: sources
                .map(|(source, every)| Slot {
                    source,
                    good_for: every * STALE_AFTER,
                    sampled: Mutex::new(None),
                    failures: AtomicU64::new(0),
                })
                .collect(),
        }
    }

    pub(super) fn store(&self, source: usize, at: Tick, took: Duration, sample: Sample) {
        if let Some(slot) = self.slots.get(source) {
            *slot.sampled.lock() = Some(Sampled { at, took, readings: sample.readings.into() });
        }
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
            // Taken out of the lock: who collects may be slow.
            let sampled = slot.sampled.lock().clone();
            let Some(sampled) = sampled.filter(|sampled| now.since(sampled.at) <= slot.good_for) else {
                continue;
            };
            emit(&SAMPLER_DURATION, sampled.took.as_secs_f64(), &source);
            for reading in sampled.readings.iter() {
                reading.labels.with(|labels| emit(reading.metric, reading.value, labels));
            }
        }
    }
}

impl Source for Latest {
    fn observe(&self, emit: &mut Emit<'_>) {
        self.observe_at(clock::now(), emit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::SYSTEM_UPTIME;

    #[test]
    fn a_stale_value_is_not_reported() {
        let every = Duration::from_secs(10);
        let latest = Latest::new([("machine".into(), every)].into_iter());
        let at = Tick(1_000_000_000_000);
        let mut sample = Sample::default();
        sample.value(&SYSTEM_UPTIME, 7.0);
        latest.store(0, at, Duration::from_millis(2), sample);
        let seen = |now: Tick| {
            let mut seen = Vec::new();
            latest.observe_at(now, &mut |metric, value, _| seen.push((metric.name, value)));
            seen
        };
        let fresh = [(SAMPLER_FAILURES.name, 0.0), (SAMPLER_DURATION.name, 0.002), (SYSTEM_UPTIME.name, 7.0)];
        assert_eq!(seen(at + every * 3), fresh);
        assert_eq!(seen(at + every * 3 + Duration::from_nanos(1)), fresh[..1]);
    }
}
