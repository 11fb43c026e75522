use std::fmt;

use serde::Serialize;

/// Something that a score lost points for.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Reason {
    /// What it is about.
    pub kind: ReasonKind,
    /// What was found: a share, a count, seconds, degrees, or the number of circuits. A share of failures or a mean
    /// duration is the least that the calls of the last minute speak for.
    pub figure: f64,
    /// What is allowed, in the unit of the figure.
    pub limit: f64,
    /// The most that this kind can cost.
    pub weight: f64,
    /// The points it cost. The costs of all reasons add up to `1 - score`, exactly: both are multiples of 1/1024.
    /// Zero when the reasons before it had used up all there was to lose.
    pub cost: f64,
    /// The same for people.
    pub text: String,
}

/// What a reason is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ReasonKind {
    /// The share of calls of the last minute that failed.
    ErrorShare,
    /// Failures in a row.
    ConsecutiveFailures,
    /// The mean duration of the calls of the last minute, in seconds.
    MeanDuration,
    /// The mean duration next to what is usual for the component, in seconds.
    SlowerThanUsual,
    /// The circuit is open: calls are refused.
    CircuitOpen,
    /// An operator forced the circuit open.
    CircuitForcedOpen,
    /// The circuit is trying whether it may close.
    CircuitHalfOpen,
    /// Circuits of a keyed breaker are open: it costs as much of its weight as their share of all.
    CircuitsOpen,
    /// Dead letters that wait.
    Letters,
    /// The age of the oldest waiting letter, in seconds.
    OldestLetter,
    /// A check failed; its failures in a row.
    CheckFailed,
    /// A check found something amiss.
    CheckWarning,
    /// The share of the processors in use, of the machine or of its container's limit.
    CpuUsage,
    /// The share of the memory in use, of the machine or of its container's limit.
    MemoryUsage,
    /// The share of a file system in use.
    DiskUsage,
    /// The load average of five minutes for each processor.
    Load,
    /// The temperature of a device, in degrees Celsius.
    Temperature,
    /// A device says that it is degraded, 1, or that it failed, 2.
    DeviceState,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
