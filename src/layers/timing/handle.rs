//! The handle and its counts.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::lane::{Lane, Reading};
use super::layer::TimingLayer;
use super::minute::LOOK_BACK;
#[cfg(feature = "http")]
use super::recorders::Recorders;
use super::snapshot::TimingSnapshot;
use crate::base::clock::{self, Tick};
use crate::base::outcome::{ByResult, FailureKind, Outcome};
use crate::base::per_thread::PerThread;
use crate::signal::{self, DurationRecorder, Emit, Source};

/// Times calls; see the [module](crate::layers::timing). Clones share their counts.
#[derive(Clone, Debug)]
pub struct Timing {
    pub(super) meter: Arc<Meter>,
}

/// The counts of all layers of one handle.
#[derive(Debug)]
pub(super) struct Meter {
    began: Tick,
    lanes: PerThread<Arc<Lane>>,
    pub(super) shared: Arc<Shared>,
}

/// Read by a call at its end, and not written.
#[derive(Debug)]
pub(super) struct Shared {
    name: Arc<str>,
    /// Histograms of plain calls: successes, then failures by kind.
    plain: [DurationRecorder; FailureKind::ALL.len() + 1],
    #[cfg(feature = "http")]
    pub(super) recorders: Recorders,
}

impl Timing {
    /// Makes a handle. `name` is the `operation` of its metrics.
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
        let shared = Arc::new(Shared {
            plain,
            #[cfg(feature = "http")]
            recorders: Recorders::default(),
            name,
        });
        let meter = Arc::new(Meter { began: clock::now(), lanes: PerThread::new(), shared });
        signal::register(&meter);
        Self { meter }
    }

    /// The handle's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.meter.shared.name
    }

    /// A layer for any [`tower::Service`]; response and error pass unchanged.
    #[must_use]
    pub fn layer<K>(&self) -> TimingLayer<ByResult, K> {
        TimingLayer::new(Arc::clone(&self.meter))
    }

    /// Returns the current counts and percentiles.
    #[must_use]
    pub fn snapshot(&self) -> TimingSnapshot {
        self.meter.snapshot()
    }
}

impl Meter {
    /// The lane of a call that starts on this thread.
    #[inline]
    pub(super) fn lane(&self) -> &Arc<Lane> {
        self.lanes.own(|| Lane::new(&self.shared))
    }

    fn snapshot(&self) -> TimingSnapshot {
        let now = clock::now();
        let mut reading = Reading::default();
        self.lanes.iter().for_each(|lane| lane.read(now, &mut reading));
        let over = now.since(self.began).min(Duration::from_secs(LOOK_BACK)).as_secs_f64();
        TimingSnapshot::new(Arc::clone(&self.shared.name), over, reading)
    }
}

impl Shared {
    /// Records to the histogram of plain calls.
    #[inline]
    pub(super) fn record_plain(&self, elapsed: u64, outcome: Outcome) {
        let place = outcome.failure().map_or(0, |kind| kind.index() + 1);
        self.plain[place].record(Duration::from_nanos(elapsed));
    }
}

impl Source for Meter {
    fn observe(&self, emit: &mut Emit<'_>) {
        #[cfg(feature = "http")]
        self.shared.recorders.observe(emit);
        let mut lanes = self.lanes.iter().peekable();
        if lanes.peek().is_some() {
            let in_flight: u64 = lanes.map(Lane::in_flight).sum();
            #[allow(clippy::cast_precision_loss)] // Calls in flight stay far below 2^52.
            emit(&signal::TIMING_ACTIVE, in_flight as f64, &[("operation", &self.shared.name)]);
        }
    }
}
