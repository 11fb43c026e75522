use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::error::ConfigError;

/// How often a check runs, how long it may take, and how many times it must say something to be believed.
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
    /// From the start of one run to that of the next: more than zero. Default 30 s.
    #[serde(with = "crate::base::duration")]
    pub(super) interval: Duration,
    /// A run that takes longer is ended, and failed: more than zero. Default 5 s.
    #[serde(with = "crate::base::duration")]
    pub(super) timeout: Duration,
    /// How much of the interval is drawn by chance, so that replicas do not ask at once: from 0 to 1. Default 0.1.
    pub(super) jitter: f64,
    /// So many failures in a row make a check that passed fail: at least 1. Default 1.
    pub(super) failures: u32,
    /// So many passes in a row make a check that failed pass: at least 1. Default 1.
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
    /// Every so many seconds.
    #[must_use]
    pub fn seconds(seconds: u64) -> Self {
        Self::interval(Duration::from_secs(seconds))
    }

    /// Every so long.
    #[must_use]
    pub fn interval(interval: Duration) -> Self {
        Self { interval, ..Self::default() }
    }

    setters! {
        /// The most that a run may take.
        #[must_use]
        pub fn timeout(timeout: Duration) { timeout = timeout; }
        /// The part of the interval that is drawn by chance.
        #[must_use]
        pub fn jitter(share: f64) { jitter = share; }
        /// Failures in a row before it counts as failed.
        #[must_use]
        pub fn failures(failures: u32) { failures = failures; }
        /// Passes in a row before it counts as well again.
        #[must_use]
        pub fn successes(successes: u32) { successes = successes; }
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        const SOME: &str = "more than zero";
        ConfigError::check(!self.interval.is_zero(), "every.interval", self.interval, SOME)?;
        ConfigError::check(!self.timeout.is_zero(), "every.timeout", self.timeout, SOME)?;
        ConfigError::check((0.0..=1.0).contains(&self.jitter), "every.jitter", self.jitter, "from 0 to 1")?;
        ConfigError::check(self.failures >= 1, "every.failures", self.failures, "at least 1")?;
        ConfigError::check(self.successes >= 1, "every.successes", self.successes, "at least 1")
    }
}
