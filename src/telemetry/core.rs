//! What all span layers of a pipeline share.

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
use super::red::{Red, Values};
use super::sampling::{Candidate, Sampler, Tail};
use super::secrets::Secrets;
use super::spans::{Anchor, Inherited, Key, Layers, Live, Otel, Spans};
use crate::base::clock::{self, Tick};
use crate::base::outcome::is_for_time;
use crate::signal::ExemplarSpan;

/// What all layers of a pipeline share.
pub(super) struct Core {
    pub(super) red: Red,
    pub(super) spans: Spans,
    pub(super) layers: Layers,
    pub(super) sampler: Arc<Sampler>,
    /// Where spans wait that the head has not sampled.
    pub(super) tail: Option<Tail>,
    pub(super) limits: SpanLimits,
    /// What must not be told.
    pub(super) secrets: Secrets,
    pub(super) processors: Vec<Arc<dyn SpanProcessor>>,
    /// Whether some of them are not the pipeline's own.
    pub(super) foreign_processors: bool,
    pub(super) scope: InstrumentationScope,
    pub(super) ids: RandomIdGenerator,
    /// Whether entering a span makes it the active one of OpenTelemetry.
    pub(super) activate: bool,
    /// Whether spans say how long they were entered, and how long not.
    pub(super) busy: bool,
    /// Whether spans say where in the code they stand.
    pub(super) places: bool,
    /// Whether an error is an event called `exception`, and an attribute of its span.
    pub(super) exception_events: bool,
    pub(super) logs: Arc<Logs>,
}

/// What stands above a new span.
pub(super) enum Above {
    Nothing,
    /// A span of this layer.
    Local(Key, Inherited),
    /// A span of another process, or one made through the OpenTelemetry API.
    Foreign(SpanContext),
}

impl Above {
    #[inline]
    pub(super) fn context(&self) -> Option<&SpanContext> {
        match self {
            Self::Nothing => None,
            Self::Local(_, Inherited { context, .. }) | Self::Foreign(context) => Some(context),
        }
    }
}

/// The context that was attached on this thread after the innermost active span of any layer.
pub(super) type Foreign = Option<SpanContext>;

impl Core {
    /// The context that was attached after the innermost active span of any layer, if there is one.
    pub(super) fn foreign() -> Option<SpanContext> {
        OtelContext::map_current(foreign)
    }

    /// As [`foreign`](Self::foreign); nothing if OpenTelemetry is told to keep silent here.
    #[inline]
    pub(super) fn around() -> Option<Foreign> {
        OtelContext::map_current(|context| (!context.is_telemetry_suppressed()).then(|| foreign(context)))
    }

    /// What stands above the new span `id`, for the layer of this number.
    #[inline]
    pub(super) fn above<S>(
        &self,
        layer: u64,
        attributes: &Attributes<'_>,
        id: &Id,
        around: Foreign,
        cx: &Context<'_, S>,
    ) -> Above
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        if attributes.is_root() {
            return Above::Nothing;
        }
        let contextual = attributes.is_contextual();
        // What was attached on top of the current span stands closer than it. Without activation it is
        // unknown which of them came later.
        if contextual
            && self.activate
            && let Some(foreign) = around
        {
            return Above::Foreign(foreign);
        }
        let current;
        let parent = if contextual {
            current = cx.current_span();
            current.id()
        } else {
            attributes.parent()
        };
        if let Some(parent) = parent {
            let parent = Key { layer, id: parent.into_u64() };
            if let Some(inherited) = self.spans.inherit(parent) {
                return Above::Local(parent, inherited);
            }
            // A filter may have kept the layer from seeing some of them.
            let mut next = cx.span(id).and_then(|span| span.parent());
            while let Some(ancestor) = next {
                let key = Key { layer, id: ancestor.id().into_u64() };
                if let Some(inherited) = self.spans.inherit(key) {
                    return Above::Local(key, inherited);
                }
                next = ancestor.parent();
            }
        }
        match around {
            Some(foreign) if contextual && !self.activate => Above::Foreign(foreign),
            _ => Above::Nothing,
        }
    }

    /// The context of a new span: it will be entered, as a rule.
    #[inline]
    pub(super) fn otel(&self, above: &Above, contextual: bool, own: &SpanContext) -> Otel {
        if !self.activate {
            return Otel::Off;
        }
        let within = |context: &OtelContext| context.with_remote_span_context(own.clone());
        let of_parent = match above {
            Above::Local(parent, _) if !contextual => {
                self.spans.with(*parent, |parent| parent.otel.any().cloned()).flatten()
            }
            _ => None,
        };
        Otel::Own(match of_parent {
            Some(context) => within(&context),
            None => OtelContext::map_current(within),
        })
    }

    /// The OpenTelemetry context with the span `key` in it.
    #[inline]
    pub(super) fn otel_context(&self, key: Key) -> Option<OtelContext> {
        // What stood there goes out of the lock before it is dropped.
        let (context, _old) = self.spans.with(key, |live| match &live.otel {
            Otel::Own(context) => (Some(context.clone()), None),
            Otel::Off => (None, None),
            Otel::Base(base) => {
                let own = base.with_remote_span_context(live.context.clone());
                (Some(own.clone()), Some(std::mem::replace(&mut live.otel, Otel::Own(own))))
            }
        })?;
        if context.is_none() {
            let own = self.spans.with(key, |live| live.context.clone())?;
            return Some(OtelContext::current().with_remote_span_context(own));
        }
        context
    }

    /// Takes over what the fields of a span say.
    pub(super) fn apply(&self, key: Key, fields: SpanFields<'_>, labels: Option<Values>) {
        let renamed = (fields.name.is_some() || fields.component.is_some() || labels.is_some())
            .then(|| self.spans.with(key, |live| live.series))
            .flatten()
            .map(|series| {
                self.red.renamed(series, fields.component.as_deref(), fields.name.as_deref(), labels)
            });
        self.spans.with(key, |live| {
            live.series = renamed.unwrap_or(live.series);
            live.take_status(&fields, self.exception_events);
            if let Some(recording) = &mut live.recording {
                recording.take(fields, &self.limits);
            }
        });
    }

    /// Puts the span `key` under `parent`, which is the active one of `base`.
    pub(super) fn adopt(&self, key: Key, parent: &SpanContext, base: &OtelContext) {
        let known =
            self.spans.with(key, |live| (live.metadata.name(), live.context.clone(), live.local_parent == 0));
        let Some((name, old, root)) = known else { return };
        let trace_id = parent.trace_id();
        let sampled = self.sampler.keeps(Candidate { trace_id, parent: Some(parent), name });
        drop(self.spans.adopt(key, parent, sampled, base));
        if let Some(tail) = &self.tail {
            // From now on it is a root: of a trace that waits, or of one that is sampled.
            let to = (!sampled).then_some(trace_id);
            if root && !old.is_sampled() {
                tail.moved(old.trace_id(), to);
            } else if let Some(to) = to {
                tail.begin(to);
            }
        }
    }

    #[inline]
    pub(super) fn close(&self, key: Key) {
        let Some(mut live) = self.spans.remove(key) else { return };
        let now = clock::now();
        let duration = now.since(live.start);
        if is_for_time() {
            live.fail(Some(Cow::Borrowed("campanile::TimedOut")));
        }
        let failure = live.verdict.failed().then(|| live.error_type.as_deref().unwrap_or_default());
        let end = || Anchor::or_new(live.anchor, now).wall(now);
        let witness = self.red.keeps_exemplars().then(|| ExemplarSpan::sampled(&live.context, end)).flatten();
        self.red.record(live.series, now, duration, failure, witness);
        if live.recording.is_some() {
            self.finish(&mut live, now, duration);
        }
        live.discard();
    }

    fn finish(&self, live: &mut Live, now: Tick, duration: Duration) {
        let busy = self.busy.then_some(now);
        // What a processor logs, and what it traces, is not for the pipeline.
        let _silence = activation::Silence::begin();
        match &self.tail {
            Some(tail) if !live.context.is_sampled() => {
                let (root, failed) = (live.local_parent == 0, live.verdict.failed());
                let kind = live.error_type.clone().unwrap_or_default();
                let (trace_id, span_id) = (live.context.trace_id(), live.context.span_id());
                let series = live.series;
                live.finish(duration, &self.scope, busy, &self.limits, |data| {
                    let at = data.end_time;
                    let kept = tail.end(data, root, failed);
                    if !kept.is_empty() {
                        let witness = ExemplarSpan { trace_id, span_id, at };
                        self.red.offer(series, duration, failed.then_some(&*kind), witness);
                    }
                    kept.into_iter().for_each(|data| self.hand_over(data));
                });
            }
            _ => live.finish(duration, &self.scope, busy, &self.limits, |data| self.hand_over(data)),
        }
    }

    #[inline]
    fn hand_over(&self, data: SpanData) {
        if let Some((last, others)) = self.processors.split_last() {
            others.iter().for_each(|processor| processor.on_end(data.clone()));
            last.on_end(data);
        }
    }
}

#[inline]
fn foreign(context: &OtelContext) -> Option<SpanContext> {
    if !context.has_active_span() {
        return None;
    }
    let span = context.span();
    let found = span.span_context();
    (found.is_valid() && activation::last() != Some(found.span_id())).then(|| found.clone())
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
