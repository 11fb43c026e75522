use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::error::ConfigError;

/// The time limit of a run of a check, unless it is set.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a check or a loop runs, how long a run may take, and how many equal results in a row change the outcome of a
/// check.
///
/// # Example
/// ```
/// use campanile::Every;
/// use std::time::Duration;
///
/// let every = Every::seconds(30).timeout(Duration::from_secs(2)).failures(3);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Every {
    #[serde(with = "crate::base::duration")]
    pub(crate) interval: Duration,
    #[serde(with = "crate::base::duration::option", skip_serializing_if = "Option::is_none")]
    pub(crate) timeout: Option<Duration>,
    pub(crate) jitter: f64,
    pub(crate) failures: u32,
    pub(crate) successes: u32,
}

impl Default for Every {
    fn default() -> Self {
        Self { interval: Duration::from_secs(30), timeout: None, jitter: 0.1, failures: 1, successes: 1 }
    }
}

impl Every {
    /// Runs at an interval of this many seconds: see [`interval`](Self::interval).
    #[must_use]
    pub fn seconds(seconds: u64) -> Self {
        Self::interval(Duration::from_secs(seconds))
    }

    /// Runs at this interval, from the start of one run to the start of the next. It must be more than zero.
    /// Default: 30 s.
    #[must_use]
    pub fn interval(interval: Duration) -> Self {
        Self { interval, ..Self::default() }
    }

    setters! {
        /// Sets the longest time that a run may take. A run that takes longer is ended and has failed. It must be more
        /// than zero. Default: 5 s for a check, no limit for a loop.
        #[must_use]
        pub fn timeout(timeout: Duration) { timeout = Some(timeout); }
        /// Sets the share of the interval, from 0 to 1, by which the runs are shifted at random, so that replicas do not
        /// run at the same time. Default: 0.1.
        #[must_use]
        pub fn jitter(share: f64) { jitter = share; }
        /// Sets the number of failures in a row that make a passing check fail. At least 1. Default: 1. A loop does not use
        /// it.
        #[must_use]
        pub fn failures(failures: u32) { failures = failures; }
        /// Sets the number of passes in a row that make a failing check pass. At least 1. Default: 1. A loop does not use
        /// it.
        #[must_use]
        pub fn successes(successes: u32) { successes = successes; }
    }

    /// The time limit of a run of a check.
    pub(crate) fn check_timeout(&self) -> Duration {
        self.timeout.unwrap_or(CHECK_TIMEOUT)
    }

    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        const MORE_THAN_ZERO: &str = "more than zero";
        ConfigError::check(!self.interval.is_zero(), "every.interval", self.interval, MORE_THAN_ZERO)?;
        let timeout = self.check_timeout();
        ConfigError::check(!timeout.is_zero(), "every.timeout", timeout, MORE_THAN_ZERO)?;
        ConfigError::check((0.0..=1.0).contains(&self.jitter), "every.jitter", self.jitter, "from 0 to 1")?;
        ConfigError::check(self.failures >= 1, "every.failures", self.failures, "at least 1")?;
        ConfigError::check(self.successes >= 1, "every.successes", self.successes, "at least 1")
    }
}
