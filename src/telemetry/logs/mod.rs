//! Events as log records.
//!
//! An event inside a span is an event of that span, if the span is sampled. It also is a log record, sampled or
//! not, with the ids of the span, and one outside of every span is that alone. The appender that OpenTelemetry
//! has for `tracing` (0.33.1) takes ids from the active context only, knows no limits and no redaction, and visits the
//! fields anew.

mod entry;
mod native;
mod settings;

use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use opentelemetry::trace::TraceContextExt;
use opentelemetry::{Context as OtelContext, KeyValue, StringValue, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::{LogExporter, SdkLoggerProvider};
use tracing::{Level, Metadata};

pub(super) use self::entry::{Entry, Ids};
use self::entry::{Occurrence, Records};
use self::native::Native;
pub use self::settings::LogSettings;
use super::activation;
use super::batch::Batch;
use super::correlation;
use super::counters::Counters;
use super::fields::EventFields;
use super::limits::SpanLimits;
use super::secrets::Secrets;
use crate::base::cut::shorten;
use crate::base::per_thread::PerThread;
use crate::base::sync::atomic::{AtomicU64, Ordering};

/// Where events go that become log records.
#[derive(Debug)]
pub(super) struct Logs {
    pub(super) batches: Vec<Arc<Batch<Entry>>>,
    settings: LogSettings,
    /// What the visit of an event's fields keeps, for its span and for its record.
    pub(super) visit: SpanLimits,
    /// What an event of a span may hold.
    of_spans: SpanLimits,
    emitted: PerThread<AtomicU64>,
}

/// What of the context of a thread concerns its events.
#[derive(Debug, Default)]
pub(super) struct Around {
    /// The span that was attached on top of those of the layer.
    attached: Option<Ids>,
    correlation_id: Option<StringValue>,
}

impl Logs {
    pub(super) fn new(batches: Vec<Arc<Batch<Entry>>>, settings: LogSettings, limits: SpanLimits) -> Self {
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

    /// Starts to hand entries to `exporter`.
    pub(super) fn start<E: LogExporter + 'static>(
        mut exporter: E,
        settings: &LogSettings,
        places: bool,
        counters: &Arc<Counters>,
        resource: &Resource,
    ) -> io::Result<Batch<Entry>> {
        exporter.set_resource(resource);
        Batch::start(Records::new(exporter, places), settings.batch, Arc::clone(counters))
    }

    /// Takes in records that are made through the OpenTelemetry API.
    pub(super) fn provider(self: &Arc<Self>, resource: &Resource, secrets: &Secrets) -> SdkLoggerProvider {
        let provider = SdkLoggerProvider::builder().with_resource(resource.clone());
        provider.with_log_processor(Native::new(self, secrets)).build()
    }

    /// How many records were handed to the exporters.
    pub(super) fn emitted(&self) -> u64 {
        self.emitted.iter().map(|lane| lane.load(Ordering::Relaxed)).sum()
    }

    /// Whether events of this callsite become log records.
    #[inline]
    pub(super) fn wants(&self, metadata: &Metadata<'_>) -> bool {
        !self.batches.is_empty() && *metadata.level() <= self.settings.level
    }

    /// What an event takes from the context of its thread. A span that is attached there stands closer than the
    /// layer's own if `ahead`; else it is for an event outside of those.
    pub(super) fn around(ahead: bool, secrets: &Secrets) -> Around {
        OtelContext::map_current(|context| {
            let span = context.span();
            let found = span.span_context();
            let attached = ahead && found.is_valid() && activation::last() != Some(found.span_id());
            Around {
                attached: attached.then(|| Ids::from(found)),
                correlation_id: correlation::shown(context, secrets),
            }
        })
    }

    /// Takes in an event that happened in `span`, with what the visit of its fields found. That is left in `fields`
    /// if it is `shared` with an event of the span.
    pub(super) fn event(
        &self,
        metadata: &'static Metadata<'static>,
        fields: &mut EventFields<'_>,
        span: Option<Ids>,
        around: Around,
        at: SystemTime,
        shared: bool,
    ) {
        fn keep<T: Clone + Default>(from: &mut T, shared: bool) -> T {
            if shared { from.clone() } else { std::mem::take(from) }
        }
        let mut occurrence = Occurrence {
            metadata,
            at,
            span: around.attached.or(span),
            message: keep(&mut fields.message, shared),
            error: if *metadata.level() == Level::ERROR { error(fields, shared) } else { None },
            attributes: keep(&mut fields.attributes, shared),
            dropped: fields.dropped,
            correlation_id: around.correlation_id,
            call: keep(&mut fields.call, shared),
        };
        let LogSettings { attributes, value_length, .. } = self.settings;
        if attributes < self.visit.event_attributes || value_length < self.visit.value_length {
            let Occurrence { attributes: found, dropped, message, error, .. } = &mut occurrence;
            trim(found, dropped, attributes, value_length);
            message.iter_mut().chain(error).for_each(|text| shorten(text, value_length));
        }
        self.push(Entry::Event(occurrence));
    }

    /// Leaves of `fields` what an event of a span may hold.
    pub(super) fn trim_for_span(&self, fields: &mut EventFields<'_>) {
        let SpanLimits { event_attributes, value_length, .. } = self.of_spans;
        if event_attributes < self.visit.event_attributes || value_length < self.visit.value_length {
            trim(&mut fields.attributes, &mut fields.dropped, event_attributes, value_length);
            let error = fields.error.as_mut().map(|told| &mut told.text);
            fields.message.iter_mut().chain(error).for_each(|text| shorten(text, value_length));
        }
    }

    fn push(&self, entry: Entry) {
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
        true => fields.error.as_ref().map(|told| told.text.clone()),
        false => fields.error.take().map(|told| told.text),
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
