//! The current span and correlation id, for modules that cannot use the pipeline.

use std::sync::OnceLock;

use crate::base::sync::atomic::{AtomicBool, Ordering};

/// The ids of a span, in hexadecimal as in W3C trace context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TraceIds {
    pub(crate) trace_id: String,
    pub(crate) span_id: String,
}

/// The ids of a sampled span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SampledSpan {
    pub(crate) trace_id: [u8; 16],
    pub(crate) span_id: [u8; 8],
}

/// Functions that return the current span and correlation id.
pub(crate) struct Current {
    /// The current span.
    pub(crate) trace: fn() -> Option<TraceIds>,
    /// The current span, if it is sampled.
    pub(crate) sampled: fn() -> Option<SampledSpan>,
    /// The current correlation id.
    pub(crate) correlation: fn() -> Option<String>,
}

static CURRENT: OnceLock<Current> = OnceLock::new();
static WANTED: AtomicBool = AtomicBool::new(false);

/// Sets the functions. The first call wins.
pub(crate) fn on_current(current: Current) {
    let _ = CURRENT.set(current);
}

/// The current span, if it is known.
pub(crate) fn current_trace() -> Option<TraceIds> {
    CURRENT.get().and_then(|current| (current.trace)())
}

/// The current correlation id, if it is known.
pub(crate) fn current_correlation() -> Option<String> {
    CURRENT.get().and_then(|current| (current.correlation)())
}

/// Enables or disables exemplars for durations of layers. If disabled, the current span is not read.
pub(super) fn want_sampled_spans(wanted: bool) {
    WANTED.store(wanted, Ordering::Relaxed);
}

/// The current span, if it is sampled and exemplars are wanted.
#[inline]
pub(crate) fn sampled_span() -> Option<SampledSpan> {
    if WANTED.load(Ordering::Relaxed) { CURRENT.get().and_then(|current| (current.sampled)()) } else { None }
}
