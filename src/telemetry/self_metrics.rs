//! The metrics of a pipeline about itself.

use std::sync::Arc;

use super::core::Core;
use super::counters::Counters;
use crate::signal::{Emit, LOGS_EMITTED, SPANS_SAMPLED, SPANS_STARTED, Source, TAIL_EVICTED, TAIL_KEPT};

/// The metrics of a pipeline, which only its own meter reports.
pub(super) struct SelfMetrics {
    pub(super) core: Arc<Core>,
    pub(super) counters: Arc<Counters>,
}

impl Source for SelfMetrics {
    #[allow(clippy::cast_precision_loss)] // Beyond 2^53 of them.
    fn observe(&self, emit: &mut Emit<'_>) {
        // The SDK runs callbacks before it reads what was recorded.
        self.core.red.flush();
        self.core.red.observe_events(emit);
        let (started, sampled) = self.core.spans.totals();
        emit(&SPANS_STARTED, started as f64, &[]);
        emit(&SPANS_SAMPLED, sampled as f64, &[]);
        if let Some(tail) = &self.core.tail {
            let (kept, evicted) = tail.totals();
            emit(&TAIL_KEPT, kept as f64, &[]);
            emit(&TAIL_EVICTED, evicted as f64, &[]);
        }
        emit(&LOGS_EMITTED, self.core.logs.emitted() as f64, &[]);
        self.counters.observe(emit);
    }
}
