//! The metrics of Tokio runtimes under a known load.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use campanile::Telemetry;
use campanile::sampler::Sampler;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Much longer than each step takes.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The interval of readings.
const EVERY: Duration = Duration::from_millis(100);

fn runtime(workers: usize) -> Runtime {
    Builder::new_multi_thread().worker_threads(workers).enable_all().build().unwrap()
}

/// Samples the runtimes of these names, and returns the exposition.
struct SampledRuntimes {
    telemetry: Telemetry,
    _sampler: Sampler,
}

impl SampledRuntimes {
    fn start(runtimes: &[(&str, &Runtime)]) -> Self {
        let telemetry = Telemetry::builder("test").prometheus().build().unwrap();
        let builder = Sampler::builder().settings(crate::every(EVERY));
        let builder = runtimes
            .iter()
            .fold(builder, |builder, (name, runtime)| builder.runtime(name, runtime.handle().clone()));
        Self { telemetry, _sampler: builder.build().unwrap() }
    }

    /// The series of a metric that has this label.
    fn value(&self, metric: &str, label: (&str, &str)) -> Option<f64> {
        self.value_of(metric, &[label])
    }

    /// The series of a metric that has these labels.
    fn value_of(&self, metric: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let text = self.telemetry.prometheus_text();
        let mut lines = text.lines().filter(|line| {
            line.strip_prefix(metric).is_some_and(|rest| rest.starts_with('{'))
                && labels.iter().all(|(key, value)| line.contains(&format!("{key}=\"{value}\"")))
        });
        let line = lines.next()?;
        assert_eq!(lines.next(), None, "one series of {metric} has {labels:?}");
        line.rsplit(' ').next()?.parse().ok()
    }

    /// Waits until `wanted` holds for the value.
    fn until(&self, metric: &str, runtime: &str, wanted: impl Fn(Option<f64>) -> bool) -> Option<f64> {
        self.until_of(metric, &[("runtime", runtime)], wanted)
    }

    fn until_of(
        &self,
        metric: &str,
        labels: &[(&str, &str)],
        wanted: impl Fn(Option<f64>) -> bool,
    ) -> Option<f64> {
        let started = Instant::now();
        loop {
            let value = self.value_of(metric, labels);
            if wanted(value) {
                return value;
            }
            assert!(started.elapsed() < TIMEOUT, "{metric} of {labels:?} is {value:?}");
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }
}

#[test]
fn p41_the_tasks_of_a_runtime_are_counted() {
    let runtime = runtime(3);
    let sampled = SampledRuntimes::start(&[("tasks", &runtime)]);
    let gate = Arc::new(Semaphore::new(0));
    for _ in 0..40 {
        let gate = Arc::clone(&gate);
        runtime.spawn(async move { drop(gate.acquire().await) });
    }
    sampled.until("campanile_runtime_tasks", "tasks", |tasks| tasks == Some(40.0));
    assert_eq!(sampled.value("campanile_runtime_workers", ("runtime", "tasks")), Some(3.0));
    let parks = sampled.until("campanile_runtime_parks_total", "tasks", |parks| parks > Some(0.0));
    gate.add_permits(40);
    sampled.until("campanile_runtime_tasks", "tasks", |tasks| tasks == Some(0.0));
    // Each reading spawns a task. It wakes a worker, which then parks again.
    sampled.until("campanile_runtime_parks_total", "tasks", |later| later > parks);
}

#[test]
fn p41_a_blocked_worker_shows_as_delay_and_then_as_busy_time() {
    const QUEUE: &str = "campanile_runtime_queue_depth";
    let global = [("runtime", "held"), ("queue", "global")];
    let runtime = runtime(1);
    let sampled = SampledRuntimes::start(&[("held", &runtime)]);
    sampled.until("campanile_runtime_scheduling_delay_seconds", "held", |delay| delay.is_some());
    let before = sampled.until("campanile_runtime_busy_time_seconds_total", "held", |busy| busy.is_some());

    let at_most_since = Instant::now();
    let (let_go, barrier) = mpsc::channel::<()>();
    let (arrived, arrival) = mpsc::channel();
    runtime.spawn(async move {
        arrived.send(()).unwrap();
        let _ = barrier.recv();
    });
    arrival.recv().unwrap();
    let held_since = Instant::now();
    for _ in 0..7 {
        runtime.spawn(async {});
    }
    // The seven tasks, and the task that measures the delay.
    sampled.until_of(QUEUE, &global, |depth| depth == Some(8.0));
    // The delay grows while no task runs.
    let seen = sampled.until("campanile_runtime_scheduling_delay_seconds", "held", |delay| delay > Some(0.3));
    let later = sampled.until("campanile_runtime_scheduling_delay_seconds", "held", |delay| delay > seen);
    let at_most = at_most_since.elapsed().as_secs_f64();
    assert!(later <= Some(at_most), "{later:?} of {at_most}");

    let held = held_since.elapsed();
    let_go.send(()).unwrap();
    let wanted = before.unwrap() + held.as_secs_f64();
    sampled.until("campanile_runtime_busy_time_seconds_total", "held", |busy| busy >= Some(wanted));
    let utilization = sampled.value("campanile_runtime_utilization_ratio", ("runtime", "held")).unwrap();
    assert!((0.0..=1.0).contains(&utilization), "{utilization}");
    sampled.until_of(QUEUE, &global, |depth| depth == Some(0.0));
    sampled.until("campanile_runtime_scheduling_delay_seconds", "held", |delay| delay < seen);
}

#[test]
fn p40_a_runtime_that_is_shut_down_loses_only_its_own_series() {
    let (stays, goes) = (runtime(1), runtime(1));
    let sampled = SampledRuntimes::start(&[("stays", &stays), ("goes", &goes)]);
    for name in ["stays", "goes"] {
        sampled.until("campanile_runtime_workers", name, |workers| workers == Some(1.0));
    }
    // The sampler's handle does not keep the runtime alive, so this returns when its workers have ended.
    drop(goes);
    sampled.until("campanile_runtime_workers", "goes", |workers| workers.is_none());
    assert_eq!(sampled.value("campanile_runtime_tasks", ("runtime", "goes")), None);
    let parks = sampled.until("campanile_runtime_parks_total", "stays", |parks| parks.is_some());
    sampled.until("campanile_runtime_parks_total", "stays", |later| later > parks);
    assert_eq!(sampled.value("campanile_sampler_failures_total", ("source", "runtime")), Some(0.0));
}

#[cfg(tokio_unstable)]
#[test]
fn p41_an_unstable_tokio_reports_more() {
    let runtime = runtime(1);
    let sampled = SampledRuntimes::start(&[("more", &runtime)]);
    let until = |metric: &str, label, wanted: f64| {
        sampled.until_of(metric, &[("runtime", "more"), label], |value| value == Some(wanted))
    };
    let (let_go, barrier) = mpsc::channel::<()>();
    let blocking = runtime.spawn_blocking(move || {
        let _ = barrier.recv();
    });
    until("campanile_runtime_blocking_threads", ("state", "used"), 1.0);
    let_go.send(()).unwrap();
    runtime.block_on(blocking).unwrap();
    until("campanile_runtime_blocking_threads", ("state", "idle"), 1.0);
    until("campanile_runtime_queue_depth", ("queue", "blocking"), 0.0);

    let spawned = sampled.until("campanile_runtime_tasks_spawned_total", "more", |spawned| spawned.is_some());
    let (let_go, barrier) = mpsc::channel::<()>();
    runtime.spawn(async move {
        for _ in 0..6 {
            tokio::spawn(async {});
        }
        let _ = barrier.recv();
    });
    // The last of them has its own place: it is the next to run.
    until("campanile_runtime_queue_depth", ("queue", "local"), 5.0);
    let_go.send(()).unwrap();
    let wanted = spawned.map(|spawned| spawned + 7.0);
    sampled.until("campanile_runtime_tasks_spawned_total", "more", |spawned| spawned >= wanted);
    sampled.until("campanile_runtime_polls_total", "more", |polls| polls >= Some(7.0));

    let yields =
        sampled.until("campanile_runtime_budget_forced_yields_total", "more", |yields| yields.is_some());
    runtime.spawn(async {
        let (send, mut receive) = tokio::sync::mpsc::unbounded_channel();
        (0..1_000).for_each(|number| send.send(number).unwrap());
        // Each message takes one unit of the budget of a task, which is 128.
        for _ in 0..1_000 {
            receive.recv().await;
        }
    });
    sampled.until("campanile_runtime_budget_forced_yields_total", "more", |later| later > yields);
    assert_eq!(sampled.value("campanile_runtime_steals_total", ("runtime", "more")), Some(0.0));
}

#[tokio::test]
async fn the_runtime_that_starts_the_sampler_is_sampled() {
    let sampled = SampledRuntimes::start(&[]);
    let (done, waits) = tokio::sync::oneshot::channel();
    // This runtime has one thread, which must not block while its tasks run.
    std::thread::spawn(move || {
        sampled.until("campanile_runtime_scheduling_delay_seconds", "main", |delay| delay.is_some());
        done.send(sampled.value("campanile_runtime_workers", ("runtime", "main")))
    });
    // Other tests in this process may sample a runtime of the same name. Then the values are added up.
    assert!(waits.await.unwrap() >= Some(1.0));
}

#[test]
fn runtimes_need_different_names() {
    let runtime = runtime(1);
    for (names, value, wanted) in
        [(["", "b"], "\"\"", "a name"), (["b", "b"], "\"b\"", "a name that no other runtime has")]
    {
        let builder = Sampler::builder().settings(crate::every(EVERY));
        let builder =
            names.iter().fold(builder, |builder, name| builder.runtime(name, runtime.handle().clone()));
        let error = builder.build().unwrap_err();
        assert_eq!((error.setting(), error.value()), ("sampler.runtime", value));
        assert!(error.to_string().contains(wanted), "{error}");
    }
}
