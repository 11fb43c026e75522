//! Events of `tracing`. An event is added to its span if that is recorded, becomes a log record if records are exported, and
//! fails its span if its level is `ERROR`. Warnings and errors are counted for their component in any case.

use std::borrow::Cow;

use opentelemetry::KeyValue;
use opentelemetry::trace::Event as SpanEvent;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::core::Core;
use super::error_type::error_type;
use super::event_component::event_component;
use super::fields::EventFields;
use super::logs::{Logs, SpanIds};
use super::origin::{Origin, log_call};
use super::red::SeriesId;
use super::spans::{ClockPair, SpanKey};
use super::status::SpanStatus;
use crate::base::clock::{self, Tick};

/// The state of the span of an event.
#[derive(Clone, Copy)]
struct SpanState {
    /// Whether the span needs the fields of the event.
    recorded: bool,
    /// Whether the span is below its limit of events.
    room: bool,
    ids: SpanIds,
    clocks: Option<ClockPair>,
    series: SeriesId,
}

impl Core {
    #[inline]
    pub(super) fn event<S>(&self, layer: u64, event: &Event<'_>, cx: &Context<'_, S>)
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let level = *event.metadata().level();
        let failure = level == Level::ERROR;
        let logged = self.logs.wants(event.metadata());
        let span = self.find_span(layer, event, cx, failure);
        if level <= Level::WARN {
            self.count_event(event, span.map(|(_, state)| state.series), failure);
        }
        let recorded = span.is_some_and(|(_, state)| state.recorded);
        if recorded || logged {
            self.take_event(event, span, logged, failure);
        } else if let (Some((key, _)), true) = (span, failure) {
            // An unsampled span needs the status only.
            self.fail(key, event);
        }
    }

    /// The innermost span of the event that the layer knows.
    #[inline]
    fn find_span<S>(
        &self,
        layer: u64,
        event: &Event<'_>,
        cx: &Context<'_, S>,
        failure: bool,
    ) -> Option<(SpanKey, SpanState)>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let current;
        let parent = if event.is_contextual() {
            current = cx.current_span();
            current.id()
        } else {
            event.parent()
        };
        let parent = SpanKey { layer, id: parent?.into_u64() };
        if let Some(state) = self.span_state(parent, failure) {
            return Some((parent, state));
        }
        // A filter may have hidden some ancestors from the layer.
        let mut next = cx.event_span(event);
        while let Some(ancestor) = next {
            let key = SpanKey { layer, id: ancestor.id().into_u64() };
            if let Some(state) = self.span_state(key, failure) {
                return Some((key, state));
            }
            next = ancestor.parent();
        }
        None
    }

    #[inline]
    fn span_state(&self, key: SpanKey, failure: bool) -> Option<SpanState> {
        self.spans.with(key, |open_span| {
            let (recorded, room) = match &mut open_span.recording {
                Some(recording) => {
                    let room = recording.admits_event(&self.limits);
                    (room || failure, room)
                }
                None => (false, false),
            };
            SpanState {
                recorded,
                room,
                ids: SpanIds::from(&open_span.context),
                clocks: open_span.clocks,
                series: open_span.series,
            }
        })
    }

    /// Counts a warning or an error, whether or not its span is sampled.
    #[cold]
    fn count_event(&self, event: &Event<'_>, span: Option<SeriesId>, error: bool) {
        let named = event_component(event, &self.secrets);
        let metadata = event.metadata();
        let call = if span.is_none() { log_call(event, &self.secrets) } else { None };
        let target = Origin::new(metadata, call.as_ref()).target;
        self.red.count_event(error, named.as_deref(), span, target);
    }

    fn fail(&self, key: SpanKey, event: &Event<'_>) {
        let kind = error_type(event, &self.secrets);
        self.spans.with(key, |open_span| open_span.fail(kind));
    }

    fn take_event(&self, event: &Event<'_>, span: Option<(SpanKey, SpanState)>, logged: bool, failure: bool) {
        let metadata = event.metadata();
        let at = clock::now();
        let recorded = span.is_some_and(|(_, state)| state.recorded);
        // Outside of the lock, because `Debug` and `Display` of values are user code.
        let mut fields = EventFields::of(event, &self.logs.visit, &self.secrets);
        if logged {
            let state = span.map(|(_, state)| state);
            let wall =
                state.and_then(|state| state.clocks).unwrap_or_else(|| ClockPair::or_new(None, at)).wall(at);
            let ahead = state.is_none() || self.activation && event.is_contextual();
            let around = Logs::event_context(ahead, &self.secrets);
            self.logs.event(metadata, &mut fields, state.map(|state| state.ids), around, wall, recorded);
        }
        match span {
            Some((key, state)) if recorded => self.record_event(event, key, state, fields, at, failure),
            Some((key, _)) if failure => self.fail(key, event),
            _ => {}
        }
    }

    /// Adds an event to the recording of its span.
    fn record_event(
        &self,
        event: &Event<'_>,
        key: SpanKey,
        state: SpanState,
        mut fields: EventFields<'_>,
        at: Tick,
        failure: bool,
    ) {
        let metadata = event.metadata();
        let kind = if failure { error_type(event, &self.secrets) } else { None };
        self.logs.trim_for_span(&mut fields);
        let error = fields.error.take();
        let exception = self.exception_events && error.is_some();
        if let (true, Some(error)) = (exception, &error) {
            name_exception(&mut fields, &error.text);
        }
        let description = match (failure, error) {
            (true, Some(error)) => Some(error.text),
            (true, None) => Some(fields.message.clone().unwrap_or_default()),
            (false, _) => None,
        };
        let name = match fields.message.take() {
            message if exception => {
                message.into_iter().for_each(|message| fields.add("message", message));
                Cow::Borrowed("exception")
            }
            Some(message) => Cow::Owned(message),
            None => Cow::Borrowed(metadata.name()),
        };
        fields.add("level", metadata.level().as_str());
        match fields.call.take() {
            Some(call) => self.add_origin(Origin::new(metadata, Some(&call)), &mut fields),
            None => fields.add("target", metadata.target()),
        }
        self.logs.trim_for_span(&mut fields);
        let of_span = if exception { of_exception(&fields.attributes) } else { Vec::new() };
        self.spans.with(key, |open_span| {
            let wall = open_span.clocks.map(|clocks| clocks.wall(at));
            if let Some(description) = description
                && open_span.fail(kind)
                && open_span.status != SpanStatus::Error
                && let Some(recording) = &mut open_span.recording
            {
                recording.description = Some(Cow::Owned(description));
            }
            let Some(recording) = &mut open_span.recording else { return };
            if exception {
                recording.add(of_span, &self.limits);
            }
            if let (Some(wall), true) = (wall, state.room) {
                let event = SpanEvent::new(name, wall, fields.attributes, fields.dropped);
                recording.event(event, &self.limits);
            }
        });
    }

    /// Adds target, module, file and line of a call of the `log` crate.
    #[cold]
    fn add_origin(&self, origin: Origin<'_>, fields: &mut EventFields<'_>) {
        fields.add("target", origin.target.to_owned());
        if self.code_attributes {
            origin.code_attributes(|key, value| fields.add(key, value));
        }
    }
}

/// Adds `exception.message`, which events below the level `ERROR` do not have yet.
#[cold]
fn name_exception(fields: &mut EventFields<'_>, text: &str) {
    if !fields.attributes.iter().any(|attribute| attribute.key.as_str() == "exception.message") {
        fields.add("exception.message", text.to_owned());
    }
}

/// The attributes `exception.*` of an event.
#[cold]
fn of_exception(attributes: &[KeyValue]) -> Vec<KeyValue> {
    attributes.iter().filter(|attribute| attribute.key.as_str().starts_with("exception.")).cloned().collect()
}
