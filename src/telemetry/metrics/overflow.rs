//! Reports instruments that reached their limit of series.
//!
//! The SDK aggregates further series in one with the attribute `otel.metric.overflow`. It reports that nowhere else.

use std::collections::HashSet;
use std::sync::Arc;

use opentelemetry::KeyValue;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData, ResourceMetrics};

use crate::base::sync::Mutex;
use crate::telemetry::counters::Counters;

/// Upper bound of the instruments that are remembered. Further ones are neither logged nor counted.
const MAX_INSTRUMENTS: usize = 1_000;

/// The instruments that reached their limit of series.
#[derive(Debug)]
pub(super) struct Overflows {
    counters: Arc<Counters>,
    /// By scope and name. They were logged and counted.
    known: Mutex<HashSet<(String, String)>>,
}

impl Overflows {
    pub(super) fn new(counters: &Arc<Counters>) -> Self {
        Self { counters: Arc::clone(counters), known: Mutex::default() }
    }

    /// Logs and counts the instruments of `metrics` that reached their limit, each once.
    pub(super) fn report(&self, metrics: &ResourceMetrics) {
        for scope in metrics.scope_metrics() {
            for metric in scope.metrics() {
                let overflows = match metric.data() {
                    AggregatedMetrics::F64(data) => overflows(data),
                    AggregatedMetrics::U64(data) => overflows(data),
                    AggregatedMetrics::I64(data) => overflows(data),
                };
                if overflows {
                    self.overflowed(scope.scope().name(), metric.name());
                }
            }
        }
    }

    #[cold]
    fn overflowed(&self, scope: &str, instrument: &str) {
        {
            let mut known = self.known.lock();
            let fits = known.len() < MAX_INSTRUMENTS;
            if !fits || !known.insert((scope.to_owned(), instrument.to_owned())) {
                return;
            }
        }
        self.counters.overflow();
        tracing::warn!(
            scope,
            instrument,
            "an instrument reached its limit of series: further ones are aggregated in one with the attribute \
             `otel.metric.overflow`"
        );
    }
}

/// Whether one of the points aggregates the series beyond the limit.
fn overflows<T>(data: &MetricData<T>) -> bool {
    let marked = |attribute: &KeyValue| attribute.key.as_str() == "otel.metric.overflow";
    match data {
        MetricData::Gauge(gauge) => gauge.data_points().any(|point| point.attributes().any(marked)),
        MetricData::Sum(sum) => sum.data_points().any(|point| point.attributes().any(marked)),
        MetricData::Histogram(it) => it.data_points().any(|point| point.attributes().any(marked)),
        MetricData::ExponentialHistogram(it) => it.data_points().any(|point| point.attributes().any(marked)),
    }
}
