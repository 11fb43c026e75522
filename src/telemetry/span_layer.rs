//! The tracing layer: each span becomes a trace span if it is sampled, RED metrics and a vital sign always.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use opentelemetry::trace::{
    Event as SpanEvent, SpanContext, TraceContextExt, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{Context as OtelContext, InstrumentationScope};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator, SpanProcessor};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::activation;
use super::context::Question;
use super::exemplars::Witness;
use super::fields::{EventFields, SpanFields, StatusCode};
use super::limits::SpanLimits;
use super::logs::{Ids, Logs};
use super::recording::Recording;
use super::red::{Red, of_the_pipeline};
use super::sampling::Sampling;
use super::spans::{Anchor, Inherited, Live, Otel, Parent, Spans, Verdict};
use crate::clock;

/// Turns `tracing` spans into trace spans, metrics and health.
///
/// From [`Telemetry::span_layer`](super::Telemetry::span_layer); clones share everything. It works beside other
/// layers, under filters, as `Option<SpanLayer>` and inside `reload`.
///
/// # Fields that mean something
/// `otel.name`, `otel.kind` (`server`, `client`, …), `otel.status_code` (`ok`, `error`),
/// `otel.status_description`, and `component`: what the span counts for; without it, that is the crate of its
/// target.
#[derive(Clone)]
pub struct SpanLayer {
    pub(super) core: Arc<Core>,
}

/// What all clones of a layer share.
pub(super) struct Core {
    pub(super) red: Red,
    pub(super) spans: Spans,
    pub(super) sampling: Sampling,
    pub(super) limits: SpanLimits,
    pub(super) processors: Vec<Arc<dyn SpanProcessor>>,
    /// Whether some of them are not the pipeline's own.
    pub(super) foreign_processors: bool,
    pub(super) scope: InstrumentationScope,
    pub(super) ids: RandomIdGenerator,
    /// Whether entering a span makes it the active one of OpenTelemetry.
    pub(super) activate: bool,
    /// Whether spans say where in the code they stand.
    pub(super) places: bool,
    pub(super) logs: Arc<Logs>,
}

/// What stands above a new span.
enum Above {
    Nothing,
    /// A span of this layer, by the registry's id.
    Local(u64, Inherited),
    /// A span of another process, or one made through the OpenTelemetry API.
    Foreign(SpanContext),
}

impl Core {
    /// Tells layers apart that share a thread.
    pub(super) fn key(self: &Arc<Self>) -> usize {
        Arc::as_ptr(self).addr()
    }

    /// The context that somebody attached after the innermost active span of any layer, if there is one.
    pub(super) fn foreign() -> Option<SpanContext> {
        OtelContext::map_current(|context| {
            let span = context.span();
            let found = span.span_context();
            (found.is_valid() && activation::last() != Some(found.span_id())).then(|| found.clone())
        })
    }

    fn above<S>(&self, attributes: &Attributes<'_>, id: &Id, cx: &Context<'_, S>) -> Above
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        if attributes.is_root() {
            return Above::Nothing;
        }
        let contextual = attributes.is_contextual();
        // What was attached on top of the current span stands closer than it. Without activation nobody can
        // say which of them came later.
        if contextual
            && self.activate
            && let Some(foreign) = Self::foreign()
        {
            return Above::Foreign(foreign);
        }
        let mut next = cx.span(id).and_then(|span| span.parent());
        while let Some(ancestor) = next {
            // A filter may have kept the layer from seeing some of them.
            let id = ancestor.id().into_u64();
            if let Some(inherited) = self.spans.inherit(id) {
                return Above::Local(id, inherited);
            }
            next = ancestor.parent();
        }
        match Self::foreign() {
            Some(foreign) if contextual && !self.activate => Above::Foreign(foreign),
            _ => Above::Nothing,
        }
    }

    /// The context that a new span is made in.
    fn base(&self, above: &Above, contextual: bool) -> Otel {
        if !self.activate {
            return Otel::Off;
        }
        let of_parent = match above {
            Above::Local(parent, _) if !contextual => {
                self.spans.with(*parent, |parent| parent.otel.any().cloned()).flatten()
            }
            _ => None,
        };
        Otel::Base(of_parent.unwrap_or_else(OtelContext::current))
    }

    /// The OpenTelemetry context with the span `id` in it.
    pub(super) fn otel_context(&self, id: u64) -> Option<OtelContext> {
        enum Made {
            Yes(OtelContext),
            From(Option<OtelContext>, SpanContext),
        }
        let made = self.spans.with(id, |live| match &live.otel {
            Otel::Own(context) => Made::Yes(context.clone()),
            Otel::Base(base) => Made::From(Some(base.clone()), live.context.clone()),
            Otel::Off => Made::From(None, live.context.clone()),
        })?;
        let (base, own) = match made {
            Made::Yes(context) => return Some(context),
            Made::From(base, own) => (base, own),
        };
        let trace_id = own.trace_id();
        let Some(base) = base else { return Some(OtelContext::current().with_remote_span_context(own)) };
        let context = base.with_remote_span_context(own);
        let kept = context.clone();
        let _old = self.spans.with(id, |live| {
            // Unless it got another parent meanwhile.
            (live.context.trace_id() == trace_id).then(|| std::mem::replace(&mut live.otel, Otel::Own(kept)))
        });
        Some(context)
    }

    /// Takes over what the fields of a span say.
    fn apply(&self, id: u64, fields: SpanFields<'_>) {
        let renamed = (fields.name.is_some() || fields.component.is_some())
            .then(|| self.spans.with(id, |live| live.series))
            .flatten()
            .map(|series| self.red.renamed(series, fields.component.as_deref(), fields.name.as_deref()));
        self.spans.with(id, |live| {
            live.series = renamed.unwrap_or(live.series);
            live.verdict = fields.status.map_or(live.verdict, Verdict::from);
            if let Some(recording) = &mut live.recording {
                recording.take(fields, &self.limits);
            }
        });
    }

    /// Takes in an event that happened in the span `id`, if the layer knows one.
    fn event(&self, event: &Event<'_>, id: Option<u64>) {
        let metadata = event.metadata();
        let failure = *metadata.level() == Level::ERROR;
        let logged = self.logs.wants(metadata);
        let at = clock::now();
        let span = id.and_then(|id| {
            self.spans.with(id, |live| {
                let (described, room) = match &mut live.recording {
                    Some(recording) => {
                        let room = recording.admits_event(&self.limits);
                        (room || failure, room)
                    }
                    None => {
                        if failure {
                            live.verdict.fail();
                        }
                        (false, false)
                    }
                };
                (described, room, Ids::from(&live.context), live.anchor)
            })
        });
        let (described, room) = span.map_or((false, false), |(described, room, ..)| (described, room));
        if !described && !logged {
            return;
        }
        // Outside the lock: values print themselves by code of the user.
        let mut fields = EventFields::new(self.logs.visit(), metadata.fields().len() + 2);
        event.record(&mut fields);
        if logged {
            let (ids, anchor) = span.map_or((None, None), |(.., ids, anchor)| (Some(ids), anchor));
            let wall = anchor.map_or_else(SystemTime::now, |anchor| anchor.wall(at));
            let around = Logs::around(ids.is_none() || self.activate && event.is_contextual());
            self.logs.event(metadata, &mut fields, ids, around, wall, described);
        }
        let (Some(id), true) = (id, described) else { return };
        self.logs.trim_for_span(&mut fields);
        let EventFields { message, error, .. } = &mut fields;
        let description = failure.then(|| error.take().or_else(|| message.clone()).unwrap_or_default());
        let name = message.take().map_or(Cow::Borrowed(metadata.name()), Cow::Owned);
        fields.add("level", metadata.level().as_str());
        fields.add("target", metadata.target());
        self.logs.trim_for_span(&mut fields);
        self.spans.with(id, |live| {
            let wall = live.anchor.map(|anchor| anchor.wall(at));
            if let Some(description) = description
                && live.verdict.fail()
                && live.verdict != Verdict::Error
                && let Some(recording) = &mut live.recording
            {
                recording.describe_failure(Cow::Owned(description));
            }
            if let (Some(recording), Some(wall), true) = (&mut live.recording, wall, room) {
                let event = SpanEvent::new(name, wall, fields.attributes, fields.dropped);
                recording.event(event, &self.limits);
            }
        });
    }

    fn close(&self, id: u64) {
        let Some(live) = self.spans.remove(id) else { return };
        let now = clock::now();
        let duration = now.since(live.start);
        let end = || live.anchor.map_or_else(SystemTime::now, |anchor| anchor.wall(now));
        let witness = Witness::sampled(&live.context, end);
        self.red.record(live.series, now, duration, live.verdict.failed(), witness);
        let Some(recording) = live.recording else { return };
        let data = recording.finish(live.context, live.parent, live.verdict, duration, self.scope.clone());
        // What a processor logs, and what it traces, is not for the pipeline.
        let _silence = activation::Silence::begin();
        if let Some((last, others)) = self.processors.split_last() {
            others.iter().for_each(|processor| processor.on_end(data.clone()));
            last.on_end(data);
        }
    }
}

impl From<StatusCode> for Verdict {
    fn from(status: StatusCode) -> Self {
        match status {
            StatusCode::Unset => Self::None,
            StatusCode::Ok => Self::Ok,
            StatusCode::Error => Self::Error,
        }
    }
}

impl<S> Layer<S> for SpanLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if metadata.is_span() && self.core.foreign_processors {
            Interest::sometimes()
        } else {
            Interest::always()
        }
    }

    /// The registry never forgets a span that closes while another one is closing, nor those above it. So none
    /// may be opened while a processor runs, and nobody knows what those of other people do.
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        !(metadata.is_span() && self.core.foreign_processors && activation::silent())
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, cx: Context<'_, S>) {
        let core = &*self.core;
        let metadata = attributes.metadata();
        let callsite = core.red.callsite(metadata);
        if callsite.ignored || activation::silent() || OtelContext::is_current_telemetry_suppressed() {
            return;
        }
        let generation = core.spans.generation();
        let above = core.above(attributes, id, &cx);
        let (trace_id, parent) = match &above {
            Above::Nothing => (core.ids.new_trace_id(), None),
            Above::Local(_, Inherited { context, .. }) | Above::Foreign(context) => {
                (context.trace_id(), Some(context))
            }
        };
        let sampled = core.sampling.keeps(trace_id, parent);
        let context = new_context(trace_id, core.ids.new_span_id(), sampled, parent);
        let otel = core.base(&above, attributes.is_contextual());
        let (local_parent, anchor) = match &above {
            Above::Local(id, inherited) => (*id, inherited.anchor),
            _ => (0, None),
        };
        let parent = parent
            .map_or(Parent::NONE, |parent| Parent { span_id: parent.span_id(), remote: parent.is_remote() });

        let start = clock::now();
        let mut live = Live {
            metadata,
            context,
            parent,
            local_parent,
            has_children: false,
            start,
            anchor,
            series: callsite.series,
            verdict: Verdict::None,
            otel,
            recording: None,
        };
        if sampled || callsite.special.any() {
            let mut fields = if sampled {
                SpanFields::all(&core.limits, Recording::capacity(metadata))
            } else {
                SpanFields::special(&core.limits)
            };
            attributes.record(&mut fields);
            if fields.name.is_some() || fields.component.is_some() {
                live.series =
                    core.red.renamed(callsite.series, fields.component.as_deref(), fields.name.as_deref());
            }
            live.verdict = fields.status.map_or(Verdict::None, Verdict::from);
            if sampled {
                let anchor = Anchor::or_new(anchor, start);
                let mut recording = Recording::new(metadata, anchor.wall(start));
                recording.take(fields, &core.limits);
                if core.places {
                    recording.place(metadata, &core.limits);
                }
                live.anchor = Some(anchor);
                live.recording = Some(Box::new(recording));
            }
        }
        core.spans.insert(id.into_u64(), live, generation);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, cx: Context<'_, S>) {
        let id = id.into_u64();
        if Question::answer_pending(&self.core, id) {
            return;
        }
        let Some((metadata, sampled)) =
            self.core.spans.with(id, |live| (live.metadata, live.recording.is_some()))
        else {
            return;
        };
        let _ = cx;
        if !sampled && !self.core.red.callsite(metadata).special.any() {
            return;
        }
        let limits = &self.core.limits;
        let mut fields =
            if sampled { SpanFields::all(limits, values.len()) } else { SpanFields::special(limits) };
        values.record(&mut fields);
        self.core.apply(id, fields);
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, _: Context<'_, S>) {
        let spans = &self.core.spans;
        let Some(to) = spans.with(follows.into_u64(), |live| live.context.clone()) else { return };
        spans.with(id.into_u64(), |live| {
            if let Some(recording) = &mut live.recording {
                recording.link(to, &self.core.limits);
            }
        });
    }

    fn on_event(&self, event: &Event<'_>, cx: Context<'_, S>) {
        if activation::silent() || of_the_pipeline(event.metadata().target()) {
            return;
        }
        let mut next = cx.event_span(event);
        let mut known = None;
        while let Some(span) = next {
            let id = span.id().into_u64();
            if self.core.spans.with(id, |_| ()).is_some() {
                known = Some(id);
                break;
            }
            next = span.parent();
        }
        self.core.event(event, known);
    }

    fn on_enter(&self, id: &Id, _: Context<'_, S>) {
        if self.core.activate {
            let id = id.into_u64();
            if let Some(context) = self.core.otel_context(id) {
                let span_id = context.span().span_context().span_id();
                activation::enter(self.core.key(), id, span_id, context);
            }
        }
    }

    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        if self.core.activate {
            activation::exit(self.core.key(), id.into_u64());
        }
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        self.core.close(id.into_u64());
    }
}

fn new_context(
    trace_id: TraceId,
    span_id: opentelemetry::trace::SpanId,
    sampled: bool,
    parent: Option<&SpanContext>,
) -> SpanContext {
    let (flags, state) = match parent {
        Some(parent) => (parent.trace_flags(), parent.trace_state().clone()),
        None => (TraceFlags::default(), TraceState::NONE),
    };
    SpanContext::new(trace_id, span_id, flags.with_sampled(sampled), false, state)
}

impl fmt::Debug for SpanLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpanLayer").field("sampling", &self.core.sampling).finish_non_exhaustive()
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core").finish_non_exhaustive()
    }
}
