use std::fmt;

use serde::Serialize;

/// A reason why a score lost points. `Display` writes its text.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Reason {
    /// The kind of the reason.
    pub kind: ReasonKind,
    /// The measured value: a share, a count, seconds, degrees, or the number of circuits. For a share of errors or a mean
    /// duration it is the lower bound at 99 % confidence.
    pub figure: f64,
    /// The limit, in the unit of the figure; 0 if the reason has none.
    pub limit: f64,
    /// The maximum cost of a reason of this kind.
    pub weight: f64,
    /// The points that the score lost for this reason, a multiple of 1/1024. The costs of all reasons add up to exactly
    /// `1 - score`. 0 if earlier reasons already cost all points.
    pub cost: f64,
    /// The reason in words, with figure and limit.
    pub text: String,
}

/// The kind of a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ReasonKind {
    /// The share of calls of the last minute that failed.
    ErrorShare,
    /// The number of failures in a row.
    ConsecutiveFailures,
    /// The mean duration of the calls of the last minute, in seconds.
    MeanDuration,
    /// A mean duration far above what is usual for the component, in seconds.
    SlowerThanUsual,
    /// The circuit is open: calls are refused.
    CircuitOpen,
    /// An operator forced the circuit open.
    CircuitForcedOpen,
    /// The circuit is half-open.
    CircuitHalfOpen,
    /// Circuits of a keyed breaker are open. The cost is the weight times the share of open circuits.
    CircuitsOpen,
    /// The number of waiting dead letters.
    Letters,
    /// The age of the oldest waiting dead letter, in seconds.
    OldestLetter,
    /// A check failed. The figure is the number of its failures in a row.
    CheckFailed,
    /// A check reported a warning.
    CheckWarning,
    /// The share of processor time in use, of the machine or of the limit of its container.
    CpuUsage,
    /// The share of memory in use, of the machine or of the limit of its container.
    MemoryUsage,
    /// The share of a file system in use.
    DiskUsage,
    /// The five-minute load average per processor.
    Load,
    /// The temperature of a device, in degrees Celsius.
    Temperature,
    /// A device reports that it is degraded or failed.
    DeviceState,
    /// A value of a collector is at one of its limits, in the unit of its metric.
    Measurement,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
