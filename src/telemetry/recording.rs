//! What a sampled span gathers until it closes.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{Event, Link, SpanContext, SpanKind, Status};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use tracing::Metadata;

use super::fields::SpanFields;
use super::limits::SpanLimits;
use super::spans::{Anchor, Live, Parent, Verdict};
use crate::clock;

/// What a sampled span gathers until it closes.
#[derive(Debug)]
pub(super) struct Recording {
    name: Cow<'static, str>,
    kind: SpanKind,
    /// The wall clock at its start.
    start: SystemTime,
    attributes: Vec<KeyValue>,
    dropped_attributes: u32,
    events: SpanEvents,
    links: SpanLinks,
    description: Option<Cow<'static, str>>,
}

/// Attributes that say where in the code a span stands.
const PLACES: usize = 3;

impl Recording {
    /// Room that the visitor of the first fields should leave.
    pub(super) fn capacity(metadata: &Metadata<'_>) -> usize {
        metadata.fields().len() + PLACES
    }

    pub(super) fn new(metadata: &'static Metadata<'static>, start: SystemTime) -> Self {
        Self {
            name: Cow::Borrowed(metadata.name()),
            kind: SpanKind::Internal,
            start,
            attributes: Vec::new(),
            dropped_attributes: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            description: None,
        }
    }

    /// Says where in the code the span stands.
    pub(super) fn place(&mut self, metadata: &'static Metadata<'static>, limits: &SpanLimits) {
        let mut add = |attribute| limits.add(&mut self.attributes, &mut self.dropped_attributes, attribute);
        add(KeyValue::new("code.module.name", metadata.module_path().unwrap_or_else(|| metadata.target())));
        if let Some(file) = metadata.file() {
            add(KeyValue::new("code.file.path", file));
        }
        if let Some(line) = metadata.line() {
            add(KeyValue::new("code.line.number", i64::from(line)));
        }
    }

    /// Takes over what a visit of fields found.
    pub(super) fn take(&mut self, fields: SpanFields<'_>, limits: &SpanLimits) {
        if let Some(name) = fields.name {
            self.name = Cow::Owned(name);
        }
        if let Some(kind) = fields.kind {
            self.kind = kind;
        }
        if let Some(description) = fields.description {
            self.description = Some(Cow::Owned(description));
        }
        self.dropped_attributes = self.dropped_attributes.saturating_add(fields.dropped);
        if self.attributes.is_empty() {
            self.attributes = fields.attributes;
        } else {
            for attribute in fields.attributes {
                limits.add(&mut self.attributes, &mut self.dropped_attributes, attribute);
            }
        }
    }

    /// Whether another event is kept; one that is not is counted here.
    pub(super) fn admits_event(&mut self, limits: &SpanLimits) -> bool {
        let room = self.events.events.len() < limits.events;
        if !room {
            self.events.dropped_count = self.events.dropped_count.saturating_add(1);
        }
        room
    }

    pub(super) fn event(&mut self, event: Event, limits: &SpanLimits) {
        if self.admits_event(limits) {
            self.events.events.push(event);
        }
    }

    pub(super) fn describe_failure(&mut self, description: Cow<'static, str>) {
        self.description = Some(description);
    }

    pub(super) fn link(&mut self, to: SpanContext, limits: &SpanLimits) {
        if self.links.links.len() < limits.links {
            self.links.links.push(Link::with_context(to));
        } else {
            self.links.dropped_count = self.links.dropped_count.saturating_add(1);
        }
    }

    pub(super) fn finish(
        self,
        context: SpanContext,
        parent: Parent,
        verdict: Verdict,
        duration: Duration,
        scope: InstrumentationScope,
    ) -> SpanData {
        SpanData {
            span_context: context,
            parent_span_id: parent.span_id,
            parent_span_is_remote: parent.remote,
            span_kind: self.kind,
            name: self.name,
            start_time: self.start,
            end_time: self.start + duration,
            attributes: self.attributes,
            dropped_attributes_count: self.dropped_attributes,
            events: self.events,
            links: self.links,
            status: match verdict {
                Verdict::None => Status::Unset,
                Verdict::Ok => Status::Ok,
                Verdict::Failed | Verdict::Error => {
                    Status::Error { description: self.description.unwrap_or(Cow::Borrowed("")) }
                }
            },
            instrumentation_scope: scope,
        }
    }
}

impl Live {
    /// Starts or stops the recording, when a late parent changed whether the span is sampled.
    pub(super) fn follow_sampling(&mut self) {
        match (self.context.is_sampled(), self.recording.is_some()) {
            (true, false) => {
                let anchor = Anchor::or_new(self.anchor, clock::now());
                self.anchor = Some(anchor);
                self.recording = Some(Box::new(Recording::new(self.metadata, anchor.wall(self.start))));
            }
            (false, true) => self.recording = None,
            _ => {}
        }
    }
}
