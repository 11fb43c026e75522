//! Reports the metrics of all sources to OpenTelemetry. Without the feature `telemetry` it does nothing.

#[cfg(feature = "telemetry")]
pub(crate) use with_telemetry::{BoundDuration, DurationRecorder, instrument, publish, withdraw};
#[cfg(not(feature = "telemetry"))]
pub(crate) use without_telemetry::DurationRecorder;

#[cfg(feature = "telemetry")]
mod with_telemetry {
    use std::borrow::Cow;
    use std::sync::{Arc, LazyLock, Weak};
    use std::time::Duration;

    use arc_swap::ArcSwapOption;
    use opentelemetry::metrics::{AsyncInstrument, BoundHistogram, Histogram, Meter};
    use opentelemetry::{KeyValue, Value};

    use crate::base::panics::catch;
    use crate::base::sync::Mutex;
    use crate::base::sync::atomic::{AtomicU64, Ordering};
    use crate::signal::bounds::SECONDS;
    use crate::signal::exemplars::{ExemplarRegistry, ExemplarSpan, Exemplars};
    use crate::signal::gathered::{Gathered, Values, key_value};
    use crate::signal::names::{Kind, METRICS, Metric};
    use crate::signal::source::{self, Source};
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

    /// Creates an observable instrument on `meter` for every metric that is not a histogram. They report the values of all
    /// sources, and those of `own`, which belong to this meter only.
    pub(crate) fn instrument(meter: &Meter, own: &Arc<impl Source>) {
        let own: Weak<dyn Source> = Arc::downgrade(own) as Weak<dyn Source>;
        let readings = Arc::new(Readings { own, last: Mutex::new(Reading::default()) });
        for (place, metric) in METRICS.iter().enumerate() {
            let readings = Arc::clone(&readings);
            let callback = move |observer: &dyn AsyncInstrument<f64>| {
                for (value, attributes) in readings.take(place) {
                    observer.observe(value, &attributes);
                }
            };
            let (name, unit, description) = (metric.name, metric.unit, metric.description);
            macro_rules! observable {
                ($kind:ident) => {{
                    let builder = meter.$kind(name).with_unit(unit).with_description(description);
                    builder.with_callback(callback).build();
                }};
            }
            match metric.kind {
                Kind::Counter => observable!(f64_observable_counter),
                Kind::UpDownCounter => observable!(f64_observable_up_down_counter),
                Kind::Gauge => observable!(f64_observable_gauge),
                Kind::Histogram => {}
            }
        }
    }

    /// Whether a series reports its last value, by the place of the metric in the table. Two handles with the same name
    /// are one series. Their counts are added up. A gauge, or a metric that two samplers read from the same machine,
    /// reports the last value instead.
    static LAST_VALUE: LazyLock<Box<[bool]>> = LazyLock::new(|| {
        METRICS.iter().map(|metric| metric.kind == Kind::Gauge || metric.is_shared()).collect()
    });

    /// The values of the sources, kept for one collection.
    ///
    /// The SDK calls the instruments one by one, in the order in which they were made. The sources are read once for all of
    /// them.
    struct Readings {
        own: Weak<dyn Source>,
        last: Mutex<Reading>,
    }

    #[derive(Default)]
    struct Reading {
        /// Indexed like the table of metrics.
        values: Vec<Values>,
        /// The first place whose values were not taken yet.
        next: usize,
    }

    impl Reading {
        /// The values of the metric at `place`; `None` if they were taken already, because a new collection has begun.
        fn take(&mut self, place: usize) -> Option<Values> {
            if place < self.next {
                return None;
            }
            let values = self.values.get_mut(place)?;
            self.next = place + 1;
            Some(std::mem::take(values))
        }
    }

    impl Readings {
        fn take(&self, place: usize) -> Values {
            if let Some(values) = self.last.lock().take(place) {
                return values;
            }
            // A new collection begins. Read without the lock, because sources may be slow.
            let mut reading = self.read();
            let values = reading.take(place);
            *self.last.lock() = reading;
            values.unwrap_or_default()
        }

        fn read(&self) -> Reading {
            let mut gathered: Vec<Gathered> = METRICS.iter().map(|_| Gathered::default()).collect();
            let mut near = 0;
            let mut emit = |metric: &'static Metric, value: f64, attributes: &[(&'static str, &str)]| {
                // Sources emit their metrics roughly in the order of the table.
                let is = |known: &&Metric| std::ptr::eq(*known, metric);
                let (before, after) = METRICS.split_at(near);
                let place = after.iter().position(is).map(|place| near + place);
                let Some(place) = place.or_else(|| before.iter().position(is)) else { return };
                near = place;
                if let Some(gathered) = gathered.get_mut(place) {
                    if LAST_VALUE.get(place).is_some_and(|last_value| *last_value) {
                        gathered.push(value, attributes);
                    } else {
                        gathered.add(value, attributes);
                    }
                }
            };
            // A panic would end the collecting thread.
            let _ = catch(|| {
                source::observe(&mut emit);
                if let Some(own) = self.own.upgrade() {
                    own.observe(&mut emit);
                }
            });
            Reading { values: gathered.into_iter().map(|gathered| gathered.values).collect(), next: 0 }
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
        use crate::signal::names::WHOLE_NUMBERS;
        use crate::signal::source::Emit;
        use opentelemetry::Value;

        /// Emits the number of its observations for every metric.
        #[derive(Default)]
        struct Asked(AtomicU64);

        impl Source for Asked {
            #[allow(clippy::cast_precision_loss)]
            fn observe(&self, emit: &mut Emit<'_>) {
                let times = self.0.fetch_add(1, Ordering::Relaxed) + 1;
                METRICS.iter().for_each(|metric| emit(metric, times as f64, &[("own", "")]));
            }
        }

        /// Emits every metric twice, with the same attributes.
        struct Twins;

        impl Source for Twins {
            fn observe(&self, emit: &mut Emit<'_>) {
                for value in [3.0, 4.0] {
                    METRICS.iter().for_each(|metric| emit(metric, value, &[("twin", "")]));
                }
            }
        }

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

        #[test]
        fn counts_are_added_up_and_the_last_value_of_a_gauge_counts() {
            let own = Arc::new(Twins);
            let weak = Arc::downgrade(&own) as Weak<dyn Source>;
            let readings = Readings { own: weak, last: Mutex::default() };
            for (place, metric) in METRICS.iter().enumerate() {
                let mut values = readings.take(place);
                values.retain(|(_, attributes)| attributes[0].key.as_str() == "twin");
                let values: Vec<f64> = values.into_iter().map(|(value, _)| value).collect();
                let last_value = metric.kind == Kind::Gauge || metric.is_shared();
                let expected = if last_value { vec![3.0, 4.0] } else { vec![7.0] };
                assert_eq!(values, expected, "{}", metric.name);
            }
        }

        #[test]
        fn concurrent_collections_get_no_old_values() {
            let own = Arc::new(Asked::default());
            let weak = Arc::downgrade(&own) as Weak<dyn Source>;
            let readings = Readings { own: weak, last: Mutex::default() };
            let take = |place: usize| {
                let own = |(value, attributes): &(f64, Vec<KeyValue>)| {
                    (attributes[0].key.as_str() == "own").then_some(*value)
                };
                readings.take(place).iter().find_map(own)
            };
            let round = |places: std::ops::Range<usize>| places.map(take).collect::<Vec<_>>();
            assert_eq!(
                round(0..METRICS.len()),
                vec![Some(1.0); METRICS.len()],
                "the sources are read once for a collection"
            );
            assert_eq!(round(0..METRICS.len()), vec![Some(2.0); METRICS.len()]);
            // Another collection begins and ends during this one.
            assert_eq!(round(0..5), vec![Some(3.0); 5]);
            assert_eq!(round(0..METRICS.len()), vec![Some(4.0); METRICS.len()]);
            assert_eq!(round(5..METRICS.len()), vec![Some(5.0); METRICS.len() - 5]);
            assert_eq!(round(0..METRICS.len()), vec![Some(6.0); METRICS.len()]);
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
