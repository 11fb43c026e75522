//! Which spans of the layer are active on this thread, for OpenTelemetry.

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
    /// Puts back what was active before, when it is dropped.
    _guard: ContextGuard,
}

impl Active {
    /// Whether nothing was attached since.
    fn is_on_top(&self) -> bool {
        Context::map_current(|context| context.span().span_context().span_id() == self.span_id)
    }
}

/// Makes `context`, that of the span `key`, the active one.
pub(super) fn enter(key: SpanKey, span_id: SpanId, context: Context) {
    let guard = context.attach();
    // A thread that is about to end has no list any more; then the guard ends the activation at once.
    let _ = ACTIVE.try_with(|active| {
        active.borrow_mut().push(Active { key, span_id, _guard: guard });
    });
}

/// Ends the activation of the span `key`, in whatever order spans are left.
pub(super) fn exit(key: SpanKey) {
    // Out of the borrow before it is dropped: the end of a context may run anything.
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

/// The id of the span that a layer activated last on this thread.
pub(super) fn innermost() -> Option<SpanId> {
    ACTIVE.try_with(|active| Some(active.borrow().last()?.span_id)).ok()?
}

/// Activates the spans of a layer on this thread again, with contexts that `context` gives, after their ids changed. Those under
/// something that was attached by others stay as they are: it must not come to lie below them.
pub(super) fn refresh(layer: u64, context: impl Fn(SpanKey) -> Option<Context>) {
    let Ok(mut list) = ACTIVE.try_with(RefCell::take) else { return };
    let mut again = Vec::new();
    while let Some(entry) = list.pop_if(|entry| entry.is_on_top()) {
        let Active { key, span_id, _guard } = entry;
        // What was attached, for the layers that keep theirs.
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
