//! The values of all sources, read once for each collection.

use std::sync::{LazyLock, Weak};

use super::declared::declared;
use super::gathered::{Gathered, Values};
use super::names::{Kind, METRICS, Metric};
use super::source::{self, Source};
use crate::base::panics::catch;
use crate::base::sync::Mutex;

/// Whether a series reports its last value, by the place of the metric in the table. Two handles with the same name
/// are one series. Their counts are added up. A gauge, or a metric that two samplers read from the same machine,
/// reports the last value instead.
static LAST_VALUE: LazyLock<Box<[bool]>> =
    LazyLock::new(|| METRICS.iter().map(|metric| metric.kind == Kind::Gauge || metric.is_shared()).collect());

/// The values of the sources, kept for one collection.
///
/// The SDK calls the instruments one by one, in the order in which they were made. The sources are read once for all of
/// them.
pub(super) struct Readings {
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
    /// The values of all sources, and those of `own`.
    pub(super) fn new(own: Weak<dyn Source>) -> Self {
        Self { own, last: Mutex::new(Reading::default()) }
    }

    pub(super) fn take(&self, place: usize) -> Values {
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
        let declared = declared();
        let metrics = METRICS.len() + declared.len();
        let mut gathered: Vec<Gathered> = (0..metrics).map(|_| Gathered::default()).collect();
        let mut near = 0;
        let mut emit = |metric: &'static Metric, value: f64, attributes: &[(&'static str, &str)]| {
            // Sources emit their metrics roughly in the order of the table.
            let is = |known: &&Metric| std::ptr::eq(*known, metric);
            let (before, after) = METRICS.split_at(near);
            let place = after.iter().position(is).map(|place| near + place);
            let Some(place) = place.or_else(|| before.iter().position(is)) else {
                let place = declared.iter().position(is);
                let gathered = place.and_then(|place| gathered.get_mut(METRICS.len() + place));
                match (gathered, metric.kind) {
                    (Some(gathered), Kind::Gauge) => gathered.push(value, attributes),
                    (Some(gathered), _) => gathered.add(value, attributes),
                    (None, _) => {}
                }
                return;
            };
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use opentelemetry::KeyValue;

    use super::*;
    use crate::base::sync::atomic::{AtomicU64, Ordering};
    use crate::signal::source::Emit;

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
