//! The state and counts of a circuit.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

words! {
    /// The state of a circuit.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
    #[serde(rename_all = "snake_case")]
    #[non_exhaustive]
    pub enum CircuitState {
        /// Calls pass and are counted.
        Closed = "closed",
        /// Calls are refused until the end of the wait.
        Open = "open",
        /// A few probes pass and decide.
        HalfOpen = "half_open",
        /// Calls are refused until an operator changes it.
        ForcedOpen = "forced_open",
        /// Calls pass; the window does not change.
        Disabled = "disabled",
        /// Calls pass and are counted, and so is how often the circuit would have opened.
        MetricsOnly = "metrics_only",
    }
    /// The state in snake case, as in metrics.
    pub(crate) as_str;
    /// Every state.
    pub(crate) ALL;
}

impl CircuitState {
    /// The inverse of `self as u64`, for codes made by it.
    pub(crate) fn from_code(code: u64) -> Self {
        Self::ALL.get(code as usize).copied().unwrap_or(Self::Closed)
    }
}

/// A circuit at one moment: see [`CircuitBreaker::snapshot`](crate::CircuitBreaker::snapshot).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct BreakerSnapshot {
    /// The breaker's name.
    pub name: Arc<str>,
    /// The state.
    pub state: CircuitState,
    /// The time since it entered this state.
    #[serde(serialize_with = "crate::base::duration::serialize")]
    pub in_state_for: Duration,
    /// The time until a probe may pass, if the circuit is open.
    #[serde(serialize_with = "crate::base::duration::option::serialize")]
    pub next_probe_in: Option<Duration>,
    /// Calls in the window; for a half-open circuit, ended probes.
    pub calls: u64,
    /// Failures in the window.
    pub failures: u64,
    /// Slow calls in the window.
    pub slow_calls: u64,
    /// The share of failures in the window; 0 if it is empty.
    pub failure_rate: f64,
    /// The share of slow calls in the window; 0 if it is empty.
    pub slow_call_rate: f64,
    /// Failures since the last success.
    pub consecutive_failures: u64,
    /// Running probes.
    pub probes_in_flight: u32,
    /// Callers that wait for the decision of a half-open circuit.
    pub waiting: u32,
    /// A call that takes longer is slow; `None` if slow calls do not count.
    #[serde(serialize_with = "crate::base::duration::option::serialize")]
    pub slow_call_limit: Option<Duration>,
    /// All admitted calls since the breaker was made, by outcome.
    pub totals: Totals,
    /// Number of changes of state since the breaker was made.
    pub transitions: u64,
}

/// Calls since the breaker was made, by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Totals {
    /// Successes.
    pub successes: u64,
    /// Ignored calls.
    pub ignored: u64,
    /// Failures, by [`FailureKind::index`](crate::FailureKind::index).
    pub failures: [u64; 6],
    /// Calls that took longer than the slow-call limit, failed or not; without ignored ones.
    pub slow: u64,
    /// Calls that the circuit refused.
    pub rejected: u64,
    /// How often a metrics-only circuit would have opened.
    pub would_open: u64,
    /// Calls that would have opened the circuit, if [`KeyedSettings::max_ejected`](super::KeyedSettings::max_ejected) had
    /// allowed it.
    pub kept_closed: u64,
}
