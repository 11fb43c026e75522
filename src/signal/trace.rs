//! What the pipeline knows about the code that runs, for those who are below it.

use std::sync::OnceLock;

use crate::sync::atomic::{AtomicBool, Ordering};

/// The ids of a span, in hexadecimal as W3C writes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TraceIds {
    pub(crate) trace_id: String,
    pub(crate) span_id: String,
}

/// The ids of a span whose trace is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SampledSpan {
    pub(crate) trace_id: [u8; 16],
    pub(crate) span_id: [u8; 8],
}

/// Functions that tell about the code that runs.
pub(crate) struct Current {
    /// The span that it belongs to.
    pub(crate) trace: fn() -> Option<TraceIds>,
    /// The same, if its trace is kept.
    pub(crate) sampled: fn() -> Option<SampledSpan>,
    /// Its correlation id.
    pub(crate) correlation: fn() -> Option<String>,
}

static CURRENT: OnceLock<Current> = OnceLock::new();
static WANTED: AtomicBool = AtomicBool::new(false);

/// Makes `current` the one that knows. The first one stays.
pub(crate) fn on_current(current: Current) {
    let _ = CURRENT.set(current);
}

/// The span that the code that runs belongs to, if that is known.
pub(crate) fn current_trace() -> Option<TraceIds> {
    CURRENT.get().and_then(|current| (current.trace)())
}

/// The correlation id of the code that runs, if that is known.
pub(crate) fn current_correlation() -> Option<String> {
    CURRENT.get().and_then(|current| (current.correlation)())
}

/// Whether durations of layers are to have exemplars: without them, nothing asks for a span.
pub(super) fn want_sampled_spans(wanted: bool) {
    WANTED.store(wanted, Ordering::Relaxed);
}

/// The span that the code that runs belongs to, if its trace is kept and exemplars are wanted.
#[inline]
pub(crate) fn sampled_span() -> Option<SampledSpan> {
    if WANTED.load(Ordering::Relaxed) { CURRENT.get().and_then(|current| (current.sampled)()) } else { None }
}
