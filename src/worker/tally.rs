//! The counts and durations of one kind of work.

use std::borrow::Cow;
use std::time::Duration;

use crate::base::clock::{self, Tick};
use crate::base::outcome::FailureKind;
use crate::base::sketch::{LiveSketch, Summary};
use crate::base::sync::atomic::{AtomicU64, Ordering};
use crate::signal::{DurationRecorder, Metric};

/// The kinds of failure.
pub(super) const KINDS: usize = FailureKind::ALL.len();

/// See the [module](self). Every count only grows.
#[derive(Debug)]
pub(super) struct Tally {
    ok: AtomicU64,
    failures: [AtomicU64; KINDS],
    /// The work that has begun, and that which has ended.
    begun: AtomicU64,
    ended: AtomicU64,
    durations: LiveSketch,
    /// The histogram: successes, then failures by kind.
    recorders: Option<[DurationRecorder; KINDS + 1]>,
}

/// The counts at one moment.
#[derive(Clone, Debug)]
pub(super) struct Counts {
    pub(super) ok: u64,
    pub(super) failures: [u64; KINDS],
    pub(super) active: u64,
}

impl Counts {
    /// Work that failed in any way but its cancellation.
    pub(super) fn failed(&self) -> u64 {
        self.failures.iter().sum::<u64>() - self.cancelled()
    }

    pub(super) fn cancelled(&self) -> u64 {
        self.of(FailureKind::Cancelled)
    }

    pub(super) fn of(&self, kind: FailureKind) -> u64 {
        self.failures.get(kind.index()).copied().unwrap_or_default()
    }
}

impl Tally {
    pub(super) fn new() -> Self {
        Self {
            ok: AtomicU64::new(0),
            failures: [const { AtomicU64::new(0) }; KINDS],
            begun: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            durations: LiveSketch::default(),
            recorders: None,
        }
    }

    /// A tally that also records to the histogram `metric` with these attributes.
    pub(super) fn with_histogram(metric: &'static Metric, attributes: [(&'static str, &str); 2]) -> Self {
        let recorder = |kind: Option<&'static str>| {
            let own = attributes.map(|(key, value)| (key, Cow::Owned(value.to_owned())));
            DurationRecorder::new(metric, own.into_iter().chain(kind.map(|kind| ("error.type", kind.into()))))
        };
        let recorders = std::array::from_fn(|place| {
            recorder(
                place.checked_sub(1).and_then(|kind| FailureKind::ALL.get(kind)).map(|kind| kind.as_str()),
            )
        });
        Self { recorders: Some(recorders), ..Self::new() }
    }

    /// Counts the start of work. Returns the time.
    #[inline]
    pub(super) fn begin(&self) -> Tick {
        self.begun.fetch_add(1, Ordering::Relaxed);
        clock::now()
    }

    /// Counts the end of work that began at `began`. Returns how long it took.
    #[inline]
    pub(super) fn end(&self, now: Tick, began: Tick, failure: Option<FailureKind>) -> Duration {
        let took = now.since(began);
        self.durations.record(clock::nanos(took));
        if let Some(recorder) =
            self.recorders.as_ref().and_then(|all| all.get(failure.map_or(0, |kind| kind.index() + 1)))
        {
            recorder.record_in(took, crate::signal::sampled_span());
        }
        match failure {
            None => {
                self.ok.fetch_add(1, Ordering::Relaxed);
            }
            Some(kind) => self.add_failures(kind, 1),
        }
        self.ended.fetch_add(1, Ordering::Release);
        took
    }

    /// Counts failures without a duration.
    pub(super) fn add_failures(&self, kind: FailureKind, more: u64) {
        if let Some(count) = self.failures.get(kind.index()) {
            count.fetch_add(more, Ordering::Relaxed);
        }
    }

    pub(super) fn counts(&self) -> Counts {
        let active = self.active();
        Counts {
            ok: self.ok.load(Ordering::Relaxed),
            failures: std::array::from_fn(|kind| self.failures[kind].load(Ordering::Relaxed)),
            active,
        }
    }

    /// The work that has begun and not ended.
    pub(super) fn active(&self) -> u64 {
        let ended = self.ended.load(Ordering::Acquire);
        self.begun.load(Ordering::Relaxed).saturating_sub(ended)
    }

    /// The durations, and their sum.
    pub(super) fn durations(&self) -> (Summary, Duration) {
        let sketch = self.durations.read();
        (Summary::from(&sketch), sketch.sum())
    }
}
