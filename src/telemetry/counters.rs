//! Counters of a pipeline about itself.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use opentelemetry::metrics::Meter;

use crate::base::registry::Registry;
use crate::base::sync::atomic::{AtomicU64, Ordering};
#[cfg(feature = "prometheus")]
use crate::signal::PROMETHEUS_COLLISIONS;
use crate::signal::{
    BoundDuration, EXPORT_DURATION, EXPORT_FAILURES, Emit, LOGS_DROPPED, METRICS_OVERFLOWED, QUEUE_LENGTH,
    SPANS_DROPPED,
};

/// Why a sampled span or a log record was lost.
#[derive(Clone, Copy, Debug)]
pub(super) enum DropReason {
    /// The queue was full, because the exporter is too slow.
    QueueFull,
    /// The export failed.
    ExportFailed,
    /// The pipeline was shut down already.
    Shutdown,
    /// The collector rejected it.
    Rejected,
    /// It is larger than the limit of a message.
    TooLarge,
}

const REASONS: [&str; 5] = ["queue_full", "export_failed", "shutdown", "rejected", "too_large"];

#[cfg(feature = "prometheus")]
/// What is different in OpenTelemetry and the same in Prometheus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum CollisionKind {
    /// The names of two families.
    Name,
    /// The labels of two series.
    Series,
    /// Two labels of one series, or a label and a reserved one.
    Label,
    /// Two descriptions of one family.
    Description,
}

#[cfg(feature = "prometheus")]
impl CollisionKind {
    /// All kinds, in the order of the counters.
    pub(super) const ALL: [Self; 4] = [Self::Name, Self::Series, Self::Label, Self::Description];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Series => "series",
            Self::Label => "label",
            Self::Description => "description",
        }
    }
}

/// The signals of OpenTelemetry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    Traces,
    Metrics,
    Logs,
}

impl Signal {
    /// All signals, in the order of the counters.
    pub(super) const ALL: [Self; 3] = [Self::Traces, Self::Metrics, Self::Logs];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Metrics => "metrics",
            Self::Logs => "logs",
        }
    }
}

/// A queue of items to export.
pub(super) trait ExportQueue: Send + Sync {
    fn signal(&self) -> Signal;
    /// The number of waiting items.
    fn length(&self) -> usize;
}

/// Counters of a pipeline about itself.
pub(super) struct Counters {
    /// Indexed by signal.
    numbers: [Numbers; 3],
    queues: Registry<dyn ExportQueue>,
    /// The meter of the durations. Each instrument is made with its first value, so that unused ones are not exported.
    meter: OnceLock<Meter>,
    durations: [OnceLock<BoundDuration>; 3],
    /// The number of instruments with too many series.
    overflowed: AtomicU64,
    /// Collisions of names in Prometheus, indexed by kind. Unset without Prometheus.
    #[cfg(feature = "prometheus")]
    collisions: OnceLock<[AtomicU64; 4]>,
}

#[derive(Debug, Default)]
struct Numbers {
    /// Indexed by reason.
    dropped: [AtomicU64; REASONS.len()],
    failures: AtomicU64,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            numbers: Default::default(),
            queues: Registry::new(),
            meter: OnceLock::new(),
            durations: Default::default(),
            overflowed: AtomicU64::new(0),
            #[cfg(feature = "prometheus")]
            collisions: OnceLock::new(),
        }
    }
}

impl Counters {
    pub(super) fn dropped(&self, signal: Signal, reason: DropReason, items: usize) {
        self.numbers[signal as usize].dropped[reason as usize].fetch_add(items as u64, Ordering::Relaxed);
    }

    /// Counts an export that failed in part. [`exported`](Self::exported) counts those that failed as a whole.
    pub(super) fn failed(&self, signal: Signal) {
        self.numbers[signal as usize].failures.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an export that ended.
    pub(super) fn exported(&self, signal: Signal, took: Duration, fine: bool) {
        let numbers = &self.numbers[signal as usize];
        numbers.failures.fetch_add(u64::from(!fine), Ordering::Relaxed);
        if let Some(meter) = self.meter.get() {
            let bind = || BoundDuration::new(meter, &EXPORT_DURATION, [("signal", signal.as_str())]);
            self.durations[signal as usize].get_or_init(bind).record(took);
        }
    }

    /// Counts an instrument with too many series.
    pub(super) fn overflow(&self) {
        self.overflowed.fetch_add(1, Ordering::Relaxed);
    }

    #[cfg(test)]
    pub(super) fn overflowed(&self) -> u64 {
        self.overflowed.load(Ordering::Relaxed)
    }

    /// Reports collisions from now on, zeros included.
    #[cfg(feature = "prometheus")]
    pub(super) fn enable_collisions(&self) {
        self.collisions.get_or_init(Default::default);
    }

    #[cfg(feature = "prometheus")]
    pub(super) fn collision(&self, how: CollisionKind) {
        self.collisions.get_or_init(Default::default)[how as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Records the durations of exports with `meter` from now on.
    pub(super) fn set_meter(&self, meter: &Meter) {
        // A pipeline sets its only meter once.
        let _ = self.meter.set(meter.clone());
    }

    /// Reports the length of `queue` until that is dropped.
    pub(super) fn add_queue(&self, queue: &Arc<dyn ExportQueue>) {
        self.queues.add(Arc::downgrade(queue));
    }

    /// Reports the counters.
    #[allow(clippy::cast_precision_loss)] // Beyond 2^53 of them.
    pub(super) fn observe(&self, emit: &mut Emit<'_>) {
        let count = |number: &AtomicU64| number.load(Ordering::Relaxed) as f64;
        for (signal, metric) in [(Signal::Traces, &SPANS_DROPPED), (Signal::Logs, &LOGS_DROPPED)] {
            for (reason, lost) in REASONS.iter().zip(&self.numbers[signal as usize].dropped) {
                emit(metric, count(lost), &[("reason", reason)]);
            }
        }
        for signal in Signal::ALL {
            let numbers = &self.numbers[signal as usize];
            let attributes = [("signal", signal.as_str())];
            emit(&EXPORT_FAILURES, count(&numbers.failures), &attributes);
        }
        emit(&METRICS_OVERFLOWED, count(&self.overflowed), &[]);
        #[cfg(feature = "prometheus")]
        for (how, collisions) in CollisionKind::ALL.iter().zip(self.collisions.get().into_iter().flatten()) {
            emit(&PROMETHEUS_COLLISIONS, count(collisions), &[("kind", how.as_str())]);
        }
        // Several queues of one signal are added up.
        for queue in self.queues.living() {
            emit(&QUEUE_LENGTH, queue.length() as f64, &[("signal", queue.signal().as_str())]);
        }
    }
}

impl fmt::Debug for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counters").field("numbers", &self.numbers).finish_non_exhaustive()
    }
}
