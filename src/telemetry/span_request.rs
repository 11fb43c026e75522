//! Requests to a span layer about one span.

use std::cell::Cell;

use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt;

use super::activation;
use super::core::Core;
use super::spans::SpanKey;

/// A request to a span layer about one span.
#[derive(Clone, Debug)]
pub(super) enum SpanRequest {
    Context,
    /// Like `Context`, but a context that was attached inside the span wins.
    Current,
    SetParent(Context),
}

thread_local! {
    /// The request, with the registry's id of the span.
    static PENDING: Cell<Option<(u64, SpanRequest)>> = const { Cell::new(None) };
    static ANSWER: Cell<Option<Context>> = const { Cell::new(None) };
}

impl SpanRequest {
    /// Returns the answer of a layer that is reached by `record`, which records no value on the span `id`.
    pub(super) fn answer_to(self, id: u64, record: impl FnOnce()) -> Option<Context> {
        PENDING.try_with(|pending| pending.set(Some((id, self)))).ok()?;
        record();
        PENDING.take();
        ANSWER.take()
    }

    /// Answers the pending request of this thread about the span `key`, if there is one.
    #[cold]
    pub(super) fn answer_pending(core: &Core, key: SpanKey) {
        let Ok(Some((id, request))) = PENDING.try_with(Cell::take) else { return };
        if id == key.id && core.spans.with(key, |_| ()).is_some() {
            ANSWER.set(request.answer(core, key));
        } else {
            // Another layer may know the span.
            PENDING.set(Some((id, request)));
        }
    }

    pub(super) fn answer(self, core: &Core, key: SpanKey) -> Option<Context> {
        match self {
            Self::Current if core.activation && Core::attached().is_some() => Some(Context::current()),
            Self::Context | Self::Current => core.otel_context(key),
            Self::SetParent(parent) => {
                let of = parent.span().span_context().clone();
                if of.is_valid() {
                    // Read before the change: afterwards the ids of active spans differ from those of the layer.
                    let on_top = Core::attached().is_none();
                    core.set_parent(key, &of, &parent);
                    if core.activation && on_top {
                        activation::refresh(key.layer, |key| core.otel_context(key));
                    }
                }
                None
            }
        }
    }
}
