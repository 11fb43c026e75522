//! What is to be expected of a component.

use std::time::Duration;

use serde::Serialize;

/// What is to be expected of a component.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Outlook {
    /// `None` as soon as enough is known; until then the part of the warm-up that is done, in 0..1.
    pub learning: Option<f64>,
    /// From 0, nothing points to trouble, to 1.
    pub risk: f64,
    /// Why, the weightiest first.
    pub reasons: Vec<RiskReason>,
    /// The vital signs that are not as usual.
    pub anomalies: Vec<Anomaly>,
    /// The vital signs that are on their way to their limit.
    pub forecasts: Vec<Forecast>,
}

/// Something that a risk is made of. The costs add up to the risk.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RiskReason {
    /// The vital sign.
    pub sign: VitalSign,
    /// How much of the risk it is.
    pub risk: f64,
    /// The same for people.
    pub text: String,
}

/// A vital sign that is not as usual.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Anomaly {
    /// Which.
    pub sign: VitalSign,
    /// What was found last.
    pub value: f64,
    /// What is usual.
    pub usual: f64,
    /// How far that is, in robust standard deviations.
    pub z: f64,
    /// Whether the level has shifted for good, as far as one can tell.
    pub shifted: bool,
}

/// A vital sign that is on its way to its limit.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Forecast {
    /// Which.
    pub sign: VitalSign,
    /// Its change in one minute.
    pub per_minute: f64,
    /// Its limit.
    pub limit: f64,
    /// When it gets there, if it goes on like that.
    pub reaches_limit_in: Duration,
    /// How sure that is, in 0..=1.
    pub confidence: f64,
}

words! {
    /// What is watched over time.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
    #[serde(rename_all = "snake_case")]
    #[non_exhaustive]
    pub enum VitalSign {
        /// The share of calls of the last minute that failed.
        ErrorShare = "error_share",
        /// The mean duration of the calls of the last minute, in seconds.
        MeanDuration = "mean_duration",
        /// Calls in a second.
        Rate = "rate",
        /// Dead letters that wait.
        Letters = "letters",
        /// The share of the processors in use.
        CpuUsage = "cpu_usage",
        /// The share of the memory in use.
        MemoryUsage = "memory_usage",
        /// The share of a file system in use.
        DiskUsage = "disk_usage",
        /// The temperature of a device, in degrees Celsius.
        Temperature = "temperature",
    }
    /// The sign in one word, in lower case.
    pub as_str;
}
