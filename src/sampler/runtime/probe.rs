//! The source `runtime`, which reads the metrics of Tokio runtimes.

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

/// The name of the runtime in which the sampler is started, unless it was added under another name.
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

    /// All runtimes. The current one is included as `main`, unless it was added, or another runtime is named `main`.
    fn with_current(&self) -> Vec<(Box<str>, Handle)> {
        let current = Handle::try_current().ok().filter(|current| {
            self.0.iter().all(|(name, handle)| **name != *MAIN && handle.id() != current.id())
        });
        current.map(|current| (MAIN.into(), current)).into_iter().chain(self.0.iter().cloned()).collect()
    }
}

/// The plan of the source; `None` if there is no runtime.
pub(in crate::sampler) fn plan(runtimes: &Runtimes, every: Duration) -> Option<Plan> {
    let named: Vec<Arc<NamedRuntime>> = runtimes
        .with_current()
        .into_iter()
        .map(|(name, handle)| Arc::new(NamedRuntime::new(&name, handle)))
        .collect();
    (!named.is_empty()).then(|| Plan {
        name: "runtime".into(),
        make: Arc::new(move || {
            Box::new(RuntimeProbe(named.iter().cloned().map(RuntimeReader::new).collect()))
        }),
        every,
        deadline: DEADLINE,
    })
}

/// A runtime and the labels of its series.
struct NamedRuntime {
    /// `None` after the runtime was shut down.
    handle: Mutex<Option<Handle>>,
    labels: Labels,
    global_queue: Labels,
    #[cfg(tokio_unstable)]
    unstable: UnstableMetrics,
}

/// Reads all runtimes.
struct RuntimeProbe(Vec<RuntimeReader>);

/// Reads one runtime, and keeps the values of the last reading.
struct RuntimeReader {
    runtime: Arc<NamedRuntime>,
    delay: Delay,
    before: Option<Busy>,
}

/// The sum of the busy times of all workers at one moment.
#[derive(Clone, Copy)]
struct Busy {
    at: Instant,
    time: Duration,
}

// ===== impl NamedRuntime =====

impl NamedRuntime {
    fn new(name: &str, handle: Handle) -> Self {
        Self {
            handle: Mutex::new(Some(handle)),
            labels: Labels::new([("runtime", name)]),
            global_queue: Labels::new([("runtime", name), ("queue", "global")]),
            #[cfg(tokio_unstable)]
            unstable: UnstableMetrics::new(name),
        }
    }
}

// ===== impl RuntimeReader =====

impl RuntimeReader {
    fn new(runtime: Arc<NamedRuntime>) -> Self {
        Self { runtime, delay: Delay::default(), before: None }
    }

    fn sample(&mut self, sample: &mut Sample) {
        let Some(handle) = self.runtime.handle.lock().clone() else { return };
        // Read before `measure` spawns its own task.
        let metrics = handle.metrics();
        let (alive, waiting) = (metrics.num_alive_tasks(), metrics.global_queue_depth());
        let Some(delay) = self.delay.measure(&handle) else {
            *self.runtime.handle.lock() = None;
            return;
        };
        let labels = &self.runtime.labels;
        sample.with(&RUNTIME_SCHEDULING_DELAY, delay.map(|delay| delay.as_secs_f64()), labels);
        let workers = metrics.num_workers();
        sample.with(&RUNTIME_WORKERS, count(workers as u64), labels);
        sample.with(&RUNTIME_TASKS, count(alive as u64), labels);
        sample.with(&RUNTIME_QUEUE_DEPTH, count(waiting as u64), &self.runtime.global_queue);
        let parks = (0..workers).map(|worker| metrics.worker_park_count(worker)).sum();
        sample.with(&RUNTIME_PARKS, count(parks), labels);

        let time = (0..workers).map(|worker| metrics.worker_total_busy_duration(worker)).sum();
        let now = Busy { at: clock::real_now(), time };
        sample.with(&RUNTIME_BUSY_TIME, now.time.as_secs_f64(), labels);
        let share = self.before.replace(now).and_then(|before| now.share_since(before, workers));
        sample.with(&RUNTIME_UTILIZATION, share, labels);
        #[cfg(tokio_unstable)]
        self.runtime.unstable.sample(&metrics, workers, sample);
    }
}

impl Probe for RuntimeProbe {
    fn sample(&mut self, sample: &mut Sample) -> Result<(), ProbeError> {
        self.0.iter_mut().for_each(|runtime| runtime.sample(sample));
        Ok(())
    }
}

// ===== impl Busy =====

impl Busy {
    /// The busy share since `before`. Limited to 1, because workers report their time late.
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
        runtimes.with_current().into_iter().map(|(name, _)| name.into()).collect()
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
        assert_eq!(runtimes.with_current()[0].1.id(), other.handle().id());
        other.shutdown_background();
    }

    #[test]
    fn the_handle_of_a_runtime_that_was_shut_down_is_dropped() {
        assert!(plan(&Runtimes::default(), DEADLINE).is_none(), "there is no current runtime");
        let gone = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let runtime = Arc::new(NamedRuntime::new("gone", gone.handle().clone()));
        let mut probe = RuntimeProbe(vec![RuntimeReader::new(Arc::clone(&runtime))]);
        let mut readings = || {
            let mut sample = Sample::default();
            probe.sample(&mut sample).unwrap();
            sample.readings.len()
        };
        // No thread runs its tasks, so the task of the first reading waits when the runtime is dropped.
        assert!(readings() > 0);
        assert!(readings() > 0);
        drop(gone);
        assert_eq!(readings(), 0);
        assert!(runtime.handle.lock().is_none());
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
