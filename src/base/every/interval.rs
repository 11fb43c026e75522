use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::error::ConfigError;

/// The time limit of a run of a check, unless it is set.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a check or a loop runs, how long a run may take, and how many equal results in a row change the outcome of a
/// check.
///
/// Settings of a file hold it as a table: `{ interval = "30s", warn_after = "300ms", fail_after = "2s" }`.
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
    #[serde(with = "crate::base::duration::option")]
    pub(crate) warn_after: Option<Duration>,
    #[serde(with = "crate::base::duration::option")]
    pub(crate) fail_after: Option<Duration>,
}

impl Default for Every {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(30),
            timeout: None,
            jitter: 0.1,
            failures: 1,
            successes: 1,
            warn_after: None,
            fail_after: None,
        }
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
        /// Turns a pass into a warning when the run took longer than this, so that the component is degraded. More than
        /// zero. Default: no limit.
        #[must_use]
        pub fn warn_after(limit: Duration) { warn_after = Some(limit); }
        /// Turns a pass or a warning into a failure when the run took longer than this. More than zero, at least
        /// [`warn_after`](Self::warn_after) and at most [`timeout`](Self::timeout). Default: no limit.
        ///
        /// The run is not ended at this limit, so that the message can say how long it took.
        #[must_use]
        pub fn fail_after(limit: Duration) { fail_after = Some(limit); }
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
        ConfigError::check(self.successes >= 1, "every.successes", self.successes, "at least 1")?;
        if let Some(warn) = self.warn_after {
            ConfigError::check(!warn.is_zero(), "every.warn_after", warn, MORE_THAN_ZERO)?;
            let most = self.fail_after.unwrap_or(timeout);
            ConfigError::check(warn <= most, "every.warn_after", warn, "at most `fail_after` and `timeout`")?;
        }
        if let Some(fail) = self.fail_after {
            ConfigError::check(!fail.is_zero(), "every.fail_after", fail, MORE_THAN_ZERO)?;
            ConfigError::check(fail <= timeout, "every.fail_after", fail, "at most `timeout`")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_must_be_in_ascending_order() {
        let refused = |warn, fail, timeout| {
            let [warn, fail, timeout] = [warn, fail, timeout].map(Duration::from_millis);
            let every = Every::seconds(1).warn_after(warn).fail_after(fail).timeout(timeout);
            every.validate().err().map(|error| error.setting().to_owned())
        };
        assert_eq!(refused(1, 1, 1), None);
        for (limits, setting) in
            [([0, 1, 1], "warn_after"), ([2, 1, 3], "warn_after"), ([1, 2, 1], "fail_after")]
        {
            let [warn, fail, timeout] = limits;
            assert_eq!(refused(warn, fail, timeout), Some(format!("every.{setting}")));
        }
        let fail = Every::seconds(1).fail_after(Duration::ZERO);
        assert_eq!(fail.validate().unwrap_err().setting(), "every.fail_after");
        let warn = Every::seconds(1).warn_after(Duration::from_secs(6));
        assert_eq!(warn.validate().unwrap_err().setting(), "every.warn_after");
    }
}
