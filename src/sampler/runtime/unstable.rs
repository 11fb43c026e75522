//! The metrics that Tokio reports only in a program built with `--cfg tokio_unstable`.

use tokio::runtime::RuntimeMetrics;

use crate::sampler::probe::{Labels, Sample, count};
use crate::signal::{
    RUNTIME_BLOCKING_THREADS, RUNTIME_BUDGET_YIELDS, RUNTIME_POLLS, RUNTIME_QUEUE_DEPTH, RUNTIME_SPAWNED,
    RUNTIME_STEALS,
};

/// The labels of these metrics.
pub(super) struct UnstableMetrics {
    plain: Labels,
    local_queues: Labels,
    blocking_queue: Labels,
    idle: Labels,
    used: Labels,
}

impl UnstableMetrics {
    pub(super) fn new(runtime: &str) -> Self {
        let with = |key, value| Labels::new([("runtime", runtime), (key, value)]);
        Self {
            plain: Labels::new([("runtime", runtime)]),
            local_queues: with("queue", "local"),
            blocking_queue: with("queue", "blocking"),
            idle: with("state", "idle"),
            used: with("state", "used"),
        }
    }

    pub(super) fn sample(&self, metrics: &RuntimeMetrics, workers: usize, sample: &mut Sample) {
        let local: usize = (0..workers).map(|worker| metrics.worker_local_queue_depth(worker)).sum();
        sample.with(&RUNTIME_QUEUE_DEPTH, count(local as u64), &self.local_queues);
        let waiting = metrics.blocking_queue_depth();
        sample.with(&RUNTIME_QUEUE_DEPTH, count(waiting as u64), &self.blocking_queue);
        let (all, idle) = (metrics.num_blocking_threads(), metrics.num_idle_blocking_threads());
        sample.with(&RUNTIME_BLOCKING_THREADS, count(idle as u64), &self.idle);
        // The two counts are not read at the same moment.
        sample.with(&RUNTIME_BLOCKING_THREADS, count(all.saturating_sub(idle) as u64), &self.used);

        let polls = (0..workers).map(|worker| metrics.worker_poll_count(worker)).sum();
        let steals = (0..workers).map(|worker| metrics.worker_steal_count(worker)).sum();
        for (metric, value) in [
            (&RUNTIME_SPAWNED, metrics.spawned_tasks_count()),
            (&RUNTIME_BUDGET_YIELDS, metrics.budget_forced_yield_count()),
            (&RUNTIME_POLLS, polls),
            (&RUNTIME_STEALS, steals),
        ] {
            sample.with(metric, count(value), &self.plain);
        }
    }
}
