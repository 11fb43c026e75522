//! The `tracing` layer. Each span is counted in RED metrics and vital signs, and exported if its trace is sampled.

use std::fmt;
use std::sync::Arc;

use opentelemetry::Context as OtelContext;
use opentelemetry::trace::TraceContextExt;
use opentelemetry_sdk::trace::IdGenerator;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Dispatch, Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::activation;
use super::console_ids::ConsoleIds;
use super::core::{Core, Parent, new_context};
use super::correlation;
use super::fields::SpanFields;
use super::handed_over::handed_over;
use super::origin::is_own_event;
use super::red::Callsite;
use super::sampling::Candidate;
use super::span_request::SpanRequest;
use super::spans::{ClockPair, LayerNumber, OpenSpan, Recording, SpanKey};
use super::suppress::is_suppressed;
use crate::base::clock;

/// Makes traces, metrics and health from `tracing` spans.
///
/// [`Telemetry::span_layer`](super::Telemetry::span_layer) returns it. It works beside other layers, under filters, as
/// `Option<SpanLayer>` and inside `reload`.
///
/// Several subscribers of a process may each have a layer, also clones of one layer. All of them use the same pipeline, and
/// each keeps the spans of its own subscriber. As in `tracing` itself, a span of one subscriber is never by itself the parent
/// of a span of another; [`SpanExt::set_parent`](super::SpanExt::set_parent) makes it the parent. A span must close while its
/// own subscriber is the default one, because the registry of `tracing-subscriber` 0.3.23 releases the parent
/// [in the default subscriber](https://github.com/tokio-rs/tracing/issues/1656).
///
/// # Special fields
/// | field | meaning |
/// |---|---|
/// | `otel.name` | The name of the span. |
/// | `otel.kind` | `server`, `client`, `producer`, `consumer` or `internal`. |
/// | `otel.status_code` | `ok` or 1, `error` or 2. |
/// | `otel.status_description` | The description of the status. |
/// | `error.type` | The type of the error. It fails the span. |
/// | `component` | The component that the span counts for. Default: the crate of the span's target. |
///
/// Each may be of any type.
///
/// # Timeouts
/// If a layer of this crate drops the work of a span because of a timeout, such as an attempt of a [`Retry`](crate::Retry),
/// the span fails with the error type `campanile::TimedOut`, unless its status is `ok`. A span whose future or response body
/// is dropped for another reason closes with the status that it has.
///
/// # Errors in events
/// An event of the level `ERROR` fails its span. A field `error` or `exception` is the description of the status and the
/// attribute `exception.message`. It may be written as `error = "text"`, `%error`, `?error` or
/// `error = &error as &(dyn Error + 'static)`. The last form also sets `exception.type`, if the type is known, and
/// `exception.stacktrace`, with up to 16 causes. Without such a field, the message is the description.
///
/// An event of the `log` crate that comes through `tracing-log` has the target, module, file and line of the call.
pub struct SpanLayer {
    pub(super) core: Arc<Core>,
    number: LayerNumber,
}

impl SpanLayer {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core, number: LayerNumber::default() }
    }

    /// The unique number of the layer. It gets one when it is added to a subscriber.
    pub(super) fn number(&self) -> u64 {
        self.number.get().unwrap_or_else(|| self.core.layers.register(&self.number))
    }

    #[inline]
    fn number_in<S>(&self, cx: &Context<'_, S>) -> u64
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        match self.number.get() {
            Some(number) => number,
            None => self.take_over(cx),
        }
    }

    /// The key of the span with this id in the registry of this layer.
    #[inline]
    fn key<S>(&self, id: &Id, cx: &Context<'_, S>) -> SpanKey
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        SpanKey { layer: self.number_in(cx), id: id.into_u64() }
    }

    /// Takes over the number and the spans of the layer that was in this registry before, if that layer is known. Its spans
    /// that have closed since are removed.
    #[cold]
    fn take_over<S>(&self, cx: &Context<'_, S>) -> u64
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let Core { layers, spans, .. } = &*self.core;
        // Called without a lock, because a lookup in the registry may close the span.
        let alive = |(key, metadata): &(SpanKey, &'static Metadata<'static>)| {
            cx.span(&Id::from_u64(key.id)).is_some_and(|span| std::ptr::eq(span.metadata(), *metadata))
        };
        let address = self.address();
        let (mut same_address, mut same_registry) = (None, Vec::new());
        for (number, dropped_at) in layers.dropped() {
            let own = spans.of_layer(number);
            let shared = own.iter().any(alive);
            if dropped_at == address && (shared || own.is_empty()) {
                same_address = Some(number);
            } else if shared {
                same_registry.push(number);
            }
        }
        let predecessor = match same_registry[..] {
            _ if same_address.is_some() => same_address,
            [one] => Some(one),
            _ => None,
        };
        let number = layers.take_over(&self.number, predecessor);
        if predecessor == Some(number) {
            let ended = spans.of_layer(number).into_iter().filter(|span| !alive(span));
            ended.for_each(|(key, _)| drop(spans.remove(key)));
        }
        number
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }
}

impl Clone for SpanLayer {
    /// Returns a layer of the same pipeline, for any subscriber.
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.core))
    }
}

impl Drop for SpanLayer {
    fn drop(&mut self) {
        let Some(number) = self.number.get() else { return };
        self.core
            .layers
            .remove(number, self.address())
            .into_iter()
            .for_each(|number| self.core.spans.remove_layer(number));
    }
}

impl Core {
    /// The name of a span for the rules of the sampler, if a field sets it.
    fn sampled_name(&self, attributes: &Attributes<'_>, callsite: Callsite) -> Option<String> {
        if !self.sampler.by_name || !callsite.special.has_control() {
            return None;
        }
        let mut fields = SpanFields::special(&self.limits, &self.secrets);
        attributes.record(&mut fields);
        fields.name
    }

    /// Applies the first fields of a span.
    fn first_fields(
        &self,
        open_span: &mut OpenSpan,
        attributes: &Attributes<'_>,
        callsite: Callsite,
        recorded: bool,
    ) {
        let metadata = attributes.metadata();
        let mut fields = if recorded {
            SpanFields::all(&self.limits, &self.secrets, Recording::capacity(metadata))
        } else {
            SpanFields::special(&self.limits, &self.secrets)
        };
        fields.distinct = callsite.special.is_distinct();
        attributes.record(&mut fields);
        let labels = self.red.values(callsite, &self.secrets, |reader| attributes.record(reader));
        if fields.name.is_some() || fields.component.is_some() || labels.is_some() {
            let (component, name) = (fields.component.as_deref(), fields.name.as_deref());
            open_span.series = self.red.renamed(callsite.series, component, name, labels);
        }
        open_span.take_status(&fields, self.exception_events);
        if recorded {
            let clocks = ClockPair::or_new(open_span.clocks, open_span.start);
            open_span.clocks = Some(clocks);
            let recording = open_span.recording.insert(Recording::new(
                metadata,
                open_span.start,
                clocks.wall(open_span.start),
            ));
            recording.add_fields(fields, &self.limits);
            // The place of a span that this crate makes tells nothing.
            if self.code_attributes && !callsite.of_requests {
                recording.add_code_location(metadata, callsite.special.has_code(), &self.limits);
            }
            let shown = |context: &OtelContext| correlation::shown(context, &self.secrets);
            let id = open_span.otel.any().map_or_else(|| OtelContext::map_current(shown), shown);
            if let Some(id) = id {
                recording.set_correlation_id(id, &self.limits);
            }
        }
    }
}

impl<S> Layer<S> for SpanLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_layer(&mut self, subscriber: &mut S) {
        let number = self.core.layers.register(&self.number);
        if let Some(ids) = (subscriber as &dyn Subscriber).downcast_ref::<ConsoleIds>() {
            ids.set_layer(&self.core, number);
        }
    }

    /// Called when all layers are present. The console layer may be outside of this one, or beside it.
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        let number = self.number();
        if let Some(ids) = dispatch.downcast_ref::<ConsoleIds>() {
            ids.set_layer(&self.core, number);
        }
        self.core.layers.set_console_found(number);
    }

    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if metadata.is_span() && self.core.user_processors {
            Interest::sometimes()
        } else {
            Interest::always()
        }
    }

    /// The registry leaks a span that closes while another one is closing, and its parents. So no span may be opened while a
    /// processor runs, and processors of the user may try to.
    #[inline]
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        !(metadata.is_span() && self.core.user_processors && is_suppressed())
    }

    #[inline]
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, cx: Context<'_, S>) {
        let core = &*self.core;
        let metadata = attributes.metadata();
        let callsite = core.red.callsite(metadata);
        if callsite.ignored || is_suppressed() {
            return;
        }
        let Some(attached) = Core::attached_unless_suppressed() else { return };
        let generation = core.spans.generation();
        let key = self.key(id, &cx);
        let parent = core.parent_of(key.layer, attributes, id, attached, &cx);
        let parent_context = parent.context();
        let trace_id = parent_context
            .map_or_else(|| core.ids.new_trace_id(), opentelemetry::trace::SpanContext::trace_id);
        let own_name = core.sampled_name(attributes, callsite);
        let name = own_name.as_deref().unwrap_or(metadata.name());
        let sampled = core.sampler.keeps(Candidate { trace_id, parent: parent_context, name });
        let recorded = sampled || core.tail.is_some();
        let context = new_context(trace_id, core.ids.new_span_id(), sampled, parent_context);

        let mut open_span = OpenSpan::new(key, metadata, context, clock::now(), callsite.series);
        if let Some(parent) = parent_context {
            open_span.parent_span_id = parent.span_id();
            open_span.parent_is_remote = parent.is_remote();
        }
        if let Parent::Local(key, inherited) = &parent {
            open_span.local_parent = key.id;
            open_span.clocks = inherited.clocks;
        } else if let (Some(tail), false) = (&core.tail, sampled) {
            tail.begin(trace_id);
        }
        open_span.otel = core.otel(&parent, attributes.is_contextual(), &open_span.context);
        let series = if callsite.of_requests { handed_over(core.red.id()) } else { None };
        open_span.series = series.unwrap_or(callsite.series);
        if recorded || (series.is_none() && callsite.special.has_control()) || callsite.labelled {
            core.first_fields(&mut open_span, attributes, callsite, recorded);
        }
        core.spans.insert(open_span, generation);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, cx: Context<'_, S>) {
        let core = &*self.core;
        let key = self.key(id, &cx);
        if values.is_empty() {
            return SpanRequest::answer_pending(core, key);
        }
        let known = core.spans.with(key, |open_span| (open_span.metadata, open_span.recording.is_some()));
        let Some((metadata, recorded)) = known else { return };
        let callsite = core.red.callsite(metadata);
        if !recorded && !callsite.special.has_control() && !callsite.labelled {
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
        core.apply(key, fields, labels);
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, cx: Context<'_, S>) {
        let spans = &self.core.spans;
        let Some(to) = spans.with(self.key(follows, &cx), |open_span| open_span.context.clone()) else {
            return;
        };
        spans.with(self.key(id, &cx), |open_span| {
            if let Some(recording) = &mut open_span.recording {
                recording.link(to, &self.core.limits);
            }
        });
    }

    #[inline]
    fn on_event(&self, event: &Event<'_>, cx: Context<'_, S>) {
        if is_suppressed() || is_own_event(event) {
            return;
        }
        self.core.event(self.number_in(&cx), event, &cx);
    }

    #[inline]
    fn on_enter(&self, id: &Id, cx: Context<'_, S>) {
        if self.core.activation {
            let key = self.key(id, &cx);
            if let Some(context) = self.core.otel_context(key) {
                activation::enter(key, context.span().span_context().span_id(), context);
            }
        }
        if self.core.busy_and_idle {
            let now = clock::now();
            self.core
                .spans
                .with(self.key(id, &cx), |open_span| open_span.recording.as_mut().map(|it| it.enter(now)));
        }
    }

    #[inline]
    fn on_exit(&self, id: &Id, cx: Context<'_, S>) {
        if self.core.activation {
            activation::exit(self.key(id, &cx));
        }
        if self.core.busy_and_idle {
            let now = clock::now();
            self.core
                .spans
                .with(self.key(id, &cx), |open_span| open_span.recording.as_mut().map(|it| it.exit(now)));
        }
    }

    #[inline]
    fn on_close(&self, id: Id, cx: Context<'_, S>) {
        self.core.close(self.key(&id, &cx));
    }
}

impl fmt::Debug for SpanLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpanLayer").field("sampler", &self.core.sampler).finish_non_exhaustive()
    }
}
