//! Finds the ids of the span that a line of the console belongs to.

use std::sync::Arc;

use opentelemetry::trace::SpanContext;
use tracing::Subscriber;
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::FormatFields;
use tracing_subscriber::registry::LookupSpan;

use super::core::Core;
use super::spans::{OpenSpan, SpanKey};
use crate::base::sync::atomic::{AtomicU64, Ordering};

/// Finds the trace and span ids of events in its own subscriber.
#[derive(Clone)]
pub(super) struct ConsoleIds {
    core: Arc<Core>,
    /// The number of the span layer in the same subscriber. 0 while it is unknown.
    layer: Arc<AtomicU64>,
}

impl ConsoleIds {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core, layer: Arc::default() }
    }

    pub(super) fn core(&self) -> &Core {
        &self.core
    }

    /// Sets the number of the span layer in the same subscriber. A layer of another pipeline (`core`) is ignored.
    pub(super) fn set_layer(&self, core: &Arc<Core>, number: u64) {
        if Arc::ptr_eq(core, &self.core) {
            self.layer.store(number, Ordering::Relaxed);
            core.layers.set_console_found(number);
        }
    }

    /// The ids of the span in which an event occurred.
    pub(super) fn of<S, N>(&self, cx: &FmtContext<'_, S, N>) -> Option<SpanContext>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
        N: for<'a> FormatFields<'a> + 'static,
    {
        cx.event_scope()?.next()?;
        let layers = &self.core.layers;
        let known = self.layer.load(Ordering::Relaxed);
        if known != 0 {
            let found = self.within(known, cx);
            if found.is_some() || layers.is_alive(known) {
                return found;
            }
        }
        // The span layer may be inside a `reload` layer, where it cannot be found by its type.
        self.within(layers.without_console()?, cx)
    }

    /// The ids of the innermost span around an event that belongs to `layer`.
    fn within<S, N>(&self, layer: u64, cx: &FmtContext<'_, S, N>) -> Option<SpanContext>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
        N: for<'a> FormatFields<'a> + 'static,
    {
        cx.event_scope()?.find_map(|span| {
            let key = SpanKey { layer, id: span.id().into_u64() };
            let own = |open_span: &mut OpenSpan| {
                std::ptr::eq(open_span.metadata, span.metadata()).then(|| open_span.context.clone())
            };
            self.core.spans.with(key, own).flatten()
        })
    }
}
