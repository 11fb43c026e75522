//! The data of a recorded span until it closes.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{Event, Link, SpanContext, SpanKind};
use opentelemetry::{KeyValue, StringValue};
use opentelemetry_sdk::trace::{SpanEvents, SpanLinks};
use tracing::Metadata;

use crate::base::clock::Tick;
use crate::telemetry::correlation;
use crate::telemetry::fields::SpanFields;
use crate::telemetry::limits::SpanLimits;

/// The data of a recorded span until it closes.
#[derive(Debug)]
pub(in crate::telemetry) struct Recording {
    pub(super) name: Cow<'static, str>,
    pub(super) kind: SpanKind,
    /// The start on the wall clock.
    pub(super) start: SystemTime,
    pub(super) attributes: Vec<KeyValue>,
    pub(super) dropped_attributes: u32,
    pub(super) events: SpanEvents,
    pub(super) links: SpanLinks,
    pub(in crate::telemetry) description: Option<Cow<'static, str>>,
    times: Times,
}

/// The number of attributes `code.*`.
const CODE_ATTRIBUTES: usize = 3;

impl Recording {
    /// The capacity for the first fields and the attributes `code.*`.
    pub(in crate::telemetry) fn capacity(metadata: &Metadata<'_>) -> usize {
        metadata.fields().len() + CODE_ATTRIBUTES
    }

    /// For a span that began at `tick`, which is `start` on the wall clock.
    pub(in crate::telemetry) fn new(
        metadata: &'static Metadata<'static>,
        tick: Tick,
        start: SystemTime,
    ) -> Self {
        Self {
            name: Cow::Borrowed(metadata.name()),
            kind: SpanKind::Internal,
            start,
            attributes: Vec::new(),
            dropped_attributes: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            description: None,
            times: Times { since: tick, entered: 0, busy: Duration::ZERO, idle: Duration::ZERO },
        }
    }

    /// Adds the attributes `code.*`. `declared` says whether a field may have set one.
    pub(in crate::telemetry) fn add_code_location(
        &mut self,
        metadata: &'static Metadata<'static>,
        declared: bool,
        limits: &SpanLimits,
    ) {
        let room = !declared && self.attributes.len() + CODE_ATTRIBUTES <= limits.attributes;
        let mut add = |attribute| {
            if room {
                self.attributes.push(attribute);
            } else {
                limits.add(&mut self.attributes, &mut self.dropped_attributes, attribute);
            }
        };
        add(KeyValue::new("code.module.name", metadata.module_path().unwrap_or_else(|| metadata.target())));
        if let Some(file) = metadata.file() {
            add(KeyValue::new("code.file.path", file));
        }
        if let Some(line) = metadata.line() {
            add(KeyValue::new("code.line.number", i64::from(line)));
        }
    }

    /// Adds the correlation id, unless a field has set it.
    pub(in crate::telemetry) fn set_correlation_id(
        &mut self,
        correlation_id: StringValue,
        limits: &SpanLimits,
    ) {
        if !self.attributes.iter().any(|attribute| attribute.key.as_str() == correlation::FIELD) {
            let attribute = KeyValue::new(correlation::FIELD, correlation_id);
            limits.add(&mut self.attributes, &mut self.dropped_attributes, attribute);
        }
    }

    /// Adds visited fields.
    pub(in crate::telemetry) fn add_fields(&mut self, fields: SpanFields<'_>, limits: &SpanLimits) {
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
            self.add(fields.attributes, limits);
        }
    }

    /// Adds attributes. Each replaces one with the same name.
    pub(in crate::telemetry) fn add(&mut self, attributes: Vec<KeyValue>, limits: &SpanLimits) {
        for attribute in attributes {
            limits.add(&mut self.attributes, &mut self.dropped_attributes, attribute);
        }
    }

    /// Returns whether there is room for another event, and counts it as dropped if not.
    pub(in crate::telemetry) fn admits_event(&mut self, limits: &SpanLimits) -> bool {
        let room = self.events.events.len() < limits.events;
        if !room {
            self.events.dropped_count = self.events.dropped_count.saturating_add(1);
        }
        room
    }

    pub(in crate::telemetry) fn event(&mut self, event: Event, limits: &SpanLimits) {
        if self.admits_event(limits) {
            self.events.events.push(event);
        }
    }

    pub(in crate::telemetry) fn link(&mut self, to: SpanContext, limits: &SpanLimits) {
        if self.links.links.len() < limits.links {
            self.links.links.push(Link::with_context(to));
        } else {
            self.links.dropped_count = self.links.dropped_count.saturating_add(1);
        }
    }

    /// Records that the span was entered.
    pub(in crate::telemetry) fn enter(&mut self, now: Tick) {
        if self.times.entered == 0 {
            let passed = self.times.pass(now);
            self.times.idle += passed;
        }
        self.times.entered += 1;
    }

    /// Records that the span was exited.
    pub(in crate::telemetry) fn exit(&mut self, now: Tick) {
        self.times.entered = self.times.entered.saturating_sub(1);
        if self.times.entered == 0 {
            let passed = self.times.pass(now);
            self.times.busy += passed;
        }
    }

    pub(super) fn add_times(&mut self, now: Tick, limits: &SpanLimits) {
        let passed = self.times.pass(now);
        self.times.idle += passed;
        for (key, time) in [("busy_ns", self.times.busy), ("idle_ns", self.times.idle)] {
            let nanos = i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
            limits.add(&mut self.attributes, &mut self.dropped_attributes, KeyValue::new(key, nanos));
        }
    }
}

/// How long a span was entered, by one thread or several, and how long not.
#[derive(Debug)]
struct Times {
    /// The last change.
    since: Tick,
    /// The number of threads that are inside.
    entered: u32,
    busy: Duration,
    idle: Duration,
}

impl Times {
    fn pass(&mut self, now: Tick) -> Duration {
        let passed = now.since(self.since);
        self.since = now;
        passed
    }
}
