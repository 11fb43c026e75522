//! The observable instruments of a meter: one for each metric of the table, and one for each declared metric.

use std::sync::{Arc, Weak};

use opentelemetry::metrics::{AsyncInstrument, Meter};

use super::declared::{add, declared};
use super::names::{Kind, METRICS, Metric};
use super::readings::Readings;
use super::source::Source;
use crate::base::registry::Registry;
use crate::base::sync::Mutex;

/// The meters of all pipelines that live.
static METERS: Registry<Instrumented> = Registry::new();

/// A meter with its instruments. New metrics are added as long as it lives.
pub(crate) struct Instrumented {
    meter: Meter,
    readings: Arc<Readings>,
    /// The number of metrics that have an instrument, or need none.
    made: Mutex<usize>,
}

impl Instrumented {
    /// Makes the instruments of all metrics.
    fn new(meter: &Meter, readings: Arc<Readings>) -> Arc<Self> {
        let instrumented = Arc::new(Self { meter: meter.clone(), readings, made: Mutex::new(0) });
        METERS.add(Arc::downgrade(&instrumented));
        instrumented.extend();
        instrumented
    }

    /// Makes the instruments of the metrics that are new, in the order of the metrics.
    fn extend(&self) {
        let metrics = METRICS.len() + declared().len();
        let mut made = self.made.lock();
        if *made == metrics {
            return;
        }
        for (place, metric) in METRICS.iter().copied().chain(declared()).enumerate().skip(*made) {
            *made = place + 1;
            let readings = Arc::clone(&self.readings);
            let callback = move |observer: &dyn AsyncInstrument<f64>| {
                for (value, attributes) in readings.take(place) {
                    observer.observe(value, &attributes);
                }
            };
            let (name, unit, description) = (metric.name, metric.unit, metric.description);
            macro_rules! observable {
                ($kind:ident) => {{
                    let builder = self.meter.$kind(name).with_unit(unit).with_description(description);
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
}

/// Makes an observable instrument on `meter` for every metric that is not a histogram, also for those that are declared
/// while the result lives. They report the values of all sources, and those of `own`, which belong to this meter only.
pub(crate) fn instrument(meter: &Meter, own: &Arc<impl Source>) -> Arc<Instrumented> {
    let own: Weak<dyn Source> = Arc::downgrade(own) as Weak<dyn Source>;
    Instrumented::new(meter, Arc::new(Readings::new(own)))
}

/// The declared metric of this name. The first call declares it, and makes its instrument on the meters of all pipelines.
///
/// # Errors
/// Those of [`add`].
pub(crate) fn declare(
    name: &str,
    kind: Kind,
    unit: &str,
    description: &str,
) -> Result<&'static Metric, String> {
    let (metric, is_new) = add(name, kind, unit, description)?;
    if is_new {
        METERS.living().iter().for_each(|instrumented| instrumented.extend());
    }
    Ok(metric)
}
