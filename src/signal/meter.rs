//! The way from the table of metrics into OpenTelemetry, and nothing at all without it.

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
    use crate::signal::exemplars::{Book, Exemplars, Witness};
    use crate::signal::gathered::{Gathered, Values, key_value};
    use crate::signal::names::{Kind, METRICS, Metric};
    use crate::signal::source::{self, Source};
    use crate::signal::trace::{SampledSpan, want_sampled_spans};

    /// The meter that durations of the layers go to.
    static METER: ArcSwapOption<Published> = ArcSwapOption::const_empty();
    /// Grows at each change of [`METER`]; what is bound to an older one binds again.
    static GENERATION: AtomicU64 = AtomicU64::new(0);
    static CHANGE: Mutex<()> = Mutex::new(());

    struct Published {
        meter: Meter,
        /// Where exemplars go, if somebody wants them.
        exemplars: Option<Arc<Book>>,
    }

    /// Makes `meter` the one that the layers of this process record to, and `exemplars` where they find theirs; gives
    /// what [`withdraw`] needs.
    pub(crate) fn publish(meter: Meter, exemplars: Option<Arc<Book>>) -> u64 {
        let _one_at_a_time = CHANGE.lock();
        want_sampled_spans(exemplars.is_some());
        METER.store(Some(Arc::new(Published { meter, exemplars })));
        GENERATION.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Takes the meter of [`publish`] away, unless another has taken its place.
    pub(crate) fn withdraw(generation: u64) {
        let _one_at_a_time = CHANGE.lock();
        if GENERATION.load(Ordering::Acquire) == generation {
            METER.store(None);
            want_sampled_spans(false);
            GENERATION.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Makes an observable instrument on `meter` for every metric that is not a distribution. It tells what
    /// every source tells, and what `own` tells, which counts for this meter alone.
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

    /// By the place of the metric in the table: two handles of one name are one series, in which what counts adds up;
    /// of gauges the last one stands, and of what two samplers read of one machine.
    static LAST_STANDS: LazyLock<Box<[bool]>> = LazyLock::new(|| {
        METRICS.iter().map(|metric| metric.kind == Kind::Gauge || metric.is_shared()).collect()
    });

    /// What the sources told, kept for one round of questions.
    ///
    /// The SDK asks instrument by instrument, in the order in which they were made. One walk over the sources
    /// serves them all.
    struct Readings {
        own: Weak<dyn Source>,
        last: Mutex<Reading>,
    }

    #[derive(Default)]
    struct Reading {
        /// By the place of the metric in the table.
        values: Vec<Values>,
        /// The first place that nobody asked for yet.
        next: usize,
    }

    impl Reading {
        /// The values of the metric at `place`; `None` when a round that is further on has this reading.
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
            // Another round begins. Outside the lock: it is the sources that speak now.
            let mut reading = self.read();
            let values = reading.take(place);
            *self.last.lock() = reading;
            values.unwrap_or_default()
        }

        fn read(&self) -> Reading {
            let mut gathered: Vec<Gathered> = METRICS.iter().map(|_| Gathered::default()).collect();
            let mut near = 0;
            let mut emit = |metric: &'static Metric, value: f64, attributes: &[(&'static str, &str)]| {
                // Sources tell their metrics more or less in the order of the table.
                let is = |known: &&Metric| std::ptr::eq(*known, metric);
                let (before, after) = METRICS.split_at(near);
                let place = after.iter().position(is).map(|place| near + place);
                let Some(place) = place.or_else(|| before.iter().position(is)) else { return };
                near = place;
                if let Some(gathered) = gathered.get_mut(place) {
                    if LAST_STANDS.get(place).is_some_and(|last_stands| *last_stands) {
                        gathered.push(value, attributes);
                    } else {
                        gathered.add(value, attributes);
                    }
                }
            };
            // A panic would end the thread that collects, and every metric with it.
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

    /// Records durations under fixed attributes, to the meter of the moment.
    pub(crate) struct DurationRecorder {
        metric: &'static Metric,
        attributes: Box<[KeyValue]>,
        /// The generation that has no meter, as far as is known: one look spares a process without a pipeline the rest.
        idle: AtomicU64,
        /// Nothing before the first duration: a series that never had one does not show.
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
                exemplars.offer(duration, Witness::now(span));
            }
        }
    }

    impl DurationRecorder {
        /// Records to whichever meter is published.
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

        /// Records a duration that may stand for those of its bucket, as it is that of something in `span`.
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
            let exemplars = published.and_then(|it| it.exemplars.as_ref()).map(|book| {
                let attributes: Vec<(&str, Cow<'_, str>)> =
                    self.attributes.iter().map(|it| (it.key.as_str(), it.value.as_str())).collect();
                book.series(self.metric, attributes.iter().map(|(key, value)| (*key, &**value)))
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

    /// The attribute of what found no room.
    const OVERFLOW: &str = "otel.metric.overflow";

    /// Records durations under fixed attributes, to one meter.
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
                // As the SDK has it, whose own overflow is the same series.
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

    /// The SDK caches a set as it first saw it and sorted; sorted is both. An attribute without a value is left out: to
    /// Prometheus it is the same as none.
    fn sorted(attributes: impl Iterator<Item = KeyValue>) -> Box<[KeyValue]> {
        let says = |it: &KeyValue| !matches!(&it.value, Value::String(text) if text.as_str().is_empty());
        let mut attributes: Box<[KeyValue]> = attributes.filter(says).collect();
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

        /// Tells how often it was asked, for every metric.
        #[derive(Default)]
        struct Asked(AtomicU64);

        impl Source for Asked {
            #[allow(clippy::cast_precision_loss)]
            fn observe(&self, emit: &mut Emit<'_>) {
                let times = self.0.fetch_add(1, Ordering::Relaxed) + 1;
                METRICS.iter().for_each(|metric| emit(metric, times as f64, &[("own", "")]));
            }
        }

        /// Tells every metric twice, under one set of attributes.
        struct Twins;

        impl Source for Twins {
            fn observe(&self, emit: &mut Emit<'_>) {
                for value in [3.0, 4.0] {
                    METRICS.iter().for_each(|metric| emit(metric, value, &[("twin", "")]));
                }
            }
        }

        #[test]
        fn an_attribute_is_of_the_type_that_the_convention_gives_it() {
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
        fn what_counts_adds_up_and_of_gauges_the_last_one_stands() {
            let own = Arc::new(Twins);
            let weak = Arc::downgrade(&own) as Weak<dyn Source>;
            let readings = Readings { own: weak, last: Mutex::default() };
            for (place, metric) in METRICS.iter().enumerate() {
                let mut values = readings.take(place);
                values.retain(|(_, attributes)| attributes[0].key.as_str() == "twin");
                let values: Vec<f64> = values.into_iter().map(|(value, _)| value).collect();
                let last_stands = metric.kind == Kind::Gauge || metric.is_shared();
                let expected = if last_stands { vec![3.0, 4.0] } else { vec![7.0] };
                assert_eq!(values, expected, "{}", metric.name);
            }
        }

        #[test]
        fn readers_that_cross_leave_nothing_old_for_the_next_round() {
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
            assert_eq!(round(0..METRICS.len()), vec![Some(1.0); METRICS.len()], "one walk serves a round");
            assert_eq!(round(0..METRICS.len()), vec![Some(2.0); METRICS.len()]);
            // Another reader begins and ends while this one is halfway.
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

    /// Records nothing: there is no pipeline.
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
