//! What becomes of an event: an event of its span if that is recorded, a log record if records are exported, and a
//! failure of the span if it is an error.

use std::borrow::Cow;

use opentelemetry::KeyValue;
use opentelemetry::trace::Event as SpanEvent;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::core::Core;
use super::error_type::error_type;
use super::fields::EventFields;
use super::logs::{Ids, Logs};
use super::origin::Origin;
use super::spans::{Anchor, Key};
use super::status::SpanStatus;
use crate::base::clock::{self, Tick};

/// What the span of an event wants of it.
#[derive(Clone, Copy)]
struct Seen {
    /// Whether it looks into the event at all.
    described: bool,
    /// Whether there is room for one more.
    room: bool,
    ids: Ids,
    anchor: Option<Anchor>,
}

impl Core {
    #[inline]
    pub(super) fn event<S>(&self, layer: u64, event: &Event<'_>, cx: &Context<'_, S>)
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let failure = *event.metadata().level() == Level::ERROR;
        let logged = self.logs.wants(event.metadata());
        let span = self.span_of(layer, event, cx, failure);
        let described = span.is_some_and(|(_, seen)| seen.described);
        if described || logged {
            self.take_event(event, span, logged, failure);
        } else if let (Some((key, _)), true) = (span, failure) {
            // Only how it went is of interest.
            self.fail(key, event);
        }
    }

    /// The innermost span that the layer knows of those that the event happened in.
    #[inline]
    fn span_of<S>(
        &self,
        layer: u64,
        event: &Event<'_>,
        cx: &Context<'_, S>,
        failure: bool,
    ) -> Option<(Key, Seen)>
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
        let parent = Key { layer, id: parent?.into_u64() };
        if let Some(seen) = self.see(parent, failure) {
            return Some((parent, seen));
        }
        // A filter may have kept the layer from seeing some of them.
        let mut next = cx.event_span(event);
        while let Some(ancestor) = next {
            let key = Key { layer, id: ancestor.id().into_u64() };
            if let Some(seen) = self.see(key, failure) {
                return Some((key, seen));
            }
            next = ancestor.parent();
        }
        None
    }

    #[inline]
    fn see(&self, key: Key, failure: bool) -> Option<Seen> {
        self.spans.with(key, |live| {
            let (described, room) = match &mut live.recording {
                Some(recording) => {
                    let room = recording.admits_event(&self.limits);
                    (room || failure, room)
                }
                None => (false, false),
            };
            Seen { described, room, ids: Ids::from(&live.context), anchor: live.anchor }
        })
    }

    fn fail(&self, key: Key, event: &Event<'_>) {
        let kind = error_type(event, &self.secrets);
        self.spans.with(key, |live| live.fail(kind));
    }

    fn take_event(&self, event: &Event<'_>, span: Option<(Key, Seen)>, logged: bool, failure: bool) {
        let metadata = event.metadata();
        let at = clock::now();
        let described = span.is_some_and(|(_, seen)| seen.described);
        // Outside the lock: values print themselves by code of the user.
        let mut fields = EventFields::of(event, &self.logs.visit, &self.secrets);
        if logged {
            let seen = span.map(|(_, seen)| seen);
            let wall = seen.and_then(|seen| seen.anchor).unwrap_or_else(|| Anchor::or_new(None, at)).wall(at);
            let ahead = seen.is_none() || self.activate && event.is_contextual();
            let around = Logs::around(ahead, &self.secrets);
            self.logs.event(metadata, &mut fields, seen.map(|seen| seen.ids), around, wall, described);
        }
        match span {
            Some((key, seen)) if described => self.describe(event, key, seen, fields, at, failure),
            Some((key, _)) if failure => self.fail(key, event),
            _ => {}
        }
    }

    /// Puts an event into the recording of its span.
    fn describe(
        &self,
        event: &Event<'_>,
        key: Key,
        seen: Seen,
        mut fields: EventFields<'_>,
        at: Tick,
        failure: bool,
    ) {
        let metadata = event.metadata();
        let kind = if failure { error_type(event, &self.secrets) } else { None };
        self.logs.trim_for_span(&mut fields);
        let told = fields.error.take();
        let exception = self.exception_events && told.is_some();
        if let (true, Some(told)) = (exception, &told) {
            name_exception(&mut fields, &told.text);
        }
        let description = match (failure, told) {
            (true, Some(told)) => Some(told.text),
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
        self.spans.with(key, |live| {
            let wall = live.anchor.map(|anchor| anchor.wall(at));
            if let Some(description) = description
                && live.fail(kind)
                && live.verdict != SpanStatus::Error
                && let Some(recording) = &mut live.recording
            {
                recording.description = Some(Cow::Owned(description));
            }
            let Some(recording) = &mut live.recording else { return };
            if exception {
                recording.add(of_span, &self.limits);
            }
            if let (Some(wall), true) = (wall, seen.room) {
                let event = SpanEvent::new(name, wall, fields.attributes, fields.dropped);
                recording.event(event, &self.limits);
            }
        });
    }

    /// Adds what a call of the `log` crate said about itself.
    #[cold]
    fn add_origin(&self, origin: Origin<'_>, fields: &mut EventFields<'_>) {
        fields.add("target", origin.target.to_owned());
        if self.places {
            origin.tell(|key, value| fields.add(key, value));
        }
    }
}

/// Says what an error said, also where the event is none of the level `ERROR`.
#[cold]
fn name_exception(fields: &mut EventFields<'_>, text: &str) {
    if !fields.attributes.iter().any(|attribute| attribute.key.as_str() == "exception.message") {
        fields.add("exception.message", text.to_owned());
    }
}

/// The attributes of an exception among those of an event.
#[cold]
fn of_exception(attributes: &[KeyValue]) -> Vec<KeyValue> {
    attributes.iter().filter(|attribute| attribute.key.as_str().starts_with("exception.")).cloned().collect()
}
