//! Collects metrics and pushes them to exporters.
//!
//! The SDK aggregates every measurement once for each reader, so a pipeline that is scraped and also pushes would pay twice.
//! Therefore the scrape and all exporters of cumulative sums share one reader. An exporter of deltas has a reader of its own,
//! because each collection resets the deltas.
//!
//! The crate pushes from threads of its own. The SDK's periodic reader (0.33.1) waits for a flush without a limit, ignores
//! the limit of a shutdown and takes up to five seconds, and its thread ends with the first callback that panics.

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

/// A metric reader that several exporters and the scrape share. It reports instruments with too many series.
#[derive(Clone, Debug)]
pub(super) struct SharedReader(Arc<dyn MetricReader>, Arc<Overflows>);

impl SharedReader {
    pub(super) fn new(reader: impl MetricReader, counters: &Arc<Counters>) -> Self {
        Self(Arc::new(reader), Arc::new(Overflows::new(counters)))
    }

    pub(super) fn of(temporality: Temporality, counters: &Arc<Counters>) -> Self {
        Self::new(ManualReader::builder().with_temporality(temporality).build(), counters)
    }
}

impl MetricReader for SharedReader {
    fn register_pipeline(&self, pipeline: Weak<Pipeline>) {
        self.0.register_pipeline(pipeline);
    }

    fn collect(&self, metrics: &mut ResourceMetrics) -> OTelSdkResult {
        self.0.collect(metrics)?;
        self.1.report(metrics);
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

/// An exporter whose [`Push`] is not started yet.
pub(super) struct PendingPush {
    temporality: Temporality,
    start: Box<dyn FnOnce(SharedReader, PushSettings, Arc<Counters>) -> io::Result<Push> + Send>,
}

impl PendingPush {
    pub(super) fn new(exporter: impl PushMetricExporter) -> Self {
        Self {
            temporality: exporter.temporality(),
            start: Box::new(move |reader, settings, counters| {
                Push::start(exporter, reader, settings, counters)
            }),
        }
    }
}

/// The view of all instruments.
///
/// Metrics of the scope `own` may have as many series as this crate creates at most. With `exponential`, histograms are
/// exponential with at most 160 buckets, the default of the specification.
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

/// Exporters, each with its reader.
pub(super) struct PendingPushes(Vec<(PendingPush, SharedReader)>);

impl PendingPushes {
    /// Adds the readers of `pushes` to `meters`. `scraped` is the reader of the scrape, for cumulative sums.
    pub(super) fn connect(
        pushes: Vec<PendingPush>,
        scraped: Option<SharedReader>,
        mut meters: MeterProviderBuilder,
        counters: &Arc<Counters>,
    ) -> (Self, MeterProviderBuilder) {
        let mut cumulative = scraped;
        if let Some(reader) = &cumulative {
            meters = meters.with_reader(reader.clone());
        }
        let mut connected = Vec::with_capacity(pushes.len());
        for push in pushes {
            let shared = cumulative.clone().filter(|_| push.temporality == Temporality::Cumulative);
            let reader = shared.unwrap_or_else(|| SharedReader::of(push.temporality, counters));
            let known = cumulative.as_ref().is_some_and(|cumulative| Arc::ptr_eq(&cumulative.0, &reader.0));
            if !known {
                meters = std::mem::take(&mut meters).with_reader(reader.clone());
            }
            if push.temporality == Temporality::Cumulative {
                cumulative = Some(reader.clone());
            }
            connected.push((push, reader));
        }
        (Self(connected), meters)
    }

    /// Starts to push. The readers must be registered with a provider before.
    pub(super) fn start(
        self,
        settings: PushSettings,
        counters: &Arc<Counters>,
    ) -> io::Result<Vec<Arc<Push>>> {
        self.0
            .into_iter()
            .map(|(push, reader)| Ok(Arc::new((push.start)(reader, settings, Arc::clone(counters))?)))
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
    fn p35_each_metric_keeps_as_many_series_as_this_crate_creates() {
        let scope = || InstrumentationScope::builder("campanile").build();
        let counters = Arc::new(Counters::default());
        let reader = SharedReader::of(Temporality::Cumulative, &counters);
        let view = view(scope(), false, 900);
        let provider = SdkMeterProvider::builder().with_reader(reader.clone()).with_view(view).build();
        let meter = provider.meter_with_scope(scope());
        // One metric for each limit, and one with the limit of the SDK.
        let mut limits = BTreeMap::new();
        for metric in METRICS {
            limits.entry(series(metric, 900)).or_insert(*metric);
        }
        assert!(limits.len() >= 9, "{limits:?}");
        for (limit, metric) in &limits {
            let most = i64::try_from(limit.unwrap_or(2_000)).unwrap();
            let observe = move |observer: &dyn opentelemetry::metrics::AsyncInstrument<f64>| {
                (0..most).for_each(|which| observer.observe(1.0, &[KeyValue::new("which", which)]));
            };
            meter.f64_observable_gauge(metric.name).with_callback(observe).build();
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
    fn p35_overflows_are_counted_and_other_instruments_keep_the_limit_of_the_sdk() {
        let own = InstrumentationScope::builder("campanile").build();
        let counters = Arc::new(Counters::default());
        let reader = SharedReader::of(Temporality::Cumulative, &counters);
        let view = view(own, false, 900);
        let provider = SdkMeterProvider::builder().with_reader(reader.clone()).with_view(view).build();
        let orders = provider.meter("shop").u64_counter(crate::signal::SYSTEM_CPU_TIME.name).build();
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
