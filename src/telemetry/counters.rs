//! What the pipeline counts about itself.

use std::sync::Arc;

use super::core::Core;
use crate::signal::{EXPORT_FAILURES, Emit, SPANS_DROPPED, SPANS_SAMPLED, SPANS_STARTED, Source};
use crate::sync::atomic::{AtomicU64, Ordering};

/// Why a sampled span reached no exporter.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lost {
    /// The exporter does not keep up.
    QueueFull,
    /// The exporter failed.
    ExportFailed,
    /// The pipeline was shut down before.
    Shutdown,
}

/// What is exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    Traces,
    Metrics,
}

impl Signal {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Metrics => "metrics",
        }
    }
}

/// What the pipeline counts about itself.
#[derive(Debug, Default)]
pub(super) struct Counters {
    lost: [AtomicU64; 3],
    failures: [AtomicU64; 2],
}

impl Counters {
    pub(super) fn lost(&self, reason: Lost, spans: usize) {
        self.lost[reason as usize].fetch_add(spans as u64, Ordering::Relaxed);
    }

    pub(super) fn failed(&self, signal: Signal) {
        self.failures[signal as usize].fetch_add(1, Ordering::Relaxed);
    }
}

/// The numbers of one pipeline, for its own meter alone.
pub(super) struct OwnNumbers {
    pub(super) core: Arc<Core>,
    pub(super) counters: Arc<Counters>,
}

impl Source for OwnNumbers {
    #[allow(clippy::cast_precision_loss)] // Beyond 2^53 spans.
    fn observe(&self, emit: &mut Emit<'_>) {
        let (started, sampled) = self.core.spans.totals();
        emit(&SPANS_STARTED, started as f64, &[]);
        emit(&SPANS_SAMPLED, sampled as f64, &[]);
        for (reason, count) in ["queue_full", "export_failed", "shutdown"].iter().zip(&self.counters.lost) {
            emit(&SPANS_DROPPED, count.load(Ordering::Relaxed) as f64, &[("reason", reason)]);
        }
        for signal in [Signal::Traces, Signal::Metrics] {
            let failures = self.counters.failures[signal as usize].load(Ordering::Relaxed);
            emit(&EXPORT_FAILURES, failures as f64, &[("signal", signal.as_str())]);
        }
    }
}
