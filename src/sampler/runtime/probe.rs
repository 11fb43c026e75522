//! The source `runtime`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use super::delay::Delay;
#[cfg(tokio_unstable)]
use super::unstable::UnstableMetrics;
use crate::base::clock;
use crate::base::error::ConfigError;
use crate::base::sync::Mutex;
use crate::sampler::probe::{DEADLINE, Labels, Plan, Probe, ProbeError, Sample, check_names, count};
use crate::signal::{
    RUNTIME_BUSY_TIME, RUNTIME_PARKS, RUNTIME_QUEUE_DEPTH, RUNTIME_SCHEDULING_DELAY, RUNTIME_TASKS,
    RUNTIME_UTILIZATION, RUNTIME_WORKERS,
};

/// The name of the runtime that the sampler is started in.
const MAIN: &str = "main";

/// The runtimes to read, by name.
#[derive(Clone, Debug, Default)]
pub(in crate::sampler) struct Runtimes(Vec<(Box<str>, Handle)>);

impl Runtimes {
    pub(in crate::sampler) fn add(&mut self, name: &str, handle: Handle) {
        self.0.push((name.into(), handle));
    }

    pub(in crate::sampler) fn validate(&self) -> Result<(), ConfigError> {
        check_names("sampler.runtime", &self.0, "a name that no other runtime has")
    }

    /// Adds the runtime in which this is called, unless it was added under a name, or another runtime is named `main`.
    fn and_current(&self) -> Vec<(Box<str>, Handle)> {
        let current = Handle::try_current().ok().filter(|current| {
            self.0.iter().all(|(name, handle)| **name != *MAIN && handle.id() != current.id())
        });
        current.map(|current| (MAIN.into(), current)).into_iter().chain(self.0.iter().cloned()).collect()
    }
}

/// The source, if there is a runtime.
pub(in crate::sampler) fn plan(runtimes: &Runtimes, every: Duration) -> Option<Plan> {
    let known: Vec<Arc<Known>> = runtimes
        .and_current()
        .into_iter()
        .map(|(name, handle)| Arc::new(Known::new(&name, handle)))
        .collect();
    (!known.is_empty()).then(|| Plan {
        name: "runtime".into(),
        make: Arc::new(move || Box::new(Watch(known.iter().cloned().map(Followed::new).collect()))),
        every,
        deadline: DEADLINE,
    })
}

/// A runtime, and the labels of its series.
struct Known {
    /// `None` once it was shut down.
    handle: Mutex<Option<Handle>>,
    labels: Labels,
    global_queue: Labels,
    #[cfg(tokio_unstable)]
    more: UnstableMetrics,
}

/// Reads the runtimes.
struct Watch(Vec<Followed>);

/// A runtime, and the values of its last reading.
struct Followed {
    known: Arc<Known>,
    delay: Delay,
    before: Option<Busy>,
}

/// The sum of the busy time of all workers at one moment.
#[derive(Clone, Copy)]
struct Busy {
    at: Instant,
    time: Duration,
}

// ===== impl Known =====

impl Known {
    fn new(name: &str, handle: Handle) -> Self {
        Self {
            handle: Mutex::new(Some(handle)),
            labels: Labels::new([("runtime", name)]),
            global_queue: Labels::new([("runtime", name), ("queue", "global")]),
            #[cfg(tokio_unstable)]
            more: UnstableMetrics::new(name),
        }
    }
}

// ===== impl Followed =====

impl Followed {
    fn new(known: Arc<Known>) -> Self {
        Self { known, delay: Delay::default(), before: None }
    }

    fn sample(&mut self, sample: &mut Sample) {
        let Some(handle) = self.known.handle.lock().clone() else { return };
        // Before this reading spawns its own task.
        let metrics = handle.metrics();
        let (alive, waiting) = (metrics.num_alive_tasks(), metrics.global_queue_depth());
        let Some(delay) = self.delay.measure(&handle) else {
            *self.known.handle.lock() = None;
            return;
        };
        let labels = &self.known.labels;
        sample.with(&RUNTIME_SCHEDULING_DELAY, delay.map(|delay| delay.as_secs_f64()), labels);
        let workers = metrics.num_workers();
        sample.with(&RUNTIME_WORKERS, count(workers as u64), labels);
        sample.with(&RUNTIME_TASKS, count(alive as u64), labels);
        sample.with(&RUNTIME_QUEUE_DEPTH, count(waiting as u64), &self.known.global_queue);
        let parks = (0..workers).map(|worker| metrics.worker_park_count(worker)).sum();
        sample.with(&RUNTIME_PARKS, count(parks), labels);

        let time = (0..workers).map(|worker| metrics.worker_total_busy_duration(worker)).sum();
        let now = Busy { at: clock::real_now(), time };
        sample.with(&RUNTIME_BUSY_TIME, now.time.as_secs_f64(), labels);
        let share = self.before.replace(now).and_then(|before| now.share_since(before, workers));
        sample.with(&RUNTIME_UTILIZATION, share, labels);
        #[cfg(tokio_unstable)]
        self.known.more.sample(&metrics, workers, sample);
    }
}

impl Probe for Watch {
    fn sample(&mut self, sample: &mut Sample) -> Result<(), ProbeError> {
        self.0.iter_mut().for_each(|runtime| runtime.sample(sample));
        Ok(())
    }
}

// ===== impl Busy =====

impl Busy {
    /// The share since `before`, at most 1: a worker reports its time late.
    fn share_since(self, before: Self, workers: usize) -> Option<f64> {
        let possible = self.at.duration_since(before.at).as_secs_f64() * count(workers as u64);
        let busy = self.time.saturating_sub(before.time).as_secs_f64();
        (possible > 0.0).then(|| (busy / possible).min(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(runtimes: &Runtimes) -> Vec<String> {
        runtimes.and_current().into_iter().map(|(name, _)| name.into()).collect()
    }

    #[tokio::test]
    async fn the_current_runtime_is_named_main_unless_it_has_a_name() {
        let other = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut runtimes = Runtimes::default();
        runtimes.add("other", other.handle().clone());
        assert_eq!(names(&runtimes), ["main", "other"]);
        runtimes.add("this", Handle::current());
        assert_eq!(names(&runtimes), ["other", "this"]);
        let mut runtimes = Runtimes::default();
        runtimes.add("main", other.handle().clone());
        assert_eq!(names(&runtimes), ["main"]);
        assert_eq!(runtimes.and_current()[0].1.id(), other.handle().id());
        other.shutdown_background();
    }

    #[test]
    fn the_handle_of_a_runtime_that_was_shut_down_is_dropped() {
        assert!(plan(&Runtimes::default(), DEADLINE).is_none(), "there is no current runtime");
        let gone = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let known = Arc::new(Known::new("gone", gone.handle().clone()));
        let mut watch = Watch(vec![Followed::new(Arc::clone(&known))]);
        let mut readings = || {
            let mut sample = Sample::default();
            watch.sample(&mut sample).unwrap();
            sample.readings.len()
        };
        // No thread runs its tasks, so the task of the first reading waits when the runtime is dropped.
        assert!(readings() > 0);
        assert!(readings() > 0);
        drop(gone);
        assert_eq!(readings(), 0);
        assert!(known.handle.lock().is_none());
        assert_eq!(readings(), 0);
    }

    #[test]
    fn a_share_is_at_most_one() {
        let at = clock::real_now();
        let busy = |after: u64, time: u64| Busy {
            at: at + Duration::from_secs(after),
            time: Duration::from_secs(time),
        };
        assert_eq!(busy(10, 5).share_since(busy(0, 0), 2), Some(0.25));
        assert_eq!(busy(10, 90).share_since(busy(0, 0), 2), Some(1.0));
        assert_eq!(busy(0, 1).share_since(busy(0, 0), 2), None);
    }
}
