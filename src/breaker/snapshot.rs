//! What a circuit looks like from outside.

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
        /// Calls are refused until the wait is over.
        Open = "open",
        /// A few probes pass and decide.
        HalfOpen = "half_open",
        /// Calls are refused until an operator changes it.
        ForcedOpen = "forced_open",
        /// Calls pass; the window is left alone.
        Disabled = "disabled",
        /// Calls pass and are counted; what would have opened the circuit is counted too.
        MetricsOnly = "metrics_only",
    }
    /// The state as a metric attribute: one word in snake case.
    pub as_str;
    /// Every state.
    pub ALL;
}

impl CircuitState {
    /// The inverse of `self as u64`; only codes that were made so come in.
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
    /// How long it has been so.
    #[serde(serialize_with = "crate::duration::serialize")]
    pub in_state_for: Duration,
    /// Until a probe may pass, when the circuit is open.
    #[serde(serialize_with = "crate::duration::option::serialize")]
    pub next_probe_in: Option<Duration>,
    /// Calls in the window; of a half-open circuit, probes that ended.
    pub calls: u64,
    /// Failures among them.
    pub failures: u64,
    /// Slow ones among them.
    pub slow_calls: u64,
    /// Failures since the last success.
    pub consecutive_failures: u64,
    /// Probes that run.
    pub probes_in_flight: u32,
    /// Callers that wait for the verdict of a half-open circuit.
    pub waiting: u32,
    /// A call that takes longer is slow, if slowness counts at all.
    #[serde(serialize_with = "crate::duration::option::serialize")]
    pub slow_call_limit: Option<Duration>,
    /// All calls let through since the breaker was made, by how they ended.
    pub totals: Totals,
    /// Changes of state since the breaker was made.
    pub transitions: u64,
}

impl BreakerSnapshot {
    /// The share of failures in the window; 0 when it is empty.
    #[must_use]
    pub fn failure_rate(&self) -> f64 {
        share(self.failures, self.calls)
    }

    /// The share of slow calls in the window; 0 when it is empty.
    #[must_use]
    pub fn slow_call_rate(&self) -> f64 {
        share(self.slow_calls, self.calls)
    }
}

#[allow(clippy::cast_precision_loss)] // Counts of calls stay far below 2^52.
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// Calls since the breaker was made, by how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Totals {
    /// Went well.
    pub successes: u64,
    /// Said nothing about the service.
    pub ignored: u64,
    /// Failed, by [`FailureKind::index`](crate::FailureKind::index).
    pub failures: [u64; 6],
    /// Took longer than the slow-call limit, whether they failed or not; those that were ignored are not among them.
    pub slow: u64,
    /// Were refused by the circuit.
    pub rejected: u64,
    /// Times that a metrics-only circuit would have opened.
    pub would_open: u64,
    /// Calls that would have opened the circuit, had not as many others been open as may be
    /// ([`KeyedSettings::max_ejected`](super::KeyedSettings::max_ejected)).
    pub kept_closed: u64,
}
