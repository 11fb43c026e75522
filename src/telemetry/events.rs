//! What becomes of an event: an event of its span if that is recorded, a log record in any case that somebody wants
//! it, and a failure of the span if it is an error.

use std::borrow::Cow;

use opentelemetry::trace::Event as SpanEvent;
use tracing::span::Id;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::core::Core;
use super::error_type::error_type;
use super::fields::EventFields;
use super::logs::{Ids, Logs};
use super::spans::{Anchor, Verdict};
use crate::clock::{self, Tick};

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
    pub(super) fn event<S>(&self, event: &Event<'_>, cx: &Context<'_, S>)
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let failure = *event.metadata().level() == Level::ERROR;
        let logged = self.logs.wants(event.metadata());
        let span = self.span_of(event, cx, failure);
        let described = span.is_some_and(|(_, seen)| seen.described);
        if described || logged {
            self.take_event(event, span, logged, failure);
        } else if let (Some((id, _)), true) = (span, failure) {
            // Only how it went is of interest.
            self.fail(id, event);
        }
    }

    /// The innermost span that the layer knows of those that the event happened in.
    #[inline]
    fn span_of<S>(&self, event: &Event<'_>, cx: &Context<'_, S>, failure: bool) -> Option<(u64, Seen)>
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
        let parent = parent.map(Id::into_u64)?;
        if let Some(seen) = self.see(parent, failure) {
            return Some((parent, seen));
        }
        // A filter may have kept the layer from seeing some of them.
        let mut next = cx.event_span(event);
        while let Some(ancestor) = next {
            let id = ancestor.id().into_u64();
            if let Some(seen) = self.see(id, failure) {
                return Some((id, seen));
            }
            next = ancestor.parent();
        }
        None
    }

    #[inline]
    fn see(&self, id: u64, failure: bool) -> Option<Seen> {
        self.spans.with(id, |live| {
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

    fn fail(&self, id: u64, event: &Event<'_>) {
        let kind = error_type(event, &self.secrets);
        self.spans.with(id, |live| live.fail(kind));
    }

    fn take_event(&self, event: &Event<'_>, span: Option<(u64, Seen)>, logged: bool, failure: bool) {
        let metadata = event.metadata();
        let at = clock::now();
        let described = span.is_some_and(|(_, seen)| seen.described);
        // Outside the lock: values print themselves by code of the user.
        let mut fields = EventFields::new(&self.logs.visit, &self.secrets, metadata.fields().len() + 2);
        event.record(&mut fields);
        if logged {
            let seen = span.map(|(_, seen)| seen);
            let wall = seen.and_then(|seen| seen.anchor).unwrap_or_else(|| Anchor::or_new(None, at)).wall(at);
            let ahead = seen.is_none() || self.activate && event.is_contextual();
            let around = Logs::around(ahead, &self.secrets);
            self.logs.event(metadata, &mut fields, seen.map(|seen| seen.ids), around, wall, described);
        }
        match span {
            Some((id, seen)) if described => self.describe(event, id, seen, fields, at, failure),
            Some((id, _)) if failure => self.fail(id, event),
            _ => {}
        }
    }

    /// Puts an event into the recording of its span.
    fn describe(
        &self,
        event: &Event<'_>,
        id: u64,
        seen: Seen,
        mut fields: EventFields<'_>,
        at: Tick,
        failure: bool,
    ) {
        let metadata = event.metadata();
        let kind = if failure { error_type(event, &self.secrets) } else { None };
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
                && live.fail(kind)
                && live.verdict != Verdict::Error
                && let Some(recording) = &mut live.recording
            {
                recording.description = Some(Cow::Owned(description));
            }
            if let (Some(recording), Some(wall), true) = (&mut live.recording, wall, seen.room) {
                let event = SpanEvent::new(name, wall, fields.attributes, fields.dropped);
                recording.event(event, &self.limits);
            }
        });
    }
}
