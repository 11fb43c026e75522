//! Counts of ignored headers. A proxy that mangles a header silently breaks every trace behind it.

use std::sync::{Arc, LazyLock};

use crate::base::sync::atomic::{AtomicU64, Ordering};
use crate::signal::{self, Emit, PROPAGATION_MALFORMED, Source};

/// The format of an ignored header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Header {
    TraceParent,
    TraceState,
    Baggage,
    B3,
    XB3,
    CorrelationId,
}

/// The reason why it was ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    Malformed,
    /// Several, where one is allowed.
    Repeated,
    /// Beyond a limit.
    TooLarge,
}

const HEADERS: [&str; 6] = ["traceparent", "tracestate", "baggage", "b3", "x-b3", "correlation-id"];
const REASONS: [&str; 3] = ["syntax", "repeated", "too_large"];

#[derive(Debug, Default)]
struct Ignored([[AtomicU64; REASONS.len()]; HEADERS.len()]);

/// One for the process, since layers that read headers belong to no pipeline.
static IGNORED: LazyLock<Arc<Ignored>> = LazyLock::new(|| {
    let ignored = Arc::new(Ignored::default());
    signal::register(&ignored);
    ignored
});

/// Reports the counters, zeros included, from now on.
pub(super) fn register() {
    LazyLock::force(&IGNORED);
}

/// Counts an ignored header and returns `None`.
#[cold]
pub(super) fn ignore<T>(header: Header, reason: Reason) -> Option<T> {
    count(header, reason);
    None
}

/// Counts an ignored header.
#[cold]
pub(super) fn count(header: Header, reason: Reason) {
    IGNORED.0[header as usize][reason as usize].fetch_add(1, Ordering::Relaxed);
}

impl Source for Ignored {
    #[allow(clippy::cast_precision_loss)] // Beyond 2^53 headers.
    fn observe(&self, emit: &mut Emit<'_>) {
        for (header, counts) in HEADERS.iter().zip(&self.0) {
            for (reason, count) in REASONS.iter().zip(counts) {
                let count = count.load(Ordering::Relaxed);
                // For counters that are all zero, one series is enough.
                if count > 0 || *reason == "syntax" {
                    let attributes = [("header", *header), ("reason", *reason)];
                    emit(&PROPAGATION_MALFORMED, count as f64, &attributes);
                }
            }
        }
    }
}
