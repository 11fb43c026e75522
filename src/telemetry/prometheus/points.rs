//! The points of metrics, as the SDK collected them.

use std::fmt;
use std::sync::Arc;

use opentelemetry::KeyValue;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, Metric, MetricData};

use crate::signal::{Exemplars, Kind};

/// A number in the type in which it was recorded, so that large integers are not rounded.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
}

impl Number {
    /// Whether a counter may have this value.
    pub(super) fn fits_counter(self) -> bool {
        match self {
            Self::Unsigned(_) => true,
            Self::Signed(value) => value >= 0,
            Self::Float(value) => value >= 0.0,
        }
    }
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Self::Unsigned(value)
    }
}

impl From<i64> for Number {
    fn from(value: i64) -> Self {
        Self::Signed(value)
    }
}

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned(value) => value.fmt(f),
            Self::Signed(value) => value.fmt(f),
            Self::Float(value) if value.is_nan() => f.write_str("NaN"),
            Self::Float(value) if value.is_infinite() => {
                f.write_str(if *value > 0.0 { "+Inf" } else { "-Inf" })
            }
            Self::Float(value) => value.fmt(f),
        }
    }
}

/// The value of a series.
#[derive(Clone, Debug)]
pub(super) enum Point {
    Number(Number),
    Histogram(Distribution),
}

#[derive(Clone, Debug)]
pub(super) struct Distribution {
    /// Upper bounds, and the number of values at or below each. The last bound is infinite.
    pub(super) buckets: Vec<(f64, u64)>,
    pub(super) sum: Number,
    pub(super) count: u64,
    pub(super) exemplars: Option<Arc<Exemplars>>,
}

/// A point and its attributes.
pub(super) type AttributedPoint<'a> = (Vec<&'a KeyValue>, Point);

/// The kind of the instrument of `metric`, and its points. `None` for an exponential histogram: the pipeline makes none
/// while Prometheus is on.
pub(super) fn read(metric: &Metric) -> Option<(Kind, Vec<AttributedPoint<'_>>)> {
    match metric.data() {
        AggregatedMetrics::F64(data) => read_data(data),
        AggregatedMetrics::U64(data) => read_data(data),
        AggregatedMetrics::I64(data) => read_data(data),
    }
}

/// The number type of `metric`.
pub(super) fn number_type(metric: &Metric) -> &'static str {
    match metric.data() {
        AggregatedMetrics::F64(_) => "f64",
        AggregatedMetrics::U64(_) => "u64",
        AggregatedMetrics::I64(_) => "i64",
    }
}

fn read_data<T: Copy + Into<Number>>(data: &MetricData<T>) -> Option<(Kind, Vec<AttributedPoint<'_>>)> {
    Some(match data {
        MetricData::Gauge(gauge) => {
            let points = gauge.data_points();
            let points = points.map(|it| (it.attributes().collect(), Point::Number(it.value().into())));
            (Kind::Gauge, points.collect())
        }
        MetricData::Sum(sum) => {
            let points = sum.data_points();
            let points = points.map(|it| (it.attributes().collect(), Point::Number(it.value().into())));
            (if sum.is_monotonic() { Kind::Counter } else { Kind::UpDownCounter }, points.collect())
        }
        MetricData::Histogram(histogram) => {
            let points = histogram.data_points().map(|it| {
                let mut below = 0;
                let counts = it.bounds().zip(it.bucket_counts()).map(|(bound, count)| {
                    below += count;
                    (bound, below)
                });
                let finite = counts.filter(|(bound, _)| bound.is_finite());
                let buckets = finite.chain([(f64::INFINITY, it.count())]).collect();
                let (sum, count) = (it.sum().into(), it.count());
                let point = Point::Histogram(Distribution { buckets, sum, count, exemplars: None });
                (it.attributes().collect(), point)
            });
            (Kind::Histogram, points.collect())
        }
        MetricData::ExponentialHistogram(_) => return None,
    })
}
