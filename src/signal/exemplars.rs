//! Exemplars: the trace of one measurement in each bucket of a histogram.
//!
//! The SDK keeps no exemplars, so they are kept here: for each series and bucket, the newest one of a sampled span. Only
//! sampled spans pay for it. A thread skips a bucket that is locked, or whose exemplar is less than 10 ms old, so that a
//! busy series is written at most a hundred times per second.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::Value;
use opentelemetry::trace::{SpanContext, SpanId, TraceId};

use super::bounds::SECONDS;
use super::names::Metric;
use super::trace::SampledSpan;
use crate::base::clock;
use crate::base::sync::Mutex;
use crate::base::sync::atomic::{AtomicU64, Ordering};

/// The span of an exemplar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ExemplarSpan {
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
    /// The end of the duration.
    pub(crate) at: SystemTime,
}

impl ExemplarSpan {
    /// The span of `context`, if it is sampled.
    pub(crate) fn sampled(context: &SpanContext, at: impl FnOnce() -> SystemTime) -> Option<Self> {
        context.is_sampled().then(|| Self {
            trace_id: context.trace_id(),
            span_id: context.span_id(),
            at: at(),
        })
    }

    /// The span `span`, which is still open.
    pub(crate) fn now(span: SampledSpan) -> Self {
        let (trace_id, span_id) = (TraceId::from_bytes(span.trace_id), SpanId::from_bytes(span.span_id));
        Self { trace_id, span_id, at: SystemTime::now() }
    }
}

/// A value and its span.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Exemplar {
    /// In seconds.
    pub(crate) value: f64,
    pub(crate) span: ExemplarSpan,
}

/// The minimum age of an exemplar before it is replaced.
const MIN_AGE: Duration = Duration::from_millis(10);

/// The exemplars of one series.
#[derive(Debug, Default)]
pub(crate) struct Exemplars {
    /// By bucket. Allocated for the first exemplar.
    slots: OnceLock<Box<[Slot]>>,
}

#[derive(Debug, Default)]
struct Slot {
    /// The time of the newest exemplar, in nanoseconds since 1970. Outside the lock, because most spans only read it.
    at: AtomicU64,
    newest: Mutex<Option<Exemplar>>,
}

impl Exemplars {
    /// Makes `span` the exemplar of the bucket of `duration`.
    pub(crate) fn offer(&self, duration: Duration, span: ExemplarSpan) {
        let slots = self.slots.get_or_init(|| (0..=SECONDS.len()).map(|_| Slot::default()).collect());
        let seconds = duration.as_secs_f64();
        if let Some(slot) = slots.get(SECONDS.partition_point(|bound| *bound < seconds)) {
            slot.offer(seconds, span);
        }
    }

    /// The exemplar of a bucket, counted from 0. The last bucket has no upper bound.
    pub(crate) fn get(&self, bucket: usize) -> Option<Exemplar> {
        *self.slots.get()?.get(bucket)?.newest.lock()
    }
}

impl Slot {
    fn offer(&self, value: f64, span: ExemplarSpan) {
        let at = clock::nanos(span.at.duration_since(UNIX_EPOCH).unwrap_or_default());
        if at.abs_diff(self.at.load(Ordering::Relaxed)) < clock::nanos(MIN_AGE) {
            return;
        }
        if let Some(mut newest) = self.newest.try_lock() {
            *newest = Some(Exemplar { value, span });
            self.at.store(at, Ordering::Relaxed);
        }
    }
}

/// The exemplars of all series of a pipeline, by their metrics and attributes.
#[derive(Debug, Default)]
pub(crate) struct ExemplarRegistry(Mutex<HashMap<String, Arc<Exemplars>>>);

impl ExemplarRegistry {
    /// The exemplars of the series of `metric`, which is a histogram of seconds, with these attributes.
    pub(crate) fn series<'a>(
        &self,
        metric: &Metric,
        attributes: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Arc<Exemplars> {
        let attributes = attributes.into_iter().map(|(name, value)| (name, Cow::Borrowed(value)));
        Arc::clone(self.0.lock().entry(key(metric.name, attributes)).or_default())
    }

    /// The exemplars of a series by the name of its metric and its attributes.
    pub(crate) fn find<'a>(
        &self,
        metric: &str,
        attributes: impl Iterator<Item = (&'a str, &'a Value)>,
    ) -> Option<Arc<Exemplars>> {
        let key = key(metric, attributes.map(|(name, value)| (name, value.as_str())));
        self.0.lock().get(&key).cloned()
    }
}

fn key<'a>(metric: &str, attributes: impl Iterator<Item = (&'a str, Cow<'a, str>)>) -> String {
    // Attributes with an empty value are left out, as in the recorders of durations.
    let mut attributes: Vec<_> = attributes.filter(|(_, value)| !value.is_empty()).collect();
    attributes.sort();
    let mut key = metric.to_owned();
    for (name, value) in attributes {
        let _infallible = write!(key, "\u{1f}{name}={value}");
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::SPAN_DURATION;
    use std::thread;

    fn span(number: u64, millis: u64) -> ExemplarSpan {
        ExemplarSpan {
            trace_id: TraceId::from((u128::from(number) << 64) | u128::from(number)),
            span_id: SpanId::from(number),
            at: UNIX_EPOCH + Duration::from_millis(millis),
        }
    }

    #[test]
    fn each_bucket_keeps_the_newest_exemplar() {
        let exemplars = Exemplars::default();
        assert_eq!(exemplars.get(0), None);
        let offer = |millis: u64, number, at| {
            exemplars.offer(Duration::from_millis(millis), span(number, at));
        };
        offer(5, 1, 1_000);
        offer(6, 2, 1_000);
        offer(60_000, 3, 1_000);
        let value = |bucket| exemplars.get(bucket).map(|it| (it.value, it.span.span_id));
        // A bound belongs to the bucket below it.
        assert_eq!(value(0), Some((0.005, SpanId::from(1))));
        assert_eq!(value(1), Some((0.006, SpanId::from(2))));
        assert_eq!(value(SECONDS.len()), Some((60.0, SpanId::from(3))));
        assert_eq!((value(2), value(SECONDS.len() + 1)), (None, None));
        offer(4, 4, 1_009);
        assert_eq!(value(0), Some((0.005, SpanId::from(1))), "the old one is too recent");
        offer(4, 5, 1_010);
        assert_eq!(value(0), Some((0.004, SpanId::from(5))));
        offer(3, 6, 500);
        assert_eq!(value(0), Some((0.003, SpanId::from(6))), "the clock was set back");
    }

    #[test]
    fn an_exemplar_is_never_torn_by_concurrent_writers() {
        let exemplars = Exemplars::default();
        thread::scope(|scope| {
            let writers = [1, 2, 3_u64].map(|thread| {
                let exemplars = &exemplars;
                scope.spawn(move || {
                    for turn in 0..20_000 {
                        let number = turn * 4 + thread;
                        exemplars.offer(Duration::from_nanos(number), span(number, number * 100));
                    }
                })
            });
            let whole = || {
                let Some(Exemplar { value, span: found }) = exemplars.get(0) else { return false };
                let number = u64::from_be_bytes(found.span_id.to_bytes());
                assert_eq!(found, span(number, number * 100));
                assert_eq!(value, Duration::from_nanos(number).as_secs_f64());
                true
            };
            while writers.iter().any(|writer| !writer.is_finished()) {
                whole();
            }
            // The writers may have ended before this thread ran.
            assert!(whole());
        });
    }

    #[test]
    fn a_series_is_found_by_its_attributes() {
        let registry = ExemplarRegistry::default();
        let series =
            registry.series(&SPAN_DURATION, [("span.name", "a=b"), ("component", "c"), ("code", "7")]);
        let find = |metric: &str, component: &'static str| {
            let attributes =
                [("component", component.into()), ("code", 7.into()), ("span.name", "a=b".into())];
            registry.find(metric, attributes.iter().map(|(name, value): &(&str, Value)| (*name, value)))
        };
        let found = find(SPAN_DURATION.name, "c");
        assert!(found.is_some_and(|found| Arc::ptr_eq(&found, &series)));
        assert!(find(SPAN_DURATION.name, "d").is_none());
        assert!(find("other", "c").is_none());
    }
}
