//! The calls of the last minute, computed from counters that only grow.

use std::collections::VecDeque;

use crate::base::clock::Tick;
use crate::base::outcome::FailureKind;
use crate::base::sketch::{Counts, LiveSketch, Sketch};
use crate::base::sync::Mutex;
use crate::base::sync::atomic::{AtomicU64, Ordering};

/// The length of the window, in seconds.
pub(super) const WINDOW_SECONDS: u64 = 60;

const SECOND: u64 = 1_000_000_000;

/// Buckets of durations for which the last minute has room from the start.
const INITIAL_BUCKETS: usize = 512;

/// Failed calls by their kind.
pub(super) type Failures = [AtomicU64; FailureKind::ALL.len()];

/// The increments of a shard's counters in each of the last seconds.
///
/// A call only checks whether a new second has begun. The first call of a second stores the increments of the second
/// before. (A second set of counters would cost each call more writes.) A stored second takes eight bytes for each bucket
/// that was used in it, of 976 buckets.
#[derive(Debug)]
pub(super) struct Minute {
    /// The nanosecond at which the next second begins.
    next: AtomicU64,
    past: Mutex<Past>,
}

#[derive(Debug)]
struct Past {
    /// The second of the last call; `None` before the first.
    current: Option<u64>,
    /// The counters at the start of that second.
    before: Counts,
    failures_before: [u64; FailureKind::ALL.len()],
    /// The earlier seconds with calls, oldest first.
    seconds: VecDeque<Second>,
    /// Their buckets, one second after the other, each with its count.
    buckets: VecDeque<(u16, u32)>,
}

#[derive(Debug)]
struct Second {
    number: u64,
    buckets: usize,
    nanos: u128,
    failures: [u64; FailureKind::ALL.len()],
}

/// The calls of the last minute.
#[derive(Debug, Default)]
pub(super) struct Recent {
    pub(super) failures: [u64; FailureKind::ALL.len()],
    pub(super) durations: Sketch,
}

impl Minute {
    pub(super) fn new() -> Self {
        let past = Past {
            current: None,
            before: Counts::default(),
            failures_before: [0; FailureKind::ALL.len()],
            seconds: VecDeque::with_capacity(WINDOW_SECONDS as usize),
            buckets: VecDeque::with_capacity(INITIAL_BUCKETS),
        };
        Self { next: AtomicU64::new(0), past: Mutex::new(past) }
    }

    /// Called at the end of a call at `now`, before it is counted.
    #[inline]
    pub(super) fn tick(&self, now: Tick, durations: &LiveSketch, failures: &Failures) {
        if now.0 >= self.next.load(Ordering::Relaxed) {
            self.begin(now.0 / SECOND, durations, failures);
        }
    }

    #[cold]
    fn begin(&self, second: u64, durations: &LiveSketch, failures: &Failures) {
        let mut past = self.past.lock();
        // Another thread may have started this second already.
        if past.current.is_none_or(|current| second > current) {
            past.start(second, durations, failures);
            self.next.store((second + 1).saturating_mul(SECOND), Ordering::Relaxed);
        }
    }

    /// Adds the calls that ended in the last [`WINDOW_SECONDS`] seconds, the current one included.
    pub(super) fn read(&self, now: Tick, durations: &LiveSketch, failures: &Failures, recent: &mut Recent) {
        let first = (now.0 / SECOND).saturating_sub(WINDOW_SECONDS - 1);
        let past = self.past.lock();
        let mut buckets = past.buckets.iter();
        for second in &past.seconds {
            let own = buckets.by_ref().take(second.buckets);
            if second.number < first {
                own.for_each(drop);
                continue;
            }
            own.for_each(|(bucket, count)| recent.durations.add_bucket(*bucket, u64::from(*count)));
            recent.durations.add_sum(second.nanos);
            add_failures(&mut recent.failures, &second.failures);
        }
        if past.current.is_some_and(|current| current >= first) {
            let nanos =
                durations.since(&past.before, |bucket, count| recent.durations.add_bucket(bucket, count));
            recent.durations.add_sum(nanos);
            add_failures(&mut recent.failures, &increments(failures, &past.failures_before));
        }
    }
}

impl Past {
    /// Stores the increments of the current second and starts `second`.
    fn start(&mut self, second: u64, durations: &LiveSketch, failures: &Failures) {
        let before = self.buckets.len();
        let buckets = &mut self.buckets;
        let nanos = durations.since(&self.before, |bucket, count| {
            buckets.push_back((bucket, u32::try_from(count).unwrap_or(u32::MAX)));
        });
        let own = self.buckets.len() - before;
        self.before.add(nanos, self.buckets.iter().skip(before).copied());
        let increments = increments(failures, &self.failures_before);
        add_failures(&mut self.failures_before, &increments);
        if let Some(number) = self.current.replace(second) {
            self.seconds.push_back(Second { number, buckets: own, nanos, failures: increments });
        }
        while let Some(oldest) = self.seconds.front()
            && oldest.number + WINDOW_SECONDS <= second
        {
            self.buckets.drain(..oldest.buckets);
            self.seconds.pop_front();
        }
    }
}

/// Adds up failures by kind.
pub(super) fn add_failures(
    sum: &mut [u64; FailureKind::ALL.len()],
    failures: &[u64; FailureKind::ALL.len()],
) {
    sum.iter_mut().zip(failures).for_each(|(sum, failures)| *sum = sum.saturating_add(*failures));
}

fn increments(failures: &Failures, before: &[u64; FailureKind::ALL.len()]) -> [u64; FailureKind::ALL.len()] {
    std::array::from_fn(|kind| failures[kind].load(Ordering::Relaxed).saturating_sub(before[kind]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn read(minute: &Minute, now: Tick, durations: &LiveSketch, failures: &Failures) -> Recent {
        let mut recent = Recent::default();
        minute.read(now, durations, failures, &mut recent);
        recent
    }

    proptest! {
        #[test]
        fn p05_the_last_minute_is_that_of_a_list(
            steps in prop::collection::vec((0_u64..9_000, prop::collection::vec((1_u64..1 << 40, 0_usize..8), 0..4)), 0..200),
        ) {
            let (minute, durations) = (Minute::new(), LiveSketch::default());
            let failures: Failures = Default::default();
            let mut now = 3_600_000;
            let mut all: Vec<(u64, u64, Option<usize>)> = Vec::new();
            for (step, calls) in steps {
                now += step;
                let tick = Tick(now * 1_000_000);
                for (nanos, kind) in calls {
                    let kind = Some(kind).filter(|kind| *kind < FailureKind::ALL.len());
                    minute.tick(tick, &durations, &failures);
                    if let Some(kind) = kind {
                        failures[kind].fetch_add(1, Ordering::Relaxed);
                    }
                    durations.record(nanos);
                    all.push((now / 1_000, nanos, kind));
                }
                let is_recent = |(at, ..): &&(u64, u64, Option<usize>)| *at + WINDOW_SECONDS > now / 1_000;
                let exact: Vec<_> = all.iter().filter(is_recent).collect();
                let sketch: Sketch = exact.iter().map(|(_, nanos, _)| Duration::from_nanos(*nanos)).collect();
                let recent = read(&minute, tick, &durations, &failures);
                prop_assert_eq!(recent.durations.count(), exact.len() as u64);
                prop_assert_eq!(recent.durations.sum(), sketch.sum());
                for share in [0.5, 0.95, 0.99] {
                    let (one, other) = (recent.durations.quantile(share), sketch.quantile(share));
                    let (one, other) = (one.unwrap_or_default().as_secs_f64(), other.unwrap_or_default().as_secs_f64());
                    // The sketch of all durations has its exact minimum and maximum.
                    prop_assert!((one - other).abs() <= other * Sketch::RELATIVE_ERROR + 1e-9, "{} {}", one, other);
                }
                for kind in 0..FailureKind::ALL.len() {
                    let failed = exact.iter().filter(|(_, _, own)| *own == Some(kind)).count();
                    prop_assert_eq!(recent.failures[kind], failed as u64);
                }
                prop_assert!(minute.past.lock().seconds.len() < WINDOW_SECONDS as usize);
            }
        }
    }

    #[test]
    fn a_call_that_ends_in_an_earlier_second_stores_nothing() {
        let (minute, durations) = (Minute::new(), LiveSketch::default());
        let failures: Failures = Default::default();
        let end = |second: u64| {
            minute.tick(Tick(second.saturating_mul(SECOND)), &durations, &failures);
            durations.record(1);
        };
        let count = |second: u64| {
            let now = Tick(second.saturating_mul(SECOND));
            read(&minute, now, &durations, &failures).durations.count()
        };
        end(5);
        end(4);
        minute.begin(4, &durations, &failures);
        assert_eq!(count(5), 2);
        end(u64::MAX);
        assert_eq!(count(u64::MAX), 1);
    }
}
