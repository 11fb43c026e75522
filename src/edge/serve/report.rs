//! What a shutdown did.

use std::fmt;
use std::time::Duration;

words! {
    /// A step of a shutdown: see the [module](crate::serve).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    #[non_exhaustive]
    pub enum ShutdownStep {
        /// Readiness is off, and requests are still served.
        Grace = "grace",
        /// The server accepts no connection, and requests in progress end.
        Drain = "drain",
        /// Redrives stop, and letters on their way to their store arrive.
        Letters = "letters",
        /// The last spans, metrics and logs are exported.
        Telemetry = "telemetry",
        /// The listener of `/metrics` and the probes ends.
        MetricsServer = "metrics_server",
    }
    /// The step in logs: one word in snake case.
    pub as_str;
}

words! {
    /// How a step of a shutdown ended.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    #[non_exhaustive]
    pub enum StepResult {
        /// It did all of its work.
        Completed = "completed",
        /// Its limit was over before.
        TimedOut = "timed_out",
        /// It ended before its limit, and could not do all of its work.
        Failed = "failed",
    }
    /// The result in logs: one word in snake case.
    pub as_str;
}

/// How one step of a shutdown went.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StepReport {
    /// The step.
    pub step: ShutdownStep,
    /// How it ended.
    pub result: StepResult,
    /// How long it took.
    pub took: Duration,
    /// What it left undone, for people. `None` if nothing.
    pub left: Option<String>,
}

/// What a shutdown did: its steps in their order. Steps without work are left out, such as `letters` without queues.
///
/// `Display` writes one line for each step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// The steps, in the order in which they ran.
    pub steps: Vec<StepReport>,
    /// How long all of them took, from the signal.
    pub took: Duration,
}

impl ShutdownReport {
    /// Whether each step completed and left nothing.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.steps.iter().all(|step| step.result == StepResult::Completed && step.left.is_none())
    }

    /// The report of one step; `None` if it had no work.
    #[must_use]
    pub fn step(&self, step: ShutdownStep) -> Option<&StepReport> {
        self.steps.iter().find(|report| report.step == step)
    }
}

impl fmt::Display for StepReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} after {:.3} s", self.step, self.result, self.took.as_secs_f64())?;
        self.left.iter().try_for_each(|left| write!(f, "; left: {left}"))
    }
}

impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            writeln!(f, "{step}")?;
        }
        write!(f, "shutdown ended after {:.3} s", self.took.as_secs_f64())
    }
}
