use std::time::Duration;

use serde::Serialize;

/// The prediction for one component: the risk that it fails, and why.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Outlook {
    /// The part of the warm-up that is done, in 0..1; `None` once the warm-up is over.
    pub learning: Option<f64>,
    /// The risk, from 0 to 1.
    pub risk: f64,
    /// What the risk is made of, the largest part first.
    pub reasons: Vec<RiskReason>,
    /// The vital signs that are unusual.
    pub anomalies: Vec<Anomaly>,
    /// The vital signs that approach their limit.
    pub forecasts: Vec<Forecast>,
}

/// One part of a risk. The parts add up to the risk.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RiskReason {
    /// The vital sign.
    pub sign: VitalSign,
    /// This part of the risk.
    pub risk: f64,
    /// The reason in words.
    pub text: String,
}

/// A vital sign that is unusual.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Anomaly {
    /// The vital sign.
    pub sign: VitalSign,
    /// Its last value.
    pub value: f64,
    /// Its usual value.
    pub usual: f64,
    /// The distance from the usual value, in robust standard deviations.
    pub z: f64,
    /// Whether the level has shifted, rather than a single value.
    pub shifted: bool,
}

/// A vital sign that approaches its limit.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Forecast {
    /// The vital sign.
    pub sign: VitalSign,
    /// Its change in one minute.
    pub per_minute: f64,
    /// Its limit.
    pub limit: f64,
    /// When it reaches the limit if the trend continues.
    pub reaches_limit_in: Duration,
    /// How certain the forecast is, in 0..=1.
    pub confidence: f64,
}

words! {
    /// A figure that prediction follows. `Display` writes it in snake case.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
    #[serde(rename_all = "snake_case")]
    #[non_exhaustive]
    pub enum VitalSign {
        /// The share of calls of the last minute that failed.
        ErrorShare = "error_share",
        /// The mean duration of the calls of the last minute, in seconds.
        MeanDuration = "mean_duration",
        /// Calls per second.
        Rate = "rate",
        /// Waiting dead letters.
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
    pub(crate) as_str;
}
