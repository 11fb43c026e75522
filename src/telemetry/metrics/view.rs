//! The view of all instruments.

use opentelemetry::InstrumentationScope;
use opentelemetry_sdk::metrics::{Aggregation, Instrument, InstrumentKind, Stream};

use crate::signal::METRICS;
use crate::signal::capacity::series;

/// The view of all instruments.
///
/// Metrics of the scope `own` may have as many series as this crate creates at most. With `exponential`, histograms are
/// exponential with at most 160 buckets, the default of the specification.
pub(in crate::telemetry) fn view(
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use opentelemetry::KeyValue;
    use opentelemetry::metrics::MeterProvider;
    use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData, ResourceMetrics};
    use opentelemetry_sdk::metrics::reader::MetricReader;
    use opentelemetry_sdk::metrics::{SdkMeterProvider, Temporality};

    use super::super::reader::SharedReader;
    use super::*;
    use crate::telemetry::counters::Counters;

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
