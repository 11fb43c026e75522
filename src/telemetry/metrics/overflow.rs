//! Series that found no room.
//!
//! The SDK counts them together, in one series with the attribute `otel.metric.overflow`, and says so nowhere else.

use std::collections::HashSet;
use std::sync::Arc;

use opentelemetry::KeyValue;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData, ResourceMetrics};

use crate::base::sync::Mutex;
use crate::telemetry::counters::Counters;

/// More instruments are neither told nor counted.
const REMEMBERED: usize = 1_000;

/// The instruments of which series found no room.
#[derive(Debug)]
pub(super) struct Overflows {
    counters: Arc<Counters>,
    /// By scope and name.
    told: Mutex<HashSet<(String, String)>>,
}

impl Overflows {
    pub(super) fn new(counters: &Arc<Counters>) -> Self {
        Self { counters: Arc::clone(counters), told: Mutex::default() }
    }

    /// Takes in what was collected.
    pub(super) fn tell(&self, metrics: &ResourceMetrics) {
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
            let mut told = self.told.lock();
            let fits = told.len() < REMEMBERED;
            if !fits || !told.insert((scope.to_owned(), instrument.to_owned())) {
                return;
            }
        }
        self.counters.overflow();
        tracing::warn!(
            scope,
            instrument,
            "an instrument has more series than are kept: what is more is counted together, as `otel.metric.overflow`"
        );
    }
}

/// Whether one of the points stands for what found no room.
fn overflows<T>(data: &MetricData<T>) -> bool {
    let stands = |attribute: &KeyValue| attribute.key.as_str() == "otel.metric.overflow";
    match data {
        MetricData::Gauge(gauge) => gauge.data_points().any(|point| point.attributes().any(stands)),
        MetricData::Sum(sum) => sum.data_points().any(|point| point.attributes().any(stands)),
        MetricData::Histogram(it) => it.data_points().any(|point| point.attributes().any(stands)),
        MetricData::ExponentialHistogram(it) => it.data_points().any(|point| point.attributes().any(stands)),
    }
}
