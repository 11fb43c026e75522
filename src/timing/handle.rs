//! The handle, and what it counts.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::layer::TimingLayer;
#[cfg(feature = "http")]
use super::recorders::Recorders;
use super::snapshot::TimingSnapshot;
use crate::clock::{self, Tick};
use crate::outcome::{FailureKind, Outcome};
use crate::seconds::{Seconds, second_of};
use crate::signal::{self, DurationRecorder, Emit, Source};
use crate::sketch::Sketch;
use crate::sync::atomic::{AtomicU64, Ordering};

/// The time that the rate looks back.
const LOOK_BACK: Duration = Duration::from_secs(60);

/// Times calls; see the [module](crate::timing). Clones share what they count.
#[derive(Clone, Debug)]
pub struct Timing {
    pub(super) meter: Arc<Meter>,
}

/// What all layers of one handle count into.
#[derive(Debug)]
pub(super) struct Meter {
    name: Arc<str>,
    began: Tick,
    durations: Sketch,
    started: AtomicU64,
    failures: [AtomicU64; FailureKind::ALL.len()],
    rate: Seconds<64>,
    /// For plain calls: the successful ones, then the failed by kind.
    plain: [DurationRecorder; FailureKind::ALL.len() + 1],
    #[cfg(feature = "http")]
    pub(super) recorders: Recorders,
}

impl Timing {
    /// A handle called `name`, which is the `operation` of its metrics.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        let name = name.into();
        let operation = || ("operation", Cow::Owned(name.to_string()));
        let plain = std::array::from_fn(|place| match place.checked_sub(1) {
            None => DurationRecorder::new(&signal::TIMING_DURATION, [operation()]),
            Some(kind) => DurationRecorder::new(
                &signal::TIMING_DURATION,
                [operation(), ("error.type", Cow::Borrowed(FailureKind::ALL[kind].as_str()))],
            ),
        });
        let meter = Arc::new(Meter {
            began: clock::now(),
            durations: Sketch::default(),
            started: AtomicU64::new(0),
            failures: [const { AtomicU64::new(0) }; FailureKind::ALL.len()],
            rate: Seconds::new(),
            plain,
            #[cfg(feature = "http")]
            recorders: Recorders::default(),
            name,
        });
        signal::register(&meter);
        Self { meter }
    }

    /// The handle's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.meter.name
    }

    /// A layer for any [`tower::Service`]; response and error pass unchanged.
    #[must_use]
    pub fn layer(&self) -> TimingLayer {
        TimingLayer::new(Arc::clone(&self.meter))
    }

    /// Counts and percentiles of this moment.
    #[must_use]
    pub fn snapshot(&self) -> TimingSnapshot {
        self.meter.snapshot()
    }
}

impl Meter {
    pub(super) fn start(&self) -> Tick {
        self.started.fetch_add(1, Ordering::Relaxed);
        clock::now()
    }

    /// A call that began at `started` ended so; gives how long it took.
    pub(super) fn end(&self, started: Tick, outcome: Outcome) -> Duration {
        let now = clock::now();
        let elapsed = now.since(started);
        let kind = outcome.failure();
        if let Some(kind) = kind {
            self.failures[kind.index()].fetch_add(1, Ordering::Relaxed);
        }
        self.durations.record(elapsed);
        self.rate.add(now);
        elapsed
    }

    /// The histogram of plain calls.
    pub(super) fn record_plain(&self, elapsed: Duration, outcome: Outcome) {
        self.plain[outcome.failure().map_or(0, |kind| kind.index() + 1)].record(elapsed);
    }

    #[allow(clippy::cast_precision_loss)] // Counts of calls stay far below 2^52.
    fn snapshot(&self) -> TimingSnapshot {
        let now = clock::now();
        // Before the ended ones are counted, so that no call is missing on both sides.
        let started = self.started.load(Ordering::Relaxed);
        let durations = self.durations.summary();
        let recent = self.rate.sum(second_of(now), LOOK_BACK.as_secs());
        let over = now.since(self.began).min(LOOK_BACK).as_secs_f64();
        TimingSnapshot {
            name: Arc::clone(&self.name),
            calls: durations.count,
            in_flight: started.saturating_sub(durations.count),
            failures: std::array::from_fn(|kind| self.failures[kind].load(Ordering::Relaxed)),
            per_second: if over > 0.0 { recent as f64 / over } else { 0.0 },
            min: durations.min,
            mean: durations.mean,
            max: durations.max,
            p50: durations.p50,
            p95: durations.p95,
            p99: durations.p99,
        }
    }
}

impl Source for Meter {
    fn observe(&self, emit: &mut Emit<'_>) {
        #[cfg(feature = "http")]
        self.recorders.observe(emit);
        #[cfg(not(feature = "http"))]
        let _ = emit;
    }
}
