use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::error::ConfigError;

/// How often a check runs, how long a run may take, and how many equal results in a row change the outcome.
///
/// # Example
/// ```
/// use campanile::health::Every;
/// use std::time::Duration;
///
/// let every = Every::seconds(30).timeout(Duration::from_secs(2)).failures(3);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Every {
    #[serde(with = "crate::base::duration")]
    pub(super) interval: Duration,
    #[serde(with = "crate::base::duration")]
    pub(super) timeout: Duration,
    pub(super) jitter: f64,
    pub(super) failures: u32,
    pub(super) successes: u32,
}

impl Default for Every {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(30),
            timeout: Duration::from_secs(5),
            jitter: 0.1,
            failures: 1,
            successes: 1,
        }
    }
}

impl Every {
    /// Runs the check at an interval of this many seconds: see [`interval`](Self::interval).
    #[must_use]
    pub fn seconds(seconds: u64) -> Self {
        Self::interval(Duration::from_secs(seconds))
    }

    /// Runs the check at this interval, from the start of one run to the start of the next. It must be more than zero.
    /// Default: 30 s.
    #[must_use]
    pub fn interval(interval: Duration) -> Self {
        Self { interval, ..Self::default() }
    }

    setters! {
        /// Sets the longest time that a run may take. A run that takes longer is ended and has failed. It must be more
        /// than zero. Default: 5 s.
        #[must_use]
        pub fn timeout(timeout: Duration) { timeout = timeout; }
        /// Sets the share of the interval, from 0 to 1, by which the runs are shifted at random, so that replicas do not
        /// check at the same time. Default: 0.1.
        #[must_use]
        pub fn jitter(share: f64) { jitter = share; }
        /// Sets the number of failures in a row that make a passing check fail. At least 1. Default: 1.
        #[must_use]
        pub fn failures(failures: u32) { failures = failures; }
        /// Sets the number of passes in a row that make a failing check pass. At least 1. Default: 1.
        #[must_use]
        pub fn successes(successes: u32) { successes = successes; }
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        const MORE_THAN_ZERO: &str = "more than zero";
        ConfigError::check(!self.interval.is_zero(), "every.interval", self.interval, MORE_THAN_ZERO)?;
        ConfigError::check(!self.timeout.is_zero(), "every.timeout", self.timeout, MORE_THAN_ZERO)?;
        ConfigError::check((0.0..=1.0).contains(&self.jitter), "every.jitter", self.jitter, "from 0 to 1")?;
        ConfigError::check(self.failures >= 1, "every.failures", self.failures, "at least 1")?;
        ConfigError::check(self.successes >= 1, "every.successes", self.successes, "at least 1")
    }
}
