//! Reports the metrics of all sources to OpenTelemetry. Without the feature `telemetry` it does nothing.

#[cfg(feature = "telemetry")]
pub(crate) use with_telemetry::{BoundDuration, DurationRecorder, publish, withdraw};
#[cfg(not(feature = "telemetry"))]
pub(crate) use without_telemetry::DurationRecorder;

#[cfg(feature = "telemetry")]
mod with_telemetry {
    use std::borrow::Cow;
    use std::sync::Arc;
    use std::time::Duration;

    use arc_swap::ArcSwapOption;
    use opentelemetry::metrics::{BoundHistogram, Histogram, Meter};
    use opentelemetry::{KeyValue, Value};

    use crate::base::sync::Mutex;
    use crate::base::sync::atomic::{AtomicU64, Ordering};
    use crate::signal::bounds::SECONDS;
    use crate::signal::exemplars::{ExemplarRegistry, ExemplarSpan, Exemplars};
    use crate::signal::gathered::key_value;
    use crate::signal::names::Metric;
    use crate::signal::trace::{SampledSpan, want_sampled_spans};

    /// The meter to which the layers record durations.
    static METER: ArcSwapOption<Published> = ArcSwapOption::const_empty();
    /// Incremented at each change of [`METER`]. A recorder that is bound to an older generation binds again.
    static GENERATION: AtomicU64 = AtomicU64::new(0);
    static CHANGE: Mutex<()> = Mutex::new(());

    struct Published {
        meter: Meter,
        /// `None` if exemplars are disabled.
        exemplars: Option<Arc<ExemplarRegistry>>,
    }

    /// Makes the layers of this process record to `meter` and `exemplars`. Returns the generation for [`withdraw`].
    pub(crate) fn publish(meter: Meter, exemplars: Option<Arc<ExemplarRegistry>>) -> u64 {
        let _one_at_a_time = CHANGE.lock();
        want_sampled_spans(exemplars.is_some());
        METER.store(Some(Arc::new(Published { meter, exemplars })));
        GENERATION.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Removes the meter of [`publish`], unless another one replaced it.
    pub(crate) fn withdraw(generation: u64) {
        let _one_at_a_time = CHANGE.lock();
        if GENERATION.load(Ordering::Acquire) == generation {
            METER.store(None);
            want_sampled_spans(false);
            GENERATION.fetch_add(1, Ordering::AcqRel);
        }
    }

    fn histogram(meter: &Meter, metric: &'static Metric) -> Histogram<f64> {
        meter
            .f64_histogram(metric.name)
            .with_unit(metric.unit)
            .with_description(metric.description)
            .with_boundaries(SECONDS.to_vec())
            .build()
    }

    /// Records durations with fixed attributes to the current meter.
    pub(crate) struct DurationRecorder {
        metric: &'static Metric,
        attributes: Box<[KeyValue]>,
        /// The last generation without a meter. In a process without a pipeline, `record` only compares it.
        idle: AtomicU64,
        /// Empty before the first duration, because a series without durations must not be reported.
        bound: ArcSwapOption<Bound>,
    }

    struct Bound {
        generation: u64,
        histogram: Option<BoundHistogram<f64>>,
        exemplars: Option<Arc<Exemplars>>,
    }

    impl Bound {
        #[inline]
        fn record(&self, duration: Duration, span: Option<SampledSpan>) {
            if let Some(histogram) = &self.histogram {
                histogram.record(duration.as_secs_f64());
            }
            if let (Some(exemplars), Some(span)) = (&self.exemplars, span) {
                exemplars.offer(duration, ExemplarSpan::now(span));
            }
        }
    }

    impl DurationRecorder {
        /// Makes a recorder. Each duration goes to the meter that is published when it is recorded.
        pub(crate) fn new(
            metric: &'static Metric,
            attributes: impl IntoIterator<Item = (&'static str, Cow<'static, str>)>,
        ) -> Self {
            Self {
                metric,
                attributes: key_values(attributes),
                idle: AtomicU64::new(0),
                bound: ArcSwapOption::empty(),
            }
        }

        #[inline]
        pub(crate) fn record(&self, duration: Duration) {
            self.record_in(duration, None);
        }

        /// Records a duration in `span`, which may become the exemplar of its bucket.
        #[inline]
        pub(crate) fn record_in(&self, duration: Duration, span: Option<SampledSpan>) {
            if self.idle.load(Ordering::Relaxed) != GENERATION.load(Ordering::Acquire) {
                self.record_bound(duration, span);
            }
        }

        fn record_bound(&self, duration: Duration, span: Option<SampledSpan>) {
            let bound = self.bound.load();
            match bound.as_deref() {
                Some(bound) if bound.generation == GENERATION.load(Ordering::Acquire) => {
                    bound.record(duration, span);
                }
                _ => self.rebind(duration, span),
            }
        }

        #[cold]
        fn rebind(&self, duration: Duration, span: Option<SampledSpan>) {
            let generation = GENERATION.load(Ordering::Acquire);
            let published = METER.load();
            let published = published.as_deref();
            let histogram = published.map(|it| histogram(&it.meter, self.metric).bind(&self.attributes));
            let exemplars = published.and_then(|it| it.exemplars.as_ref()).map(|registry| {
                let attributes: Vec<(&str, Cow<'_, str>)> =
                    self.attributes.iter().map(|it| (it.key.as_str(), it.value.as_str())).collect();
                registry.series(self.metric, attributes.iter().map(|(key, value)| (*key, &**value)))
            });
            self.bound.store(Some(Arc::new(Bound { generation, histogram, exemplars })));
            if published.is_none() {
                self.idle.store(generation, Ordering::Relaxed);
            }
            if let Some(bound) = self.bound.load().as_deref() {
                bound.record(duration, span);
            }
        }
    }

    /// The attribute of the series that takes the values of all series above the limit.
    const OVERFLOW: &str = "otel.metric.overflow";

    /// Records durations with fixed attributes to one meter.
    #[derive(Debug)]
    pub(crate) struct BoundDuration(BoundHistogram<f64>);

    impl BoundDuration {
        pub(crate) fn new<'a>(
            meter: &Meter,
            metric: &'static Metric,
            attributes: impl IntoIterator<Item = (&'a str, &'a str)>,
        ) -> Self {
            let attributes = attributes.into_iter();
            let attributes = attributes.map(|(key, value)| match key {
                // A boolean, as in the SDK, so that both use the same series.
                OVERFLOW => KeyValue::new(key.to_owned(), value == "true"),
                _ => KeyValue::new(key.to_owned(), value.to_owned()),
            });
            Self(histogram(meter, metric).bind(&sorted(attributes)))
        }

        #[inline]
        pub(crate) fn record(&self, duration: Duration) {
            self.0.record(duration.as_secs_f64());
        }
    }

    fn key_values(
        attributes: impl IntoIterator<Item = (&'static str, Cow<'static, str>)>,
    ) -> Box<[KeyValue]> {
        sorted(attributes.into_iter().map(|(key, value)| key_value(key, value)))
    }

    /// Sorts the attributes, because the SDK caches each set twice, as it is and sorted. Leaves out attributes with an
    /// empty value: Prometheus does not distinguish them from missing ones.
    fn sorted(attributes: impl Iterator<Item = KeyValue>) -> Box<[KeyValue]> {
        let has_value = |it: &KeyValue| !matches!(&it.value, Value::String(text) if text.as_str().is_empty());
        let mut attributes: Box<[KeyValue]> = attributes.filter(has_value).collect();
        attributes.sort_by(|a, b| a.key.cmp(&b.key));
        attributes
    }

    impl std::fmt::Debug for DurationRecorder {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.debug_struct("DurationRecorder")
                .field("metric", &self.metric.name)
                .field("attributes", &self.attributes)
                .finish_non_exhaustive()
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use crate::signal::names::{METRICS, WHOLE_NUMBERS};
        use opentelemetry::Value;

        #[test]
        fn attributes_have_the_types_of_the_conventions() {
            let value = |key, text: &str| key_value(key, Cow::Owned(text.to_owned())).value;
            assert_eq!(value("http.response.status_code", "404"), Value::I64(404));
            assert_eq!(value("server.port", "8080"), Value::I64(8_080));
            assert_eq!(value("error.type", "404"), Value::String("404".into()));
            for metric in METRICS {
                let values = key_values(metric.attributes.iter().map(|key| (*key, Cow::Borrowed("1"))));
                for KeyValue { key, value, .. } in &values {
                    let whole = WHOLE_NUMBERS.contains(&key.as_str());
                    assert_eq!(matches!(value, Value::I64(_)), whole, "{key} of {}", metric.name);
                }
            }
        }
    }
}

#[cfg(not(feature = "telemetry"))]
mod without_telemetry {
    use std::borrow::Cow;
    use std::time::Duration;

    use crate::signal::names::Metric;
    use crate::signal::trace::SampledSpan;

    /// Records nothing, because there is no pipeline.
    #[derive(Debug)]
    pub(crate) struct DurationRecorder;

    impl DurationRecorder {
        pub(crate) fn new(
            _: &'static Metric,
            _: impl IntoIterator<Item = (&'static str, Cow<'static, str>)>,
        ) -> Self {
            Self
        }

        #[inline]
        pub(crate) fn record(&self, _: Duration) {}

        #[inline]
        pub(crate) fn record_in(&self, _: Duration, _: Option<SampledSpan>) {}
    }
}
