//! The settings and their allowed values.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::adaptive::{self, Adaptive};
use crate::base::backoff::Backoff;
use crate::base::error::ConfigError;
use crate::base::window::Window;

/// The settings of a circuit breaker. They can be read from a file; unknown keys are refused.
///
/// # Example
/// ```
/// use campanile::CircuitBreaker;
/// use campanile::breaker::BreakerSettings;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let settings: BreakerSettings = serde_json::from_str(
///     r#"{ "failure_rate": 0.4, "window": { "time": "30s" }, "slow_call": { "limit": "2s", "rate": 0.8 } }"#,
/// )?;
/// let breaker = CircuitBreaker::from_settings("payments", &settings)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BreakerSettings {
    /// Share of failures in the window at which the circuit opens: more than 0, at most 1. Default 0.5.
    pub failure_rate: f64,
    /// Number of failures in a row at which the circuit opens, independent of the window: at least 1. Default: off.
    pub consecutive_failures: Option<u32>,
    /// Share of slow calls at which the circuit opens. Default: off.
    pub slow_call: Option<SlowCall>,
    /// Learns the limit of `slow_call` from healthy traffic: `true`, or a table. Default: off.
    #[serde(deserialize_with = "adaptive::bool_or_table")]
    pub adaptive: Option<Adaptive>,
    /// The window of calls that count. Default: the last 100.
    pub window: Window,
    /// Minimum number of calls in the window before the rates can open the circuit: at least 1, and at most the size of
    /// a count window. Default 10.
    pub minimum_calls: u32,
    /// How long the circuit stays open; longer each time it opens again without having closed. Default: 5 s to 5 min,
    /// doubling, with equal jitter.
    pub open_for: Backoff,
    /// How a half-open circuit decides whether it closes. Default: by 3 probes, within 30 s.
    pub half_open: HalfOpen,
    /// Number of callers that may wait for the decision of a half-open circuit whose permits are taken, for
    /// [`HalfOpen::max_wait`] at most; others are refused. At most 1,000,000. Default 0: all are refused.
    pub half_open_queue: u32,
    /// How a cancelled call counts. Default: as a failure if it was slow, [`Cancelled::FailureWhenSlow`].
    pub cancelled: Cancelled,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            failure_rate: 0.5,
            consecutive_failures: None,
            slow_call: None,
            adaptive: None,
            window: Window::count(100),
            minimum_calls: 10,
            open_for: Backoff::exponential(Duration::from_secs(5), Duration::from_secs(300)),
            half_open: HalfOpen::default(),
            half_open_queue: 0,
            cancelled: Cancelled::default(),
        }
    }
}

/// When slow calls open the circuit. Neither field has a default.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlowCall {
    /// A call that takes longer is slow; more than zero. Over HTTP and gRPC a call ends with its body: put long-lived
    /// streams behind a separate breaker.
    #[serde(with = "crate::base::duration")]
    pub limit: Duration,
    /// Share of slow calls at which the circuit opens: more than 0, at most 1.
    pub rate: f64,
}

/// How a half-open circuit decides. Default: by 3 probes, within 30 s. In a file, a table has both fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HalfOpen {
    /// Maximum number of running probes, and number of outcomes that decide: at least 1.
    pub permits: u32,
    /// If probes still run after this time, the circuit opens again: more than zero.
    #[serde(with = "crate::base::duration")]
    pub max_wait: Duration,
}

impl Default for HalfOpen {
    /// 3 permits, 30 s.
    fn default() -> Self {
        Self { permits: 3, max_wait: Duration::from_secs(30) }
    }
}

/// How a cancelled call counts, before the head of the response or in its body.
///
/// Before the head, the running time of the call is compared; in the body, the time for which its reader had waited for
/// the next frame: see [streams](crate::base::outcome#streams). A call that a time limit of this
/// crate ended is always a timeout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cancelled {
    /// A failure if it had run longer than the slow-call limit, or one second if none is set; otherwise ignored. So a
    /// timeout further out does not hide that the service hangs.
    #[default]
    FailureWhenSlow,
    /// A failure if it had run longer than this, otherwise ignored.
    FailureAfter(#[serde(with = "crate::base::duration")] Duration),
    /// Always ignored.
    Ignored,
}

impl BreakerSettings {
    /// A cancelled call that ran longer than this is a failure. `limit` is the current slow-call limit.
    pub(crate) fn cancelled_after(&self, limit: Option<Duration>) -> Option<Duration> {
        match self.cancelled {
            Cancelled::FailureWhenSlow => {
                Some(self.slow_call.map_or(Duration::from_secs(1), |slow| limit.unwrap_or(slow.limit)))
            }
            Cancelled::FailureAfter(limit) => Some(limit),
            Cancelled::Ignored => None,
        }
    }

    /// Validates the settings of the breaker called `name`, which the error names.
    pub(crate) fn validate(&self, name: &str) -> Result<(), ConfigError> {
        self.check().map_err(|error| error.of("circuit breaker", name))
    }

    fn check(&self) -> Result<(), ConfigError> {
        const SHARE: &str = "more than 0 and at most 1";
        let is_share = |rate: f64| rate > 0.0 && rate <= 1.0;
        ConfigError::check(is_share(self.failure_rate), "failure_rate", self.failure_rate, SHARE)?;
        if let Some(failures) = self.consecutive_failures {
            ConfigError::check(failures > 0, "consecutive_failures", failures, "at least 1")?;
        }
        if let Some(slow) = self.slow_call {
            ConfigError::check(!slow.limit.is_zero(), "slow_call.limit", slow.limit, "more than zero")?;
            ConfigError::check(is_share(slow.rate), "slow_call.rate", slow.rate, SHARE)?;
        }
        if let Some(adaptive) = self.adaptive {
            adaptive.validate(self.slow_call.map(|slow| slow.limit))?;
        }
        self.window.validate()?;
        ConfigError::check(self.minimum_calls > 0, "minimum_calls", self.minimum_calls, "at least 1")?;
        if let Window::Count(calls) = self.window {
            ConfigError::check(
                self.minimum_calls <= calls,
                "minimum_calls",
                self.minimum_calls,
                "at most the number of calls of the window, or the circuit would never open",
            )?;
        }
        self.open_for.validate("open_for")?;
        ConfigError::check(
            self.half_open.permits > 0,
            "half_open.permits",
            self.half_open.permits,
            "at least 1",
        )?;
        ConfigError::check(
            !self.half_open.max_wait.is_zero(),
            "half_open.max_wait",
            self.half_open.max_wait,
            "more than zero",
        )?;
        ConfigError::check(
            self.half_open_queue <= 1_000_000,
            "half_open_queue",
            self.half_open_queue,
            "at most 1,000,000",
        )
    }
}
