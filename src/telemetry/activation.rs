//! The spans of this thread that are active in OpenTelemetry.

use std::cell::RefCell;

use opentelemetry::trace::{SpanId, TraceContextExt};
use opentelemetry::{Context, ContextGuard};

use super::spans::SpanKey;

thread_local! {
    static ACTIVE: RefCell<Vec<Active>> = const { RefCell::new(Vec::new()) };
}

struct Active {
    key: SpanKey,
    span_id: SpanId,
    /// Restores the context before when it is dropped.
    _guard: ContextGuard,
}

impl Active {
    /// Whether no context was attached after it.
    fn is_on_top(&self) -> bool {
        Context::map_current(|context| context.span().span_context().span_id() == self.span_id)
    }
}

/// Attaches `context`, the context of the span `key`.
pub(super) fn enter(key: SpanKey, span_id: SpanId, context: Context) {
    let guard = context.attach();
    // A thread that ends may have dropped its list. Then the guard is dropped at once.
    let _ = ACTIVE.try_with(|active| {
        active.borrow_mut().push(Active { key, span_id, _guard: guard });
    });
}

/// Ends the activation of the span `key`. Spans may exit in any order.
pub(super) fn exit(key: SpanKey) {
    // Dropped after the borrow, because the drop of a context may run user code.
    let _ended = ACTIVE.try_with(|active| {
        let mut active = active.borrow_mut();
        let matches = |entry: &Active| entry.key == key;
        if active.last().is_some_and(matches) {
            return active.pop();
        }
        let place = active.iter().rposition(matches)?;
        Some(active.remove(place))
    });
}

/// The id of the innermost span that a layer activated on this thread.
pub(super) fn innermost() -> Option<SpanId> {
    ACTIVE.try_with(|active| Some(active.borrow().last()?.span_id)).ok()?
}

/// Attaches the spans of a layer on this thread again, with new contexts from `context`, after their ids changed. Spans outside
/// of a context that other code attached stay as they are, because they must not be moved inside of it.
pub(super) fn refresh(layer: u64, context: impl Fn(SpanKey) -> Option<Context>) {
    let Ok(mut list) = ACTIVE.try_with(RefCell::take) else { return };
    let mut again = Vec::new();
    while let Some(entry) = list.pop_if(|entry| entry.is_on_top()) {
        let Active { key, span_id, _guard } = entry;
        // The attached context, for spans of other layers.
        let attached = Context::current();
        drop(_guard);
        again.push((key, span_id, attached));
    }
    ACTIVE.with(|active| *active.borrow_mut() = list);
    for (key, span_id, attached) in again.into_iter().rev() {
        let renewed = if key.layer == layer { context(key) } else { None };
        enter(key, span_id, renewed.unwrap_or(attached));
    }
}
