//! The settings and their allowed values.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::budget::RetryBudget;
use crate::base::backoff::Backoff;
use crate::base::error::ConfigError;

/// The default of [`RetrySettings::body_cap`]: 64 KiB, as in linkerd's proxy.
const DEFAULT_CAP: usize = 64 * 1024;

/// The settings of a retry. They can be read from a file; unknown keys are refused.
///
/// # Example
/// ```
/// use campanile::Retry;
/// use campanile::retry::RetrySettings;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let settings: RetrySettings = serde_json::from_str(
///     r#"{ "max_attempts": 3, "backoff": { "first": "50ms", "max": "1s" }, "deadline": "5s" }"#,
/// )?;
/// let retry = Retry::from_settings("payments", &settings)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetrySettings {
    /// Maximum number of attempts, including the first: from 1 (no retry) to 1,000. Default 4.
    pub max_attempts: u32,
    /// The wait before each further attempt. Default: 25 ms to 2 s, doubling, with equal jitter.
    pub backoff: Backoff,
    /// Budget of retries over all calls; `None` for no bound. Default: a fifth of the calls, and at least 10 a second.
    pub budget: Option<RetryBudget>,
    /// Time limit of a call with all its attempts and waits, over HTTP and gRPC up to the head of the response: more than
    /// zero. Default: no limit.
    #[serde(with = "crate::base::duration::option")]
    pub deadline: Option<Duration>,
    /// Time limit of one attempt, over HTTP and gRPC up to the head of its response: more than zero, at most the deadline.
    /// Default: no limit.
    #[serde(with = "crate::base::duration::option")]
    pub attempt_timeout: Option<Duration>,
    /// Cap of `Retry-After` and `grpc-retry-pushback-ms`: at most one day; zero ignores them. Default 30 s.
    #[serde(with = "crate::base::duration")]
    pub retry_after_cap: Duration,
    /// Maximum size of a request body that is sent again, in bytes: at most 1 GiB. Default 64 KiB.
    pub body_cap: usize,
    /// Retries `POST` and `PATCH`, and any gRPC call, like an idempotent method. Default: only if the request
    /// has an `Idempotency-Key` or was certainly not processed.
    pub retry_non_idempotent: bool,
    /// gRPC codes of calls that were not processed and may be repeated: each from 1 to 16. Default 8
    /// (`RESOURCE_EXHAUSTED`) and 14 (`UNAVAILABLE`).
    pub grpc_codes: Vec<i32>,
}

impl Default for RetrySettings {
    fn default() -> Self {
        Self {
            max_attempts: 4,
            backoff: Backoff::exponential(Duration::from_millis(25), Duration::from_secs(2)),
            budget: Some(RetryBudget::default()),
            deadline: None,
            attempt_timeout: None,
            retry_after_cap: Duration::from_secs(30),
            body_cap: DEFAULT_CAP,
            retry_non_idempotent: false,
            grpc_codes: vec![8, 14],
        }
    }
}

impl RetrySettings {
    /// Validates the settings of the retry called `name`, which the error names.
    pub(crate) fn validate(&self, name: &str) -> Result<(), ConfigError> {
        self.check().map_err(|error| error.of("retry", name))
    }

    fn check(&self) -> Result<(), ConfigError> {
        ConfigError::check(
            (1..=1_000).contains(&self.max_attempts),
            "max_attempts",
            self.max_attempts,
            "from 1 (no retry) to 1,000",
        )?;
        self.backoff.validate("backoff")?;
        if let Some(budget) = self.budget {
            budget.validate()?;
        }
        if let Some(deadline) = self.deadline {
            ConfigError::check(!deadline.is_zero(), "deadline", deadline, "more than zero")?;
        }
        if let Some(timeout) = self.attempt_timeout {
            ConfigError::check(
                !timeout.is_zero() && self.deadline.is_none_or(|deadline| timeout <= deadline),
                "attempt_timeout",
                timeout,
                "more than zero and at most `deadline`",
            )?;
        }
        ConfigError::check(
            self.retry_after_cap <= Duration::from_secs(86_400),
            "retry_after_cap",
            self.retry_after_cap,
            "at most one day",
        )?;
        for code in &self.grpc_codes {
            ConfigError::check((1..=16).contains(code), "grpc_codes", code, "codes from 1 to 16")?;
        }
        ConfigError::check(self.body_cap <= 1 << 30, "body_cap", self.body_cap, "at most 1 GiB")
    }
}
