//! The tracing layer: each span becomes a trace span if it is sampled, RED metrics and a vital sign always.

use std::fmt;
use std::sync::Arc;

use opentelemetry::Context as OtelContext;
use opentelemetry::trace::TraceContextExt;
use opentelemetry_sdk::trace::IdGenerator;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::activation;
use super::context::Question;
use super::core::{Above, Core, new_context};
use super::correlation;
use super::fields::SpanFields;
use super::recording::Recording;
use super::red::{Callsite, of_the_pipeline};
use super::sampling::Candidate;
use super::spans::{Anchor, Live};
use crate::clock;

/// Turns `tracing` spans into trace spans, metrics and health.
///
/// From [`Telemetry::span_layer`](super::Telemetry::span_layer); clones share everything. It works beside other
/// layers, under filters, as `Option<SpanLayer>` and inside `reload`.
///
/// # Fields that mean something
/// `otel.name`, `otel.kind` (`server`, `client`, …), `otel.status_code` (`ok`, `error`),
/// `otel.status_description`, `error.type`: the kind of failure, and `component`: what the span counts for; without
/// it, that is the crate of its target.
///
/// # Spans that are given up
/// A span that closes because a layer of this crate gives its work up for time, such as an attempt of a
/// [`Retry`](crate::Retry), has failed with the error type `campanile::TimedOut`, unless its status says that it went
/// well. One whose future or response body is dropped for another reason closes as it is: nothing tells why.
#[derive(Clone)]
pub struct SpanLayer {
    pub(super) core: Arc<Core>,
}

impl Core {
    /// The name by which the sampler knows a span.
    fn sampled_name(&self, attributes: &Attributes<'_>, callsite: Callsite) -> Option<String> {
        if !self.sampler.by_name || !callsite.special.any() {
            return None;
        }
        let mut fields = SpanFields::special(&self.limits, &self.secrets);
        attributes.record(&mut fields);
        fields.name
    }

    /// Takes over the fields that a span begins with, of which there are some worth a look.
    fn first_fields(&self, live: &mut Live, attributes: &Attributes<'_>, callsite: Callsite, recorded: bool) {
        let metadata = attributes.metadata();
        let mut fields = if recorded {
            SpanFields::all(&self.limits, &self.secrets, Recording::capacity(metadata))
        } else {
            SpanFields::special(&self.limits, &self.secrets)
        };
        fields.distinct = callsite.special.distinct();
        attributes.record(&mut fields);
        let labels = self.red.values(callsite, &self.secrets, |reader| attributes.record(reader));
        if fields.name.is_some() || fields.component.is_some() || labels.is_some() {
            let (component, name) = (fields.component.as_deref(), fields.name.as_deref());
            live.series = self.red.renamed(callsite.series, component, name, labels);
        }
        live.take_status(&fields);
        if recorded {
            let anchor = Anchor::or_new(live.anchor, live.start);
            live.anchor = Some(anchor);
            let recording =
                live.recording.insert(Recording::new(metadata, live.start, anchor.wall(live.start)));
            recording.take(fields, &self.limits);
            if self.places {
                recording.place(metadata, callsite.special.places(), &self.limits);
            }
            let shown = |context: &OtelContext| correlation::shown(context, &self.secrets);
            let id = live.otel.any().map_or_else(|| OtelContext::map_current(shown), shown);
            if let Some(id) = id {
                recording.belongs_to(id, &self.limits);
            }
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
    #[inline]
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        !(metadata.is_span() && self.core.foreign_processors && activation::silent())
    }

    #[inline]
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, cx: Context<'_, S>) {
        let core = &*self.core;
        let metadata = attributes.metadata();
        let callsite = core.red.callsite(metadata);
        if callsite.ignored || activation::silent() {
            return;
        }
        let Some(around) = Core::around() else { return };
        let generation = core.spans.generation();
        let above = core.above(attributes, id, around, &cx);
        let parent = above.context();
        let trace_id =
            parent.map_or_else(|| core.ids.new_trace_id(), opentelemetry::trace::SpanContext::trace_id);
        let own_name = core.sampled_name(attributes, callsite);
        let name = own_name.as_deref().unwrap_or(metadata.name());
        let sampled = core.sampler.keeps(Candidate { trace_id, parent, name });
        let recorded = sampled || core.tail.is_some();
        let context = new_context(trace_id, core.ids.new_span_id(), sampled, parent);

        let mut live = Live::new(id.into_u64(), metadata, context, clock::now(), callsite.series);
        if let Some(parent) = parent {
            live.parent_span_id = parent.span_id();
            live.parent_is_remote = parent.is_remote();
        }
        if let Above::Local(id, inherited) = &above {
            live.local_parent = *id;
            live.anchor = inherited.anchor;
        } else if let (Some(tail), false) = (&core.tail, sampled) {
            tail.begin(trace_id);
        }
        live.otel = core.otel(&above, attributes.is_contextual(), &live.context);
        if recorded || callsite.special.any() || callsite.labelled {
            core.first_fields(&mut live, attributes, callsite, recorded);
        }
        core.spans.insert(live, generation);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        let core = &*self.core;
        let id = id.into_u64();
        if Question::answer_pending(&self.core, id) {
            return;
        }
        let known = core.spans.with(id, |live| (live.metadata, live.recording.is_some()));
        let Some((metadata, recorded)) = known else { return };
        let callsite = core.red.callsite(metadata);
        if !recorded && !callsite.special.any() && !callsite.labelled {
            return;
        }
        let (limits, secrets) = (&core.limits, &core.secrets);
        let mut fields = if recorded {
            SpanFields::all(limits, secrets, values.len())
        } else {
            SpanFields::special(limits, secrets)
        };
        values.record(&mut fields);
        let labels = core.red.values(callsite, secrets, |reader| values.record(reader));
        core.apply(id, fields, labels);
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

    #[inline]
    fn on_event(&self, event: &Event<'_>, cx: Context<'_, S>) {
        if activation::silent() || of_the_pipeline(event.metadata().target()) {
            return;
        }
        self.core.event(event, &cx);
    }

    #[inline]
    fn on_enter(&self, id: &Id, _: Context<'_, S>) {
        if self.core.activate {
            let id = id.into_u64();
            if let Some(context) = self.core.otel_context(id) {
                activation::enter(self.core.key(), id, context.span().span_context().span_id(), context);
            }
        }
        if self.core.busy {
            let now = clock::now();
            self.core.spans.with(id.into_u64(), |live| live.recording.as_mut().map(|it| it.enter(now)));
        }
    }

    #[inline]
    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        if self.core.activate {
            activation::exit(self.core.key(), id.into_u64());
        }
        if self.core.busy {
            let now = clock::now();
            self.core.spans.with(id.into_u64(), |live| live.recording.as_mut().map(|it| it.exit(now)));
        }
    }

    #[inline]
    fn on_close(&self, id: Id, _: Context<'_, S>) {
        self.core.close(id.into_u64());
    }
}

impl fmt::Debug for SpanLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpanLayer").field("sampler", &self.core.sampler).finish_non_exhaustive()
    }
}
