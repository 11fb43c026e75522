//! The counts of one lane of threads.

use std::sync::Arc;

use super::handle::Shared;
use super::minute::{Failures, Minute, Recent};
use crate::base::clock::{self, Tick};
use crate::base::outcome::{FailureKind, Outcome};
use crate::base::sketch::{LiveSketch, Sketch};
use crate::base::sync::atomic::{AtomicU64, Ordering, fence};

/// The counts of some threads, on cache lines of their own. A call holds the lane in which it started, so the number of
/// references is the number of running calls.
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

    /// Counts the end of a call that started at `started`; returns its nanoseconds.
    #[inline]
    pub(super) fn end(&self, started: Tick, outcome: Outcome) -> u64 {
        let now = clock::now();
        let elapsed = now.0.saturating_sub(started.0);
        // First, so that the first call of a second is not counted in the second before.
        self.minute.tick(now, &self.durations, &self.failures);
        if let Some(kind) = outcome.failure() {
            self.failures[kind.index()].fetch_add(1, Ordering::Relaxed);
        } else if outcome == Outcome::Ignored {
            self.ignored.fetch_add(1, Ordering::Relaxed);
        }
        self.durations.record(elapsed);
        elapsed
    }

    /// Adds the counts of this lane to `reading`.
    pub(super) fn read(self: &Arc<Self>, now: Tick, reading: &mut Reading) {
        // Running calls are read before ended ones, so that no call is missing on both sides: a call counts its end
        // before it releases the lane.
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

    /// The running calls that started here. The handle itself holds the lane once.
    pub(super) fn in_flight(lane: &Arc<Self>) -> u64 {
        (Arc::strong_count(lane) as u64).saturating_sub(1)
    }
}

/// The sum over all lanes of a handle.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub(super) in_flight: u64,
    pub(super) recent: Recent,
    pub(super) failures: [u64; FailureKind::ALL.len()],
    pub(super) ignored: u64,
    pub(super) durations: Sketch,
}
