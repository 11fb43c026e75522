//! Which trace the code that runs belongs to, for those who are below the span layer.

use std::sync::OnceLock;

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
