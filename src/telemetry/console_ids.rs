//! The ids of the span that a line of the console belongs to.

use std::sync::Arc;

use opentelemetry::trace::SpanContext;
use tracing::Subscriber;
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::FormatFields;
use tracing_subscriber::registry::LookupSpan;

use super::core::Core;
use super::spans::{OpenSpan, SpanKey};
use crate::base::sync::atomic::{AtomicU64, Ordering};

/// Knows the spans of the subscriber that it is in, and of no other one.
#[derive(Clone)]
pub(super) struct ConsoleIds {
    core: Arc<Core>,
    /// The number of the span layer that is in the same subscriber; 0 if it is unknown.
    layer: Arc<AtomicU64>,
}

impl ConsoleIds {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core, layer: Arc::default() }
    }

    pub(super) fn core(&self) -> &Core {
        &self.core
    }

    /// Learns the number of the span layer in the same subscriber, whose pipeline is that of `core`.
    pub(super) fn set_layer(&self, core: &Arc<Core>, number: u64) {
        if Arc::ptr_eq(core, &self.core) {
            self.layer.store(number, Ordering::Relaxed);
            core.layers.set_console_found(number);
        }
    }

    /// The ids of the span that an event happened in.
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
        // It may stand in a `reload`, where it cannot be found by its type.
        self.within(layers.without_console()?, cx)
    }

    /// The ids of the innermost span around an event that is one of this layer.
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
