//! Metrics on their way out.
//!
//! The SDK aggregates every measurement once for each reader: a pipeline that is scraped and also pushes would pay
//! twice for each of them. So all who want totals share one reader, which is asked by whoever needs the numbers.
//! Only an exporter that wants differences has a reader of its own, for those begin anew with every question.
//!
//! Exporters are sent to from threads of ours: the SDK's periodic reader (0.33.1) waits for a flush without a limit, at its
//! end for five seconds whatever the limit is, and its thread ends with the first callback that panics.

mod guard;
mod push;

use std::io;
use std::sync::{Arc, Weak};
use std::time::Duration;

use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::reader::MetricReader;
use opentelemetry_sdk::metrics::{
    Aggregation, Instrument, InstrumentKind, ManualReader, MeterProviderBuilder, Pipeline, Stream,
    Temporality,
};

pub use self::guard::Meters;
pub(super) use self::push::{Push, PushSettings};
use super::counters::Counters;

/// A reader that the SDK and those who ask it have in common.
#[derive(Clone, Debug)]
pub(super) struct Shared(Arc<dyn MetricReader>);

impl Shared {
    pub(super) fn new(reader: impl MetricReader) -> Self {
        Self(Arc::new(reader))
    }

    pub(super) fn of(temporality: Temporality) -> Self {
        Self::new(ManualReader::builder().with_temporality(temporality).build())
    }
}

impl MetricReader for Shared {
    fn register_pipeline(&self, pipeline: Weak<Pipeline>) {
        self.0.register_pipeline(pipeline);
    }

    fn collect(&self, metrics: &mut ResourceMetrics) -> OTelSdkResult {
        self.0.collect(metrics)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn temporality(&self, kind: InstrumentKind) -> Temporality {
        self.0.temporality(kind)
    }
}

/// An exporter that is sent metrics at intervals, not started yet.
pub(super) struct Outlet {
    temporality: Temporality,
    start: Box<dyn FnOnce(Shared, PushSettings, Arc<Counters>) -> io::Result<Push> + Send>,
}

impl Outlet {
    pub(super) fn new(exporter: impl PushMetricExporter) -> Self {
        Self {
            temporality: exporter.temporality(),
            start: Box::new(move |reader, settings, counters| {
                Push::start(exporter, reader, settings, counters)
            }),
        }
    }
}

/// The view that makes exponential histograms of all: 160 buckets at most, as the specification has it.
pub(super) fn exponential(instrument: &Instrument) -> Option<Stream> {
    if instrument.kind() != InstrumentKind::Histogram {
        return None;
    }
    let aggregation =
        Aggregation::Base2ExponentialHistogram { max_size: 160, max_scale: 20, record_min_max: true };
    Stream::builder().with_aggregation(aggregation).build().ok()
}

/// Exporters, each with the reader that it asks.
pub(super) struct Outlets(Vec<(Outlet, Shared)>);

impl Outlets {
    /// Adds the readers that `outlets` need to `meters`; `scraped` is the one that there is already for totals.
    pub(super) fn connect(
        outlets: Vec<Outlet>,
        scraped: Option<Shared>,
        mut meters: MeterProviderBuilder,
    ) -> (Self, MeterProviderBuilder) {
        let mut totals = scraped;
        if let Some(reader) = &totals {
            meters = meters.with_reader(reader.clone());
        }
        let mut connected = Vec::with_capacity(outlets.len());
        for outlet in outlets {
            let common = totals.clone().filter(|_| outlet.temporality == Temporality::Cumulative);
            let reader = common.unwrap_or_else(|| Shared::of(outlet.temporality));
            let known = totals.as_ref().is_some_and(|totals| Arc::ptr_eq(&totals.0, &reader.0));
            if !known {
                meters = std::mem::take(&mut meters).with_reader(reader.clone());
            }
            if outlet.temporality == Temporality::Cumulative {
                totals = Some(reader.clone());
            }
            connected.push((outlet, reader));
        }
        (Self(connected), meters)
    }

    /// Starts to send, once the readers have their provider.
    pub(super) fn start(
        self,
        settings: PushSettings,
        counters: &Arc<Counters>,
    ) -> io::Result<Vec<Arc<Push>>> {
        self.0
            .into_iter()
            .map(|(outlet, reader)| Ok(Arc::new((outlet.start)(reader, settings, Arc::clone(counters))?)))
            .collect()
    }
}
