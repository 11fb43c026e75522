//! From a `tracing` span to its OpenTelemetry context and back.

use opentelemetry::Context;
use opentelemetry::trace::{TraceContextExt, TraceId};
use tracing::Span;
use tracing::span::Record;

use super::correlation::{CorrelationId, id_of};
use super::span_layer::SpanLayer;
use super::span_request::SpanRequest;
use super::spans::SpanKey;
use crate::signal::{self, SampledSpan};

/// The trace side of a [`tracing::Span`].
///
/// Where no [`SpanLayer`] is installed, or it does not know the span, there is nothing to ask: a context is
/// empty, an id is `None`, a parent is ignored.
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
    /// Puts the span under the span that is active in `parent`, with whatever is below it already.
    ///
    /// At any time before the span closes. A parent that is known earlier is better attached to the thread
    /// before the span is made: an unsampled span keeps no fields, so that one which a late parent turns into a
    /// sampled one lacks those that it was created with. A context without a span is ignored.
    fn set_parent(&self, parent: Context);

    /// The context to hand on: the span as the active one, with the baggage it was created with.
    fn context(&self) -> Context;

    /// The id of the span's trace.
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

/// The context to hand on from here: that of the current span, or what was attached on top of it.
///
/// For clients that send it themselves; [`http_injection_layer`](super::http_injection_layer) does it for HTTP.
#[must_use]
pub fn current_context() -> Context {
    ask(&Span::current(), SpanRequest::Current).unwrap_or_else(Context::current)
}

/// The span that the code that runs belongs to, if its trace is kept.
pub(super) fn sampled_span() -> Option<SampledSpan> {
    let of = |context: &Context| {
        let span = context.span();
        let ids = span.span_context();
        ids.is_valid().then(|| {
            let (trace_id, span_id) = (ids.trace_id().to_bytes(), ids.span_id().to_bytes());
            ids.is_sampled().then_some(SampledSpan { trace_id, span_id })
        })
    };
    // Without activation it is the layer that knows.
    Context::map_current(of).or_else(|| of(&current_context())).flatten()
}

/// The ids of the span that the code that runs belongs to.
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

/// Asks the layer that knows `span`.
fn ask(span: &Span, request: SpanRequest) -> Option<Context> {
    let metadata = span.metadata()?;
    span.with_subscriber(|(id, dispatch)| {
        if let Some(layer) = dispatch.downcast_ref::<SpanLayer>() {
            return request.answer(&layer.core, SpanKey { layer: layer.number(), id: id.into_u64() });
        }
        // A layer inside `reload` cannot be reached by its type. It does hear of values that are recorded, and of a
        // record without any value no other layer takes notice.
        request.answer_to(id.into_u64(), || {
            dispatch.record(id, &Record::new(&metadata.fields().value_set(&[])));
        })
    })
    .flatten()
}
