//! Collectors: functions of the program that return values of its own metrics.
//!
//! A collector is called on the threads of the sampler, so that it may take a lock, ask a server or read a file. What it
//! returns is checked: names, kinds and units by the rules of OpenTelemetry, and the number and size of its series.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::counter::{Counters, Rules};
use super::measurement::Measurement;
use super::probe::{DEADLINE, Figure, Labels, Plan, Probe, ProbeError, Reading, Sample, check_names};
use super::settings::check_interval;
use crate::base::clock::{self, Tick};
use crate::base::error::ConfigError;
use crate::signal::{Kind, Metric, Watched, attribute_key, declare};

/// The maximum number of series of a collector.
const MOST_SERIES: usize = 1_000;
/// The maximum bytes of the attributes of a collector.
const MOST_BYTES: usize = 256 * 1_024;
/// The maximum bytes of the name of a collector.
const LONGEST_NAME: usize = 128;

/// Calls the collector. Hands each measurement over until the function returns `false`.
type Collect = Arc<dyn Fn(&mut dyn FnMut(Measurement) -> bool) + Send + Sync>;

/// The collectors to read, by name.
#[derive(Clone, Default)]
pub(super) struct Collectors(Vec<(Box<str>, (Duration, Collect))>);

impl Collectors {
    pub(super) fn add<M>(
        &mut self,
        name: &str,
        every: Duration,
        collect: impl Fn() -> M + Send + Sync + 'static,
    ) where
        M: IntoIterator<Item = Measurement>,
    {
        let collect: Collect = Arc::new(move |take| {
            for measurement in collect() {
                if !take(measurement) {
                    break;
                }
            }
        });
        self.0.push((name.into(), (every, collect)));
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        check_names("sampler.collector", &self.0, "a name that no other collector has")?;
        for (name, (every, _)) in &self.0 {
            let fits = name.len() <= LONGEST_NAME;
            ConfigError::check(fits, "sampler.collector", name, "a name of 1 to 128 bytes")?;
            check_interval("every", *every).map_err(|error| error.of("collector", name))?;
        }
        Ok(())
    }

    /// One source for each collector, so that one that hangs does not stop the others.
    pub(super) fn plans(&self) -> impl Iterator<Item = Plan> {
        self.0.iter().map(|(name, (every, collect))| {
            let (component, collect) = (Arc::<str>::from(&**name), Arc::clone(collect));
            Plan {
                name: format!("collector.{name}").into(),
                make: Arc::new(move || {
                    Box::new(Collector {
                        component: Arc::clone(&component),
                        collect: Arc::clone(&collect),
                        counters: Counters::default(),
                    })
                }),
                every: *every,
                deadline: DEADLINE,
            }
        })
    }
}

impl fmt::Debug for Collectors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

struct Collector {
    /// Its name, which is also the component of its limits.
    component: Arc<str>,
    collect: Collect,
    counters: Counters,
}

impl Probe for Collector {
    fn sample(&mut self, sample: &mut Sample) -> Result<(), ProbeError> {
        let now = clock::now();
        let mut seen = HashSet::new();
        let mut bytes = 0;
        let Self { component, collect, counters } = self;
        collect(&mut |measurement| {
            bytes += measurement.bytes();
            if seen.len() >= MOST_SERIES || bytes > MOST_BYTES {
                let why = format!(
                    "it returned more than {MOST_SERIES} series or {MOST_BYTES} bytes of attributes; the others are \
                     left out"
                );
                sample.failures.add("series", ProbeError(why.into()));
                return false;
            }
            if let Err((part, why)) = take(&measurement, component, counters, now, &mut seen, sample) {
                sample.failures.add(part, ProbeError(why.into()));
            }
            true
        });
        Ok(())
    }
}

/// The metrics and attributes that were returned already.
type Seen = HashSet<(&'static str, Labels)>;

/// Adds a measurement to the sample, or says what is wrong with it.
fn take(
    measurement: &Measurement,
    collector: &Arc<str>,
    counters: &mut Counters,
    now: Tick,
    seen: &mut Seen,
    sample: &mut Sample,
) -> Result<(), (&'static str, String)> {
    let Measurement { name, kind, unit, description, value, .. } = measurement;
    let metric = declare(name, *kind, unit, description).map_err(|why| ("name", why))?;
    let labels = labels(measurement).map_err(|why| ("attributes", why))?;
    if !value.is_finite() || *kind == Kind::Counter && *value < 0.0 {
        let allowed = if *kind == Kind::Counter { "a finite number from 0" } else { "a finite number" };
        return Err(("value", format!("`{name}` is {value}; allowed: {allowed}")));
    }
    if !seen.insert((metric.name, labels.clone())) {
        return Err(("duplicate", format!("`{name}` was returned twice with the same attributes")));
    }
    watch(measurement, metric, collector, sample)?;
    let value = match kind {
        Kind::Counter => counters.take(metric, Some(*value), &labels, now, &Rules::OF_DRIVER),
        _ => Some(*value),
    };
    sample.readings.extend(value.map(|value| Reading { metric, value, labels }));
    Ok(())
}

fn labels(measurement: &Measurement) -> Result<Labels, String> {
    let Measurement { name, attributes, .. } = measurement;
    if attributes.len() > Labels::MOST {
        let (number, most) = (attributes.len(), Labels::MOST);
        return Err(format!("`{name}` has {number} attributes; allowed: at most {most}"));
    }
    let mut pairs = Vec::with_capacity(attributes.len());
    for (key, value) in attributes {
        let key = attribute_key(key)?;
        if pairs.iter().any(|(known, _)| *known == key) {
            return Err(format!("`{name}` has the attribute `{key}` twice"));
        }
        pairs.push((key, &**value));
    }
    // The same series, in whatever order its attributes were added.
    pairs.sort_unstable();
    Ok(if pairs.is_empty() { Labels::None } else { Labels::new(pairs) })
}

/// Adds the figure of a measurement with limits.
fn watch(
    measurement: &Measurement,
    metric: &'static Metric,
    collector: &Arc<str>,
    sample: &mut Sample,
) -> Result<(), (&'static str, String)> {
    let Some((warn, critical)) = measurement.limits else { return Ok(()) };
    let usable = |limit: f64| limit.is_finite() && limit > 0.0;
    if !usable(warn) || !usable(critical) || critical < warn {
        let why = format!(
            "the limits of `{}` are {warn} and {critical}; allowed: more than 0, and `critical` at least `warn`",
            metric.name
        );
        return Err(("limits", why));
    }
    let component = measurement.component.as_deref().filter(|name| (1..=LONGEST_NAME).contains(&name.len()));
    let which = match measurement.attributes.as_slice() {
        [] => Cow::Borrowed(metric.name),
        attributes => {
            let pairs: Vec<String> = attributes.iter().map(|(key, value)| format!("{key}={value}")).collect();
            format!("{}{{{}}}", metric.name, pairs.join(",")).into()
        }
    };
    sample.figures.push(Figure {
        component: Cow::Owned(component.unwrap_or(collector).to_owned()),
        watched: Watched::Measurement,
        which: Some(which.into()),
        value: measurement.value,
        own: Some((warn, critical)),
    });
    Ok(())
}
