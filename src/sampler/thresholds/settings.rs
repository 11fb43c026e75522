use serde::{Deserialize, Serialize};

use crate::base::error::ConfigError;
use crate::signal::Watched;

/// From when on a figure of the machine speaks against its health.
///
/// `None` switches one off. Each default leaves a machine that is well used alone, and speaks while there is still
/// time to do something:
///
/// | figure | warns from | critical from | readings | why |
/// |---|---|---|---|---|
/// | `cpu` | 0.85 | 0.95 | 3 | above 85 % what waits for a processor grows steeply; short peaks are what processors are for |
/// | `memory` | 0.85 | 0.95 | 2 | of what counts as used nothing can be given back; the last 5 % are gone in moments |
/// | `disk` | 0.85 | 0.95 | 1 | a file system fragments when nearly full, and does not empty itself |
/// | `load` | 2 | 4 | 1 | two tasks for each processor over five minutes: work comes in faster than it is done; the mean is smooth already |
/// | `temperature` | 85 °C | 92 °C | 2 | where a device does not say when it slows down; else 10 °C below that, and there |
///
/// Memory and processors are those of the container where it has a limit.
///
/// # Example
/// ```
/// use campanile::sampler::{SamplerSettings, Threshold, Thresholds};
///
/// let mut settings = SamplerSettings::default();
/// settings.thresholds.disk = Some(Threshold::new(0.9, 0.98));
/// settings.thresholds.load = None;
///
/// let same: Thresholds = serde_json::from_str(r#"{"disk": {"warn": 0.9, "critical": 0.98}, "load": null}"#)?;
/// assert_eq!(settings.thresholds, same);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Thresholds {
    /// Share of the processors in use, in 0..=1.
    pub cpu: Option<Threshold>,
    /// Share of the memory in use, in 0..=1.
    pub memory: Option<Threshold>,
    /// Share of each file system in use, in 0..=1.
    pub disk: Option<Threshold>,
    /// Load average of five minutes for each logical processor.
    pub load: Option<Threshold>,
    /// Degrees Celsius of each device. Where a device states its own limits, those stand for `warn` and `critical`.
    pub temperature: Option<Threshold>,
    /// Whether a device that says of itself that it is degraded, or that it failed, warns or is critical at once.
    pub state: bool,
}

/// Two limits of one figure.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Threshold {
    /// Warns at this value and above: more than 0.
    pub warn: f64,
    /// Critical at this value and above: at least `warn`.
    pub critical: f64,
    /// How far below a limit the value must fall before the limit counts as left, as a share of it: at least 0, less
    /// than 1. 0.05, so that a value that moves about its limit does not come and go.
    #[serde(default = "five_percent")]
    pub clear: f64,
    /// This number of readings in a row must say so before anything changes, for the worse or for the better: from 1 to
    /// 1,000. 1 where nothing else is said.
    #[serde(default = "one")]
    pub readings: u32,
}

fn five_percent() -> f64 {
    0.05
}

fn one() -> u32 {
    1
}

impl Threshold {
    /// Limits that the first reading counts for.
    #[must_use]
    pub fn new(warn: f64, critical: f64) -> Self {
        Self { warn, critical, clear: five_percent(), readings: one() }
    }

    pub(super) fn readings(mut self, readings: u32) -> Self {
        self.readings = readings;
        self
    }

    #[cfg(test)]
    pub(super) fn clear(mut self, clear: f64) -> Self {
        self.clear = clear;
        self
    }

    fn validate(&self, most: f64, allowed: &'static str) -> Result<(), ConfigError> {
        let Self { warn, critical, clear, readings } = *self;
        let usable = |limit: f64| limit.is_finite() && limit > 0.0 && limit <= most;
        ConfigError::check(usable(warn), "warn", warn, allowed)?;
        ConfigError::check(usable(critical), "critical", critical, allowed)?;
        ConfigError::check(critical >= warn, "critical", critical, "at least `warn`")?;
        ConfigError::check((0.0..1.0).contains(&clear), "clear", clear, "at least 0 and less than 1")?;
        ConfigError::check((1..=1_000).contains(&readings), "readings", readings, "from 1 to 1000")
    }
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            cpu: Some(Threshold::new(0.85, 0.95).readings(3)),
            memory: Some(Threshold::new(0.85, 0.95).readings(2)),
            disk: Some(Threshold::new(0.85, 0.95)),
            load: Some(Threshold::new(2.0, 4.0)),
            temperature: Some(Threshold::new(85.0, 92.0).readings(2)),
            state: true,
        }
    }
}

impl Thresholds {
    /// No thresholds: nothing of the machine speaks for health.
    #[must_use]
    pub fn none() -> Self {
        Self { cpu: None, memory: None, disk: None, load: None, temperature: None, state: false }
    }

    /// That of a figure; `None` where it is switched off.
    pub(super) fn of(&self, watched: Watched) -> Option<Threshold> {
        match watched {
            Watched::Cpu => self.cpu,
            Watched::Memory => self.memory,
            Watched::Disk => self.disk,
            Watched::Load => self.load,
            Watched::Temperature => self.temperature,
            Watched::State => self.state.then(|| Threshold::new(1.0, 2.0)),
        }
    }

    pub(in crate::sampler) fn validate(&self) -> Result<(), ConfigError> {
        const SHARE: &str = "more than 0 and at most 1";
        const MUCH: &str = "more than 0 and at most 1000000";
        const HOT: &str = "more than 0 and at most 1000";
        for (name, threshold, most, allowed) in [
            ("sampler.thresholds.cpu", self.cpu, 1.0, SHARE),
            ("sampler.thresholds.memory", self.memory, 1.0, SHARE),
            ("sampler.thresholds.disk", self.disk, 1.0, SHARE),
            ("sampler.thresholds.load", self.load, 1e6, MUCH),
            ("sampler.thresholds.temperature", self.temperature, 1e3, HOT),
        ] {
            if let Some(threshold) = threshold {
                threshold.validate(most, allowed).map_err(|error| error.within(name))?;
            }
        }
        Ok(())
    }
}
