//! What the calls of one lane of threads count.

use std::sync::Arc;

use super::handle::Shared;
use super::minute::{Failures, Minute, Recent};
use crate::clock::{self, Tick};
use crate::outcome::{FailureKind, Outcome};
use crate::sketch::{LiveSketch, Sketch};
use crate::sync::atomic::{AtomicU64, Ordering, fence};

/// Counts of some threads. A call holds the lane that it began in, so that the number of holders is the number of
/// calls under way; on cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Lane {
    minute: Minute,
    failures: Failures,
    ignored: AtomicU64,
    pub(super) shared: Arc<Shared>,
    durations: LiveSketch,
}

impl Lane {
    pub(super) fn new(shared: &Arc<Shared>) -> Arc<Self> {
        Arc::new(Self {
            minute: Minute::new(),
            failures: [const { AtomicU64::new(0) }; FailureKind::ALL.len()],
            ignored: AtomicU64::new(0),
            shared: Arc::clone(shared),
            durations: LiveSketch::default(),
        })
    }

    /// A call that began at `started` ended so; gives the nanoseconds that it took.
    #[inline]
    pub(super) fn end(&self, started: Tick, outcome: Outcome) -> u64 {
        let now = clock::now();
        let elapsed = now.0.saturating_sub(started.0);
        // Before it is counted anywhere: the first call of a second is not of the one before.
        self.minute.tick(now, &self.durations, &self.failures);
        if let Some(kind) = outcome.failure() {
            self.failures[kind.index()].fetch_add(1, Ordering::Relaxed);
        } else if outcome == Outcome::Ignored {
            self.ignored.fetch_add(1, Ordering::Relaxed);
        }
        self.durations.record(elapsed);
        elapsed
    }

    /// Adds what this lane has seen to `reading`.
    pub(super) fn read(self: &Arc<Self>, now: Tick, reading: &mut Reading) {
        // Before the calls that ended are counted, so that none is missing on both sides: what a call does before
        // it lets go of the lane is seen by whoever sees that it let go.
        reading.in_flight += Self::in_flight(self);
        fence(Ordering::Acquire);
        let durations = self.durations.read();
        for (sum, failures) in reading.failures.iter_mut().zip(&self.failures) {
            *sum += failures.load(Ordering::Relaxed);
        }
        reading.ignored += self.ignored.load(Ordering::Relaxed);
        self.minute.read(now, &self.durations, &self.failures, &mut reading.recent);
        reading.durations.merge(&durations);
    }

    /// The calls that began here and run; the handle holds the lane once.
    pub(super) fn in_flight(lane: &Arc<Self>) -> u64 {
        (Arc::strong_count(lane) as u64).saturating_sub(1)
    }
}

/// What all lanes of a handle have seen.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub(super) in_flight: u64,
    pub(super) recent: Recent,
    pub(super) failures: [u64; FailureKind::ALL.len()],
    pub(super) ignored: u64,
    pub(super) durations: Sketch,
}
