//! The state that all span layers of a pipeline share.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use opentelemetry::{Context as OtelContext, InstrumentationScope};
use opentelemetry_sdk::trace::{RandomIdGenerator, SpanData, SpanProcessor};
use tracing::Subscriber;
use tracing::span::{Attributes, Id};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::activation;
use super::fields::SpanFields;
use super::limits::SpanLimits;
use super::logs::Logs;
use super::red::{RedMetrics, Values};
use super::sampling::{Candidate, Sampler, Tail};
use super::secrets::Secrets;
use super::spans::{ClockPair, ContextState, Inherited, LayerRegistry, OpenSpan, SpanKey, Spans};
use super::suppress::SuppressGuard;
use crate::base::clock::{self, Tick};
use crate::base::outcome::is_timing_out;
use crate::signal::ExemplarSpan;

/// The state that all span layers of a pipeline share.
pub(super) struct Core {
    pub(super) red: RedMetrics,
    pub(super) spans: Spans,
    pub(super) layers: LayerRegistry,
    pub(super) sampler: Arc<Sampler>,
    /// Holds unsampled spans until their trace ends, if tail sampling is on.
    pub(super) tail: Option<Tail>,
    pub(super) limits: SpanLimits,
    pub(super) secrets: Secrets,
    pub(super) processors: Vec<Arc<dyn SpanProcessor>>,
    /// Whether the user added one of them.
    pub(super) user_processors: bool,
    pub(super) scope: InstrumentationScope,
    pub(super) ids: RandomIdGenerator,
    /// This and the next three are settings: see [`TelemetrySettings`](super::TelemetrySettings).
    pub(super) activation: bool,
    pub(super) busy_and_idle: bool,
    pub(super) code_attributes: bool,
    pub(super) exception_events: bool,
    pub(super) logs: Arc<Logs>,
}

/// The parent of a new span.
pub(super) enum Parent {
    None,
    /// A span of the same layer.
    Local(SpanKey, Inherited),
    /// A span of another process or of the OpenTelemetry API, from an attached context.
    Attached(SpanContext),
}

impl Parent {
    #[inline]
    pub(super) fn context(&self) -> Option<&SpanContext> {
        match self {
            Self::None => None,
            Self::Local(_, Inherited { context, .. }) | Self::Attached(context) => Some(context),
        }
    }
}

/// The span of a context that other code attached on this thread inside the innermost active span of any layer.
pub(super) type Attached = Option<SpanContext>;

impl Core {
    /// The span that other code attached inside the innermost active span of any layer.
    pub(super) fn attached() -> Option<SpanContext> {
        OtelContext::map_current(attached)
    }

    /// Like [`attached`](Self::attached), or `None` if telemetry is suppressed in the current context.
    #[inline]
    pub(super) fn attached_unless_suppressed() -> Option<Attached> {
        OtelContext::map_current(|context| (!context.is_telemetry_suppressed()).then(|| attached(context)))
    }

    /// The parent of the new span `id` in the layer with the number `layer`.
    #[inline]
    pub(super) fn parent_of<S>(
        &self,
        layer: u64,
        attributes: &Attributes<'_>,
        id: &Id,
        attached: Attached,
        cx: &Context<'_, S>,
    ) -> Parent
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        if attributes.is_root() {
            return Parent::None;
        }
        let contextual = attributes.is_contextual();
        // A context that was attached inside the current span is the nearer parent. Without activation, it is unknown which
        // of the two is inside the other.
        if contextual
            && self.activation
            && let Some(attached) = attached
        {
            return Parent::Attached(attached);
        }
        let current;
        let parent = if contextual {
            current = cx.current_span();
            current.id()
        } else {
            attributes.parent()
        };
        if let Some(parent) = parent {
            let parent = SpanKey { layer, id: parent.into_u64() };
            if let Some(inherited) = self.spans.inherit(parent) {
                return Parent::Local(parent, inherited);
            }
            // A filter may hide ancestors from the layer.
            let mut next = cx.span(id).and_then(|span| span.parent());
            while let Some(ancestor) = next {
                let key = SpanKey { layer, id: ancestor.id().into_u64() };
                if let Some(inherited) = self.spans.inherit(key) {
                    return Parent::Local(key, inherited);
                }
                next = ancestor.parent();
            }
        }
        match attached {
            Some(attached) if contextual && !self.activation => Parent::Attached(attached),
            _ => Parent::None,
        }
    }

    /// The OpenTelemetry context of a new span. It is made at once, because most spans are entered.
    #[inline]
    pub(super) fn otel(&self, parent: &Parent, contextual: bool, own: &SpanContext) -> ContextState {
        if !self.activation {
            return ContextState::Off;
        }
        let within = |context: &OtelContext| context.with_remote_span_context(own.clone());
        let of_parent = match parent {
            Parent::Local(parent, _) if !contextual => {
                self.spans.with(*parent, |parent| parent.otel.any().cloned()).flatten()
            }
            _ => None,
        };
        ContextState::Own(match of_parent {
            Some(context) => within(&context),
            None => OtelContext::map_current(within),
        })
    }

    /// The OpenTelemetry context with the span `key`.
    #[inline]
    pub(super) fn otel_context(&self, key: SpanKey) -> Option<OtelContext> {
        // The old context is dropped outside of the lock.
        let (context, _old) = self.spans.with(key, |open_span| match &open_span.otel {
            ContextState::Own(context) => (Some(context.clone()), None),
            ContextState::Off => (None, None),
            ContextState::Base(base) => {
                let own = base.with_remote_span_context(open_span.context.clone());
                (Some(own.clone()), Some(std::mem::replace(&mut open_span.otel, ContextState::Own(own))))
            }
        })?;
        if context.is_none() {
            let own = self.spans.with(key, |open_span| open_span.context.clone())?;
            return Some(OtelContext::current().with_remote_span_context(own));
        }
        context
    }

    /// Applies recorded fields to a span.
    pub(super) fn apply(&self, key: SpanKey, fields: SpanFields<'_>, labels: Option<Values>) {
        let renamed = (fields.name.is_some() || fields.component.is_some() || labels.is_some())
            .then(|| self.spans.with(key, |open_span| open_span.series))
            .flatten()
            .map(|series| {
                self.red.renamed(series, fields.component.as_deref(), fields.name.as_deref(), labels)
            });
        self.spans.with(key, |open_span| {
            open_span.series = renamed.unwrap_or(open_span.series);
            open_span.take_status(&fields, self.exception_events);
            if let Some(recording) = &mut open_span.recording {
                recording.add_fields(fields, &self.limits);
            }
        });
    }

    /// Sets `parent`, the active span of `base`, as the parent of the span `key`.
    pub(super) fn set_parent(&self, key: SpanKey, parent: &SpanContext, base: &OtelContext) {
        let known = self.spans.with(key, |open_span| {
            (open_span.metadata.name(), open_span.context.clone(), open_span.local_parent == 0)
        });
        let Some((name, old, root)) = known else { return };
        let trace_id = parent.trace_id();
        let sampled = self.sampler.keeps(Candidate { trace_id, parent: Some(parent), name });
        drop(self.spans.set_parent(key, parent, sampled, base));
        if let Some(tail) = &self.tail {
            // The span is now a root: of an unsampled trace in the buffer, or of a sampled trace.
            let to = (!sampled).then_some(trace_id);
            if root && !old.is_sampled() {
                tail.move_root(old.trace_id(), to);
            } else if let Some(to) = to {
                tail.begin(to);
            }
        }
    }

    #[inline]
    pub(super) fn close(&self, key: SpanKey) {
        let Some(mut open_span) = self.spans.remove(key) else { return };
        let now = clock::now();
        let duration = now.since(open_span.start);
        if is_timing_out() {
            open_span.fail(Some(Cow::Borrowed("campanile::TimedOut")));
        }
        let failure = open_span.status.failed().then(|| open_span.error_type.as_deref().unwrap_or_default());
        let end = || ClockPair::or_new(open_span.clocks, now).wall(now);
        let exemplar =
            self.red.keeps_exemplars().then(|| ExemplarSpan::sampled(&open_span.context, end)).flatten();
        self.red.record(open_span.series, now, duration, failure, exemplar);
        if open_span.recording.is_some() {
            self.finish(&mut open_span, now, duration);
        }
        open_span.discard();
    }

    fn finish(&self, open_span: &mut OpenSpan, now: Tick, duration: Duration) {
        let busy = self.busy_and_idle.then_some(now);
        // Spans and events of a processor must not enter the pipeline.
        let _suppressed = SuppressGuard::enter();
        match &self.tail {
            Some(tail) if !open_span.context.is_sampled() => {
                let (root, failed) = (open_span.local_parent == 0, open_span.status.failed());
                let kind = open_span.error_type.clone().unwrap_or_default();
                let (trace_id, span_id) = (open_span.context.trace_id(), open_span.context.span_id());
                let series = open_span.series;
                open_span.finish(duration, &self.scope, busy, &self.limits, |data| {
                    let at = data.end_time;
                    let kept = tail.end(data, root, failed);
                    if !kept.is_empty() {
                        let exemplar = ExemplarSpan { trace_id, span_id, at };
                        self.red.offer(series, duration, failed.then_some(&*kind), exemplar);
                    }
                    kept.into_iter().for_each(|data| self.process(data));
                });
            }
            _ => open_span.finish(duration, &self.scope, busy, &self.limits, |data| self.process(data)),
        }
    }

    #[inline]
    fn process(&self, data: SpanData) {
        if let Some((last, others)) = self.processors.split_last() {
            others.iter().for_each(|processor| processor.on_end(data.clone()));
            last.on_end(data);
        }
    }
}

#[inline]
fn attached(context: &OtelContext) -> Option<SpanContext> {
    if !context.has_active_span() {
        return None;
    }
    let span = context.span();
    let found = span.span_context();
    (found.is_valid() && activation::innermost() != Some(found.span_id())).then(|| found.clone())
}

#[inline]
pub(super) fn new_context(
    trace_id: TraceId,
    span_id: SpanId,
    sampled: bool,
    parent: Option<&SpanContext>,
) -> SpanContext {
    let (flags, state) = match parent {
        Some(parent) => (parent.trace_flags(), parent.trace_state().clone()),
        None => (TraceFlags::default(), TraceState::NONE),
    };
    SpanContext::new(trace_id, span_id, flags.with_sampled(sampled), false, state)
}
