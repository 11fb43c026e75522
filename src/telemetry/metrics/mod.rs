//! Metrics on their way out.
//!
//! The SDK aggregates every measurement once for each reader: a pipeline that is scraped and also pushes would pay
//! twice for each of them. So all who want totals share one reader, which is asked by whoever needs the numbers.
//! Only an exporter that wants differences has a reader of its own, for those begin anew with every question.
//!
//! Exporters are sent to from threads of ours: the SDK's periodic reader (0.33.1) waits for a flush without a limit, at its
//! end for five seconds whatever the limit is, and its thread ends with the first callback that panics.

mod guard;
mod overflow;
mod push;

use std::io;
use std::sync::{Arc, Weak};
use std::time::Duration;

use opentelemetry::InstrumentationScope;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::reader::MetricReader;
use opentelemetry_sdk::metrics::{
    Aggregation, Instrument, InstrumentKind, ManualReader, MeterProviderBuilder, Pipeline, Stream,
    Temporality,
};

pub use self::guard::Meters;
use self::overflow::Overflows;
pub(super) use self::push::{Push, PushSettings};
use super::counters::Counters;
use crate::signal::METRICS;
use crate::signal::capacity::series;

/// A reader that the SDK and those who ask it have in common.
#[derive(Clone, Debug)]
pub(super) struct Shared(Arc<dyn MetricReader>, Arc<Overflows>);

impl Shared {
    pub(super) fn new(reader: impl MetricReader, counters: &Arc<Counters>) -> Self {
        Self(Arc::new(reader), Arc::new(Overflows::new(counters)))
    }

    pub(super) fn of(temporality: Temporality, counters: &Arc<Counters>) -> Self {
        Self::new(ManualReader::builder().with_temporality(temporality).build(), counters)
    }
}

impl MetricReader for Shared {
    fn register_pipeline(&self, pipeline: Weak<Pipeline>) {
        self.0.register_pipeline(pipeline);
    }

    fn collect(&self, metrics: &mut ResourceMetrics) -> OTelSdkResult {
        self.0.collect(metrics)?;
        self.1.tell(metrics);
        Ok(())
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

/// The view of all instruments: those of the scope `own` keep as many series as this crate may make, and histograms are
/// exponential if that is wanted, of 160 buckets at most, as the specification has it.
pub(super) fn view(
    own: InstrumentationScope,
    exponential: bool,
    span_names: usize,
) -> impl Fn(&Instrument) -> Option<Stream> {
    move |instrument| {
        let exponential = exponential && instrument.kind() == InstrumentKind::Histogram;
        let metric = METRICS.iter().find(|metric| metric.name == instrument.name());
        let limit =
            metric.filter(|_| *instrument.scope() == own).and_then(|metric| series(metric, span_names));
        if !exponential && limit.is_none() {
            return None;
        }
        let mut stream = Stream::builder();
        if exponential {
            stream = stream.with_aggregation(Aggregation::Base2ExponentialHistogram {
                max_size: 160,
                max_scale: 20,
                record_min_max: true,
            });
        }
        if let Some(limit) = limit {
            stream = stream.with_cardinality_limit(limit);
        }
        stream.build().ok()
    }
}

/// Exporters, each with the reader that it asks.
pub(super) struct Outlets(Vec<(Outlet, Shared)>);

impl Outlets {
    /// Adds the readers that `outlets` need to `meters`; `scraped` is the one that there is already for totals.
    pub(super) fn connect(
        outlets: Vec<Outlet>,
        scraped: Option<Shared>,
        mut meters: MeterProviderBuilder,
        counters: &Arc<Counters>,
    ) -> (Self, MeterProviderBuilder) {
        let mut totals = scraped;
        if let Some(reader) = &totals {
            meters = meters.with_reader(reader.clone());
        }
        let mut connected = Vec::with_capacity(outlets.len());
        for outlet in outlets {
            let common = totals.clone().filter(|_| outlet.temporality == Temporality::Cumulative);
            let reader = common.unwrap_or_else(|| Shared::of(outlet.temporality, counters));
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use opentelemetry::KeyValue;
    use opentelemetry::metrics::MeterProvider;
    use opentelemetry_sdk::metrics::SdkMeterProvider;
    use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData};

    use super::*;

    #[test]
    fn p16_each_metric_keeps_as_many_series_as_this_crate_makes() {
        let scope = || InstrumentationScope::builder("campanile").build();
        let counters = Arc::new(Counters::default());
        let reader = Shared::of(Temporality::Cumulative, &counters);
        let view = view(scope(), false, 900);
        let provider = SdkMeterProvider::builder().with_reader(reader.clone()).with_view(view).build();
        let meter = provider.meter_with_scope(scope());
        // One metric of each limit, and one that is left to the SDK.
        let mut limits = BTreeMap::new();
        for metric in METRICS {
            limits.entry(series(metric, 900)).or_insert(*metric);
        }
        assert!(limits.len() >= 9, "{limits:?}");
        for (limit, metric) in &limits {
            let most = i64::try_from(limit.unwrap_or(2_000)).unwrap();
            let tell = move |observer: &dyn opentelemetry::metrics::AsyncInstrument<f64>| {
                (0..most).for_each(|which| observer.observe(1.0, &[KeyValue::new("which", which)]));
            };
            meter.f64_observable_gauge(metric.name).with_callback(tell).build();
        }
        let mut metrics = ResourceMetrics::default();
        reader.collect(&mut metrics).unwrap();
        let mut seen = BTreeMap::new();
        for metric in metrics.scope_metrics().flat_map(|scope| scope.metrics()) {
            if let AggregatedMetrics::F64(MetricData::Gauge(gauge)) = metric.data() {
                seen.insert(metric.name().to_owned(), gauge.data_points().count());
            }
        }
        for (limit, metric) in &limits {
            assert_eq!(seen.get(metric.name), Some(&limit.unwrap_or(2_000)), "{}", metric.name);
        }
        assert_eq!(counters.overflowed(), 0);
    }

    #[test]
    fn p16_what_finds_no_room_is_counted_and_an_instrument_of_a_program_keeps_what_the_sdk_keeps() {
        let own = InstrumentationScope::builder("campanile").build();
        let counters = Arc::new(Counters::default());
        let reader = Shared::of(Temporality::Cumulative, &counters);
        let view = view(own, false, 900);
        let provider = SdkMeterProvider::builder().with_reader(reader.clone()).with_view(view).build();
        let orders = provider.meter("shop").u64_counter("system.cpu.time").build();
        let collect = || {
            let mut metrics = ResourceMetrics::default();
            reader.collect(&mut metrics).unwrap();
            counters.overflowed()
        };
        (0..2_000).for_each(|order| orders.add(1, &[KeyValue::new("order", order)]));
        assert_eq!(collect(), 0);
        orders.add(1, &[KeyValue::new("order", 2_000)]);
        assert_eq!((collect(), collect()), (1, 1), "once");
    }
}
