//! The parts of a source: a probe that is read at an interval, and the sample that it returns.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::base::error::ConfigError;
use crate::signal::Metric;
use crate::signal::Watched;

/// Reads one source. It may be slow, fail, panic or hang.
pub(super) trait Probe: Send {
    /// Reads the source now. If it returns an error, `sample` is ignored.
    ///
    /// # Errors
    /// If nothing of the source could be read. Values that this machine does not have are left out. If only a part could
    /// not be read, that is in the [`Failures`] of the sample.
    fn sample(&mut self, sample: &mut Sample) -> Result<(), ProbeError>;
}

/// The result of one reading of a source.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sample {
    pub(super) readings: Vec<Reading>,
    pub(super) figures: Vec<Figure>,
    pub(super) failures: Failures,
}

/// The parts of a source that could not be read, each with the reason.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Failures(pub(super) Vec<(Part, ProbeError)>);

/// A part of a source: the name of its file, or another name.
pub(super) type Part = &'static str;

/// One value of a metric.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reading {
    pub(super) metric: &'static Metric,
    pub(super) value: f64,
    pub(super) labels: Labels,
}

/// The attributes of a series, at most [`Labels::MOST`]. Cheap to clone.
///
/// A probe makes the labels of a device once and keeps them while the device exists.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Labels {
    None,
    One(&'static str, &'static str),
    Shared(Arc<[(&'static str, Box<str>)]>),
}

/// A figure that thresholds compare with limits.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Figure {
    /// `host`, or `gpu/0`.
    pub(super) component: Cow<'static, str>,
    pub(super) watched: Watched,
    /// Which of several, such as a mount point. `None` if there is only one.
    pub(super) which: Option<Arc<str>>,
    pub(super) value: f64,
    /// The limits that the device or a measurement states, which replace those of the settings.
    pub(super) own: Option<(f64, f64)>,
}

/// The reason why a source could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ProbeError(pub(super) Cow<'static, str>);

/// A source and its interval.
pub(super) struct Plan {
    pub(super) name: Cow<'static, str>,
    /// Makes the probe, on the reading thread because that may hang or panic too. Called again after a panic.
    pub(super) make: Make,
    pub(super) every: Duration,
    /// The time after which a reading is given up.
    pub(super) deadline: Duration,
}

/// Makes a probe.
pub(super) type Make = Arc<dyn Fn() -> Box<dyn Probe> + Send + Sync>;

/// The deadline of sources that should answer within milliseconds.
pub(super) const DEADLINE: Duration = Duration::from_secs(5);

/// Checks that each of these sources has a name, and that no two have the same.
pub(super) fn check_names<T>(
    setting: &'static str,
    sources: &[(Box<str>, T)],
    unlike: &'static str,
) -> Result<(), ConfigError> {
    for (place, (name, _)) in sources.iter().enumerate() {
        ConfigError::check(!name.is_empty(), setting, name, "a name that is not empty")?;
        let twice = sources[..place].iter().any(|(other, _)| other == name);
        ConfigError::check(!twice, setting, name, unlike)?;
    }
    Ok(())
}

/// A count or a number of bytes as the value of a metric.
#[allow(clippy::cast_precision_loss)] // Exact up to 8 PiB.
pub(super) fn count(value: u64) -> f64 {
    value as f64
}

// ===== impl Sample =====

impl Sample {
    /// Adds a value of a metric without attributes, if there is one.
    pub(super) fn value(&mut self, metric: &'static Metric, value: impl Into<Option<f64>>) {
        self.with(metric, value, &Labels::None);
    }

    /// Adds a value of a metric with one attribute, if there is one.
    pub(super) fn by(
        &mut self,
        metric: &'static Metric,
        (key, label): (&'static str, &'static str),
        value: impl Into<Option<f64>>,
    ) {
        self.with(metric, value, &Labels::One(key, label));
    }

    /// Adds a value of a metric with these attributes, if there is one.
    pub(super) fn with(&mut self, metric: &'static Metric, value: impl Into<Option<f64>>, labels: &Labels) {
        if let Some(value) = value.into() {
            self.readings.push(Reading { metric, value, labels: labels.clone() });
        }
    }

    /// Adds a figure of the machine that has limits.
    pub(super) fn watch_host(&mut self, watched: Watched, which: Option<&Arc<str>>, value: f64) {
        let figure =
            Figure { component: Cow::Borrowed("host"), watched, which: which.cloned(), value, own: None };
        self.figures.push(figure);
    }
}

// ===== impl Failures =====

impl Failures {
    /// Adds a part that could not be read. Only the first reason for a part is kept.
    pub(super) fn add(&mut self, part: Part, why: impl Into<ProbeError>) {
        if self.0.iter().all(|(known, _)| *known != part) {
            self.0.push((part, why.into()));
        }
    }
}

impl From<&'static str> for ProbeError {
    fn from(why: &'static str) -> Self {
        Self(why.into())
    }
}

// ===== impl Labels =====

impl Labels {
    /// The maximum number of attributes of a series.
    pub(super) const MOST: usize = 6;

    /// Labels with these keys and values, at most [`Labels::MOST`].
    pub(super) fn new<'a>(labels: impl IntoIterator<Item = (&'static str, &'a str)>) -> Self {
        Self::Shared(labels.into_iter().take(Self::MOST).map(|(key, value)| (key, value.into())).collect())
    }

    /// Calls `f` with the labels.
    pub(super) fn with<R>(&self, f: impl FnOnce(&[(&'static str, &str)]) -> R) -> R {
        match self {
            Self::None => f(&[]),
            Self::One(key, value) => f(&[(key, value)]),
            Self::Shared(labels) => {
                let mut buffer = [("", ""); Self::MOST];
                let mut length = 0;
                for (place, (key, value)) in buffer.iter_mut().zip(labels.iter()) {
                    *place = (key, value);
                    length += 1;
                }
                f(&buffer[..length])
            }
        }
    }
}

impl fmt::Display for ProbeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
