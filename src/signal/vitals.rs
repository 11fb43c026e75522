//! The vital signs of components: calls, failures and durations.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use super::capacity::COMPONENTS;
use super::heartbeat::Heartbeat;
use super::minute::{Calls, Minute};
use crate::base::clock::{self, Tick, nanos};
use crate::base::per_thread::PerThread;
use crate::base::sketch::{Sketch, Summary};
use crate::base::sync::Mutex;
use crate::base::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::base::window::Counts;

/// The vital signs of a component expire after this time without a call.
pub(crate) const EXPIRY: Duration = Duration::from_secs(3_600);

/// The components of one pipeline, at most [`Vitals::CAPACITY`] of them.
#[derive(Debug, Default)]
pub(crate) struct Vitals {
    components: RwLock<BTreeMap<Arc<str>, Arc<Vital>>>,
    heartbeat: Arc<Heartbeat>,
}

impl Vitals {
    /// Further components share the last one, named `other`.
    pub(crate) const CAPACITY: usize = COMPONENTS;

    /// The vital signs of the component `name`.
    pub(crate) fn component(&self, name: &str) -> Arc<Vital> {
        if let Some(vital) = self.read().get(name) {
            return Arc::clone(vital);
        }
        let mut components = self.components.write().unwrap_or_else(PoisonError::into_inner);
        if components.len() >= Self::CAPACITY && !components.contains_key(name) {
            Self::expire(&mut components);
        }
        let name = if components.len() >= Self::CAPACITY { "other" } else { name };
        Arc::clone(
            components
                .entry(name.into())
                .or_insert_with(|| Arc::new(Vital::new(Arc::clone(&self.heartbeat)))),
        )
    }

    /// The heartbeat, which detects stalls of this process.
    pub(crate) fn heartbeat(&self) -> &Heartbeat {
        &self.heartbeat
    }

    /// Calls `f` with each component and its vital signs, ordered by name.
    pub(crate) fn each(&self, mut f: impl FnMut(&Arc<str>, VitalReading)) {
        let now = clock::now();
        let mut expired = false;
        for (name, vital) in &*self.read() {
            match vital.reading_at(now) {
                Some(reading) => f(name, reading),
                None => expired = true,
            }
        }
        if expired {
            Self::expire(&mut self.components.write().unwrap_or_else(PoisonError::into_inner));
        }
    }

    #[cfg(test)]
    pub(crate) fn readings(&self) -> Vec<(Arc<str>, VitalReading)> {
        let mut readings = Vec::new();
        self.each(|name, reading| readings.push((Arc::clone(name), reading)));
        readings
    }

    /// Removes expired components.
    fn expire(components: &mut BTreeMap<Arc<str>, Arc<Vital>>) {
        let now = clock::now();
        components.retain(|_, vital| {
            let idle = vital.idle(now);
            if idle {
                vital.gone.store(true, Ordering::Release);
            }
            !idle
        });
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<Arc<str>, Arc<Vital>>> {
        self.components.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The vital signs of one component.
#[derive(Debug)]
pub(crate) struct Vital {
    /// Boxed, because most components are called by few threads, and a shard is large.
    shards: PerThread<Box<Shard>>,
    durations: Mutex<Durations>,
    /// Failures since the last success, over all threads.
    consecutive_failures: AtomicU64,
    made: Tick,
    /// Whether it expired.
    gone: AtomicBool,
    heartbeat: Arc<Heartbeat>,
}

/// The counts of some threads, on their own cache lines.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard(Mutex<Tally>);

#[derive(Debug, Default)]
struct Tally {
    recent: Minute,
    calls: u64,
    failures: u64,
    waiting: Batch,
}

/// All durations since the start, and their summary at the last reading.
#[derive(Debug, Default)]
struct Durations {
    sketch: Sketch,
    summary: Option<Summary>,
}

/// The number of durations in a batch. With this number, a shard has exactly three times 128 bytes.
const BATCH: usize = 13;

/// Durations that are not yet in the shared sketch.
#[derive(Clone, Copy, Debug, Default)]
struct Batch {
    count: usize,
    nanos: [u64; BATCH],
}

/// The vital signs of one component at one moment.
#[derive(Clone, Debug)]
pub(crate) struct VitalReading {
    /// Calls and failures of the last [`LOOK_BACK`].
    pub(crate) recent: Counts,
    /// Mean duration of the calls of the last [`LOOK_BACK`].
    pub(crate) recent_mean: Duration,
    /// The standard error of that mean, in seconds.
    pub(crate) recent_mean_error: f64,
    /// Failures since the last success.
    pub(crate) consecutive_failures: u64,
    /// Calls since the start.
    pub(crate) calls: u64,
    /// Failures since the start.
    pub(crate) failures: u64,
    /// Durations since the start.
    pub(crate) durations: Summary,
}

impl Batch {
    /// Adds a duration. Returns the batch if it is full.
    #[inline]
    fn add(&mut self, nanos: u64) -> Option<Self> {
        let count = self.count;
        self.nanos[count] = nanos;
        self.count = count + 1;
        (self.count == BATCH).then(|| self.take())
    }

    fn take(&mut self) -> Self {
        let taken = *self;
        self.count = 0;
        taken
    }
}

#[cfg(test)]
impl Default for Vital {
    fn default() -> Self {
        Self::new(Arc::default())
    }
}

impl Vital {
    fn new(heartbeat: Arc<Heartbeat>) -> Self {
        Self {
            shards: PerThread::new(),
            durations: Mutex::default(),
            consecutive_failures: AtomicU64::new(0),
            made: clock::now(),
            gone: AtomicBool::new(false),
            heartbeat,
        }
    }

    /// Counts a call that ended at `now`; `false` if the component has expired.
    ///
    /// A call during which this process was stalled counts only in the totals, because its failure and duration are not caused
    /// by the component.
    #[inline]
    pub(crate) fn record(&self, now: Tick, duration: Duration, failed: bool) -> bool {
        let nanos = nanos(duration);
        let stalled = self.heartbeat.stalled_between(Tick(now.0.saturating_sub(nanos)), now);
        if failed {
            if !stalled {
                self.consecutive_failures.fetch_add(1, Ordering::Relaxed);
            }
        } else if self.consecutive_failures.load(Ordering::Relaxed) != 0 {
            self.consecutive_failures.store(0, Ordering::Relaxed);
        }
        let full = {
            let mut tally = self.shards.own(Box::default).0.lock();
            if stalled {
                tally.recent.last = tally.recent.last.max(now);
            } else {
                tally.recent.record(now, nanos, failed);
            }
            tally.calls += 1;
            tally.failures += u64::from(failed);
            tally.waiting.add(nanos)
        };
        if let Some(full) = full {
            self.hand_over(&full);
        }
        !self.gone.load(Ordering::Acquire)
    }

    #[cold]
    fn hand_over(&self, batch: &Batch) {
        let mut durations = self.durations.lock();
        durations.sketch.extend(batch.nanos[..batch.count].iter().copied().map(Duration::from_nanos));
        durations.summary = None;
    }

    #[cfg(test)]
    pub(crate) fn reading(&self) -> VitalReading {
        self.reading_at(clock::now()).unwrap_or_else(|| unreachable!("it has not expired"))
    }

    /// `None` after [`EXPIRY`] without a call.
    fn reading_at(&self, now: Tick) -> Option<VitalReading> {
        let (mut calls, mut failures, mut last) = (0, 0, self.made);
        let mut recent = Calls::default();
        for shard in self.shards.iter() {
            let mut tally = shard.0.lock();
            recent.add(&tally.recent.sum(now));
            last = last.max(tally.recent.last);
            calls += tally.calls;
            failures += tally.failures;
            if tally.waiting.count > 0 {
                let batch = tally.waiting.take();
                drop(tally);
                self.hand_over(&batch);
            }
        }
        if is_idle(now, last) {
            return None;
        }
        let durations = {
            let Durations { sketch, summary } = &mut *self.durations.lock();
            summary.get_or_insert_with(|| Summary::from(&*sketch)).clone()
        };
        Some(VitalReading {
            recent: Counts { calls: recent.calls, failures: recent.failures, slow: 0 },
            recent_mean: Duration::from_nanos(recent.nanos.checked_div(recent.calls).unwrap_or(0)),
            recent_mean_error: recent.error_of_mean(),
            consecutive_failures: self.consecutive_failures.load(Ordering::Relaxed),
            calls,
            failures,
            durations,
        })
    }

    /// Whether there was no call for [`EXPIRY`].
    fn idle(&self, now: Tick) -> bool {
        let last = self.shards.iter().map(|shard| shard.0.lock().recent.last).max();
        is_idle(now, last.unwrap_or_default().max(self.made))
    }
}

fn is_idle(now: Tick, last: Tick) -> bool {
    now.since(last) > EXPIRY
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_fills_its_cache_lines() {
        assert_eq!(size_of::<Shard>(), 3 * 128);
        let more = size_of::<Batch>() / (BATCH + 1) + size_of::<Mutex<Tally>>();
        assert!(more > 3 * 128, "a larger batch also fits: {more}");
    }

    #[test]
    fn a_success_resets_consecutive_failures_and_an_earlier_clock_is_accepted() {
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
    fn the_counts_of_threads_are_added_up() {
        let vital = Vital::default();
        let now = clock::now();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    (0..100).for_each(|n| _ = vital.record(now, Duration::from_millis(1), n % 4 == 0))
                });
            }
        });
        let reading = vital.reading();
        assert_eq!((reading.calls, reading.failures, reading.recent.calls), (400, 100, 400));
        assert_eq!(reading.durations.max, Duration::from_millis(1));
    }

    #[test]
    fn p35_components_are_bounded_and_further_ones_share_one() {
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

    #[tokio::test(start_paused = true)]
    async fn p35_a_component_without_calls_expires() {
        let vitals = Vitals::default();
        for n in 0..Vitals::CAPACITY {
            vitals.component(&format!("component {n}")).record(clock::now(), Duration::ZERO, false);
        }
        let (idle, busy) = (vitals.component("component 1"), vitals.component("component 2"));
        tokio::time::advance(EXPIRY).await;
        assert!(busy.record(clock::now(), Duration::ZERO, false));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(vitals.component("new").record(clock::now(), Duration::ZERO, false), "it has room");
        let names: Vec<_> = vitals.readings().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["component 2".into(), Arc::<str>::from("new")]);
        assert!(!idle.record(clock::now(), Duration::ZERO, false), "a cached reference notices the expiry");
    }
}
