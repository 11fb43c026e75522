//! The OpenTelemetry context of a `tracing` span.

use opentelemetry::Context;
use opentelemetry::trace::{TraceContextExt, TraceId};
use tracing::Span;
use tracing::span::Record;

use super::correlation::{CorrelationId, id_of};
use super::span_layer::SpanLayer;
use super::span_request::SpanRequest;
use super::spans::SpanKey;
use crate::signal::{self, SampledSpan};

/// The OpenTelemetry side of a [`tracing::Span`].
///
/// Without a [`SpanLayer`], or for a span that it does not know, the context is empty, the id is `None`, and a parent is
/// ignored.
///
/// # Example
/// ```
/// use campanile::telemetry::{SpanExt, Telemetry};
/// use opentelemetry::trace::TraceContextExt;
/// use tracing_subscriber::prelude::*;
///
/// let telemetry = Telemetry::builder("docs").build()?;
/// let subscriber = tracing_subscriber::registry().with(telemetry.span_layer());
/// tracing::subscriber::with_default(subscriber, || {
///     let span = tracing::info_span!("order");
///     assert_eq!(span.trace_id(), Some(span.context().span().span_context().trace_id()));
/// });
/// # Ok::<(), campanile::telemetry::TelemetryError>(())
/// ```
pub trait SpanExt {
    /// Sets the active span of `parent` as the parent of this span. Open descendants of this span move with it.
    ///
    /// It works until the span closes. If the parent is known earlier, attach it to the thread before you create the span: an
    /// unsampled span keeps no fields, so a span that is sampled because of a late parent lacks its first fields. A context
    /// without a span is ignored.
    fn set_parent(&self, parent: Context);

    /// Returns the context of the span: the span itself and the baggage with which it was created.
    fn context(&self) -> Context;

    /// Returns the id of the span's trace.
    fn trace_id(&self) -> Option<TraceId>;
}

impl SpanExt for Span {
    fn set_parent(&self, parent: Context) {
        ask(self, SpanRequest::SetParent(parent));
    }

    fn context(&self) -> Context {
        ask(self, SpanRequest::Context).unwrap_or_default()
    }

    fn trace_id(&self) -> Option<TraceId> {
        ask(self, SpanRequest::Context).map(|context| context.span().span_context().trace_id())
    }
}

/// Returns the context of the current span, or a context that was attached inside of it.
///
/// For clients that send the context themselves. For HTTP and gRPC, the layers of clients send it:
/// [`Telemetry::http_client_layer`](super::Telemetry::http_client_layer).
#[must_use]
pub fn current_context() -> Context {
    ask(&Span::current(), SpanRequest::Current).unwrap_or_else(Context::current)
}

/// The ids of the current span, if its trace is sampled.
pub(super) fn sampled_span() -> Option<SampledSpan> {
    let of = |context: &Context| {
        let span = context.span();
        let ids = span.span_context();
        ids.is_valid().then(|| {
            let (trace_id, span_id) = (ids.trace_id().to_bytes(), ids.span_id().to_bytes());
            ids.is_sampled().then_some(SampledSpan { trace_id, span_id })
        })
    };
    // Without activation, only the layer knows the span.
    Context::map_current(of).or_else(|| of(&current_context())).flatten()
}

/// The ids of the current span, as text.
pub(super) fn current_trace() -> Option<signal::TraceIds> {
    let context = current_context();
    let span = context.span();
    let ids = span.span_context();
    ids.is_valid().then(|| signal::TraceIds {
        trace_id: ids.trace_id().to_string(),
        span_id: ids.span_id().to_string(),
    })
}

impl CorrelationId {
    /// Returns the current correlation id, if there is one.
    #[must_use]
    pub fn current() -> Option<Self> {
        id_of(&current_context()).or_else(|| {
            // The current span may have been created before the id.
            Context::map_current(id_of)
        })
    }
}

/// Sends `request` to the layer that knows `span`.
fn ask(span: &Span, request: SpanRequest) -> Option<Context> {
    let metadata = span.metadata()?;
    span.with_subscriber(|(id, dispatch)| {
        if let Some(layer) = dispatch.downcast_ref::<SpanLayer>() {
            return request.answer(&layer.core, SpanKey { layer: layer.number(), id: id.into_u64() });
        }
        // A layer inside `reload` cannot be downcast, but its `on_record` is called. Other layers ignore a record without values.
        request.answer_to(id.into_u64(), || {
            dispatch.record(id, &Record::new(&metadata.fields().value_set(&[])));
        })
    })
    .flatten()
}
