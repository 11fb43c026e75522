//! Makes log records of events, and hands them to the exporters.

use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use opentelemetry::trace::TraceContextExt;
use opentelemetry::{Context as OtelContext, KeyValue, StringValue, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::LogExporter;
use tracing::{Level, Metadata};

use super::entry::{Entry, EventRecord, RecordExporter, SpanIds};
use super::settings::LogSettings;
use crate::base::cut::shorten;
use crate::base::per_thread::PerThread;
use crate::base::sync::atomic::{AtomicU64, Ordering};
use crate::telemetry::activation;
use crate::telemetry::batch::BatchProcessor;
use crate::telemetry::correlation;
use crate::telemetry::counters::Counters;
use crate::telemetry::fields::EventFields;
use crate::telemetry::limits::SpanLimits;
use crate::telemetry::secrets::Secrets;

/// Turns events into log records and queues them for the exporters.
#[derive(Debug)]
pub(in crate::telemetry) struct Logs {
    pub(in crate::telemetry) batches: Vec<Arc<BatchProcessor<Entry>>>,
    pub(super) settings: LogSettings,
    /// Limits while the fields of an event are visited: the larger ones of the span's event and of the log record.
    pub(in crate::telemetry) visit: SpanLimits,
    /// Limits of events of spans.
    of_spans: SpanLimits,
    emitted: PerThread<AtomicU64>,
}

/// The parts of a thread's OpenTelemetry context that go into a log record.
#[derive(Debug, Default)]
pub(in crate::telemetry) struct EventContext {
    /// A span that was attached through the OpenTelemetry API and is inside the spans of the layer.
    attached: Option<SpanIds>,
    correlation_id: Option<StringValue>,
}

impl Logs {
    pub(in crate::telemetry) fn new(
        batches: Vec<Arc<BatchProcessor<Entry>>>,
        settings: LogSettings,
        limits: SpanLimits,
    ) -> Self {
        let visit = if batches.is_empty() {
            limits
        } else {
            SpanLimits {
                event_attributes: limits.event_attributes.max(settings.attributes),
                value_length: limits.value_length.max(settings.value_length),
                ..limits
            }
        };
        Self { batches, settings, visit, of_spans: limits, emitted: PerThread::new() }
    }

    /// Starts a queue of entries for `exporter`.
    pub(in crate::telemetry) fn start<E: LogExporter + 'static>(
        mut exporter: E,
        settings: &LogSettings,
        code_attributes: bool,
        counters: &Arc<Counters>,
        resource: &Resource,
    ) -> io::Result<BatchProcessor<Entry>> {
        exporter.set_resource(resource);
        BatchProcessor::start(
            RecordExporter::new(exporter, code_attributes),
            settings.batch,
            Arc::clone(counters),
        )
    }

    /// The number of records that were queued.
    pub(in crate::telemetry) fn emitted(&self) -> u64 {
        self.emitted.iter().map(|lane| lane.load(Ordering::Relaxed)).sum()
    }

    /// Whether events of this callsite become log records.
    #[inline]
    pub(in crate::telemetry) fn wants(&self, metadata: &Metadata<'_>) -> bool {
        !self.batches.is_empty() && *metadata.level() <= self.settings.level
    }

    /// Reads the OpenTelemetry context of the thread. `ahead` says whether an attached span is inside the span of the layer.
    pub(in crate::telemetry) fn event_context(ahead: bool, secrets: &Secrets) -> EventContext {
        OtelContext::map_current(|context| {
            let span = context.span();
            let found = span.span_context();
            let attached = ahead && found.is_valid() && activation::innermost() != Some(found.span_id());
            EventContext {
                attached: attached.then(|| SpanIds::from(found)),
                correlation_id: correlation::shown(context, secrets),
            }
        })
    }

    /// Queues the log record of an event in `span`. `fields` are copied if they are `shared` with an event of the span, and
    /// moved otherwise.
    pub(in crate::telemetry) fn event(
        &self,
        metadata: &'static Metadata<'static>,
        fields: &mut EventFields<'_>,
        span: Option<SpanIds>,
        context: EventContext,
        at: SystemTime,
        shared: bool,
    ) {
        fn keep<T: Clone + Default>(from: &mut T, shared: bool) -> T {
            if shared { from.clone() } else { std::mem::take(from) }
        }
        let mut record = EventRecord {
            metadata,
            at,
            span: context.attached.or(span),
            message: keep(&mut fields.message, shared),
            error: if *metadata.level() == Level::ERROR { error(fields, shared) } else { None },
            attributes: keep(&mut fields.attributes, shared),
            dropped: fields.dropped,
            correlation_id: context.correlation_id,
            call: keep(&mut fields.call, shared),
        };
        let LogSettings { attributes, value_length, .. } = self.settings;
        if attributes < self.visit.event_attributes || value_length < self.visit.value_length {
            let EventRecord { attributes: found, dropped, message, error, .. } = &mut record;
            trim(found, dropped, attributes, value_length);
            message.iter_mut().chain(error).for_each(|text| shorten(text, value_length));
        }
        self.push(Entry::Event(record));
    }

    /// Trims `fields` to the limits of an event of a span.
    pub(in crate::telemetry) fn trim_for_span(&self, fields: &mut EventFields<'_>) {
        let SpanLimits { event_attributes, value_length, .. } = self.of_spans;
        if event_attributes < self.visit.event_attributes || value_length < self.visit.value_length {
            trim(&mut fields.attributes, &mut fields.dropped, event_attributes, value_length);
            let error = fields.error.as_mut().map(|error| &mut error.text);
            fields.message.iter_mut().chain(error).for_each(|text| shorten(text, value_length));
        }
    }

    pub(super) fn push(&self, entry: Entry) {
        self.emitted.own(AtomicU64::default).fetch_add(1, Ordering::Relaxed);
        if let Some((last, others)) = self.batches.split_last() {
            others.iter().for_each(|batch| batch.push(entry.clone()));
            last.push(entry);
        }
    }
}

/// The text of the error of an event. It stays in `fields` if it is `shared`.
#[cold]
fn error(fields: &mut EventFields<'_>, shared: bool) -> Option<String> {
    match shared {
        true => fields.error.as_ref().map(|error| error.text.clone()),
        false => fields.error.take().map(|error| error.text),
    }
}

fn trim(attributes: &mut Vec<KeyValue>, dropped: &mut u32, count: usize, length: usize) {
    let surplus = attributes.len().saturating_sub(count);
    *dropped = dropped.saturating_add(u32::try_from(surplus).unwrap_or(u32::MAX));
    attributes.truncate(count);
    for attribute in attributes {
        if let Value::String(text) = &attribute.value
            && text.as_str().len() > length
        {
            let mut text = text.as_str().to_owned();
            shorten(&mut text, length);
            attribute.value = text.into();
        }
    }
}
