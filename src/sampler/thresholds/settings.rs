use serde::{Deserialize, Serialize};

use crate::base::error::ConfigError;
use crate::signal::Watched;

/// The limits of the figures of the machine. Above them, its health is worse.
///
/// `None` turns a limit off. The defaults do not warn about a machine that is well used, and warn while there is still time
/// to act:
///
/// | figure | warns from | critical from | readings | reason |
/// |---|---|---|---|---|
/// | `cpu` | 0.85 | 0.95 | 3 | above 85 %, waiting times grow steeply; short peaks are normal |
/// | `memory` | 0.85 | 0.95 | 2 | memory that counts as used cannot be freed, and the last 5 % fill within moments |
/// | `disk` | 0.85 | 0.95 | 1 | a nearly full file system fragments, and does not empty itself |
/// | `load` | 2 | 4 | 1 | two tasks per processor over five minutes: work arrives faster than it is done; the mean is already smooth |
/// | `temperature` | 85 °C | 92 °C | 2 | if a device does not report its slowdown temperature; otherwise that temperature, and 10 °C below it |
///
/// If the container has a limit of memory or processors, its figures are used instead of those of the machine.
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
    /// The share of the processors in use, in 0..=1.
    pub cpu: Option<Threshold>,
    /// The share of the memory in use, in 0..=1.
    pub memory: Option<Threshold>,
    /// The share of each file system in use, in 0..=1.
    pub disk: Option<Threshold>,
    /// The load average of five minutes per logical processor.
    pub load: Option<Threshold>,
    /// The temperature of each device, in degrees Celsius. Limits that a device states replace `warn` and `critical`.
    pub temperature: Option<Threshold>,
    /// Whether a device that reports a degraded state warns, and one that reports a failure is critical.
    pub state: bool,
}

/// The two limits of one figure.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Threshold {
    /// The level is a warning at this value and above. More than 0.
    pub warn: f64,
    /// The level is critical at this value and above. At least `warn`.
    pub critical: f64,
    /// How far below its limit a level ends, as a share of the limit: at least 0, less than 1. Default: 0.05, so that a
    /// figure near its limit does not flap.
    #[serde(default = "five_percent")]
    pub clear: f64,
    /// The number of consecutive readings that change the level, for the worse or for the better: from 1 to 1,000. Default:
    /// 1.
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
    /// Limits that one reading reaches.
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
    /// No limits: the machine has no health.
    #[must_use]
    pub fn none() -> Self {
        Self { cpu: None, memory: None, disk: None, load: None, temperature: None, state: false }
    }

    /// The threshold of a figure; `None` if it is turned off.
    pub(super) fn of(&self, watched: Watched) -> Option<Threshold> {
        match watched {
            Watched::Cpu => self.cpu,
            Watched::Memory => self.memory,
            Watched::Disk => self.disk,
            Watched::Load => self.load,
            Watched::Temperature => self.temperature,
            Watched::State => self.state.then(|| Threshold::new(1.0, 2.0)),
            // Replaced by the limits that each measurement brings.
            Watched::Measurement => Some(Threshold::new(1.0, 2.0)),
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
