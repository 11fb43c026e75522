//! Which trace the code that runs belongs to, for those who are below the span layer.

use std::sync::OnceLock;

use crate::sync::atomic::{AtomicBool, Ordering};

/// The ids of a span, in hexadecimal as W3C writes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TraceIds {
    pub(crate) trace_id: String,
    pub(crate) span_id: String,
}

static CURRENT: OnceLock<fn() -> Option<TraceIds>> = OnceLock::new();

/// Makes `current` the one that knows. The first one stays.
pub(crate) fn on_current_trace(current: fn() -> Option<TraceIds>) {
    let _ = CURRENT.set(current);
}

/// The span that the code that runs belongs to, if someone knows.
pub(crate) fn current_trace() -> Option<TraceIds> {
    CURRENT.get().and_then(|current| current())
}

/// The ids of a span whose trace is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SampledSpan {
    pub(crate) trace_id: [u8; 16],
    pub(crate) span_id: [u8; 8],
}

static SAMPLED: OnceLock<fn() -> Option<SampledSpan>> = OnceLock::new();
static WANTED: AtomicBool = AtomicBool::new(false);

/// Makes `sampled` the one that knows. The first one stays.
pub(crate) fn on_sampled_span(sampled: fn() -> Option<SampledSpan>) {
    let _ = SAMPLED.set(sampled);
}

/// Whether durations of layers are to have exemplars: without them, nobody need ask.
pub(super) fn want_sampled_spans(wanted: bool) {
    WANTED.store(wanted, Ordering::Relaxed);
}

/// The span that the code that runs belongs to, if its trace is kept and somebody wants to know.
#[inline]
pub(crate) fn sampled_span() -> Option<SampledSpan> {
    if WANTED.load(Ordering::Relaxed) { SAMPLED.get().and_then(|sampled| sampled()) } else { None }
}
