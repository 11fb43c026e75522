//! The counters of some of the threads.

use std::sync::Arc;

use super::histograms::Histograms;
use super::minute::{Failures, Minute, Recent};
use crate::base::clock::{self, Tick};
use crate::base::outcome::{FailureKind, Outcome};
use crate::base::sketch::{LiveSketch, Sketch};
use crate::base::sync::atomic::{AtomicU64, Ordering, fence};

/// The counters of some threads, on separate cache lines. A call holds the shard in which it started, so the number of
/// references is the number of running calls.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Shard {
    minute: Minute,
    failures: Failures,
    ignored: AtomicU64,
    pub(super) histograms: Arc<Histograms>,
    durations: LiveSketch,
}

impl Shard {
    pub(super) fn new(histograms: &Arc<Histograms>) -> Arc<Self> {
        Arc::new(Self {
            minute: Minute::new(),
            failures: [const { AtomicU64::new(0) }; FailureKind::ALL.len()],
            ignored: AtomicU64::new(0),
            histograms: Arc::clone(histograms),
            durations: LiveSketch::default(),
        })
    }

    /// Counts the end of a call that started at `started`. Returns its duration in nanoseconds.
    #[inline]
    pub(super) fn end(&self, started: Tick, outcome: Outcome) -> u64 {
        let now = clock::now();
        let elapsed = now.0.saturating_sub(started.0);
        // Before the counters change, so that the first call of a second is not counted in the second before.
        self.minute.tick(now, &self.durations, &self.failures);
        if let Some(kind) = outcome.failure() {
            self.failures[kind.index()].fetch_add(1, Ordering::Relaxed);
        } else if outcome == Outcome::Ignored {
            self.ignored.fetch_add(1, Ordering::Relaxed);
        }
        self.durations.record(elapsed);
        elapsed
    }

    /// Adds the counts of this shard to `totals`.
    pub(super) fn add_to(self: &Arc<Self>, now: Tick, totals: &mut ShardTotals) {
        // Running calls are read before ended ones, so that no call is missing from both: a call counts its end before it
        // releases the shard.
        totals.in_flight += Self::in_flight(self);
        fence(Ordering::Acquire);
        let durations = self.durations.read();
        for (sum, failures) in totals.failures.iter_mut().zip(&self.failures) {
            *sum += failures.load(Ordering::Relaxed);
        }
        totals.ignored += self.ignored.load(Ordering::Relaxed);
        self.minute.read(now, &self.durations, &self.failures, &mut totals.recent);
        totals.durations.merge(&durations);
    }

    /// The running calls that started here. The handle itself holds one reference.
    pub(super) fn in_flight(shard: &Arc<Self>) -> u64 {
        (Arc::strong_count(shard) as u64).saturating_sub(1)
    }
}

/// The sums over all shards of a handle.
#[derive(Debug, Default)]
pub(super) struct ShardTotals {
    pub(super) in_flight: u64,
    pub(super) recent: Recent,
    pub(super) failures: [u64; FailureKind::ALL.len()],
    pub(super) ignored: u64,
    pub(super) durations: Sketch,
}
