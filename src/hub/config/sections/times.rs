//! The times of a check of health, which `[database.NAME]` and `[endpoint.NAME]` have in common.

use std::time::Duration;

use crate::base::error::ConfigError;
use crate::health::Every;

/// When a check runs, how long it may take, and how many equal results in a row change the outcome.
pub(super) struct Times {
    pub(super) every: Duration,
    pub(super) timeout: Duration,
    pub(super) warn_above: Option<Duration>,
    pub(super) error_above: Option<Duration>,
    pub(super) failures: u32,
    pub(super) successes: u32,
}

impl Times {
    pub(super) fn schedule(&self) -> Every {
        let mut every = Every::interval(self.every)
            .timeout(self.timeout)
            .failures(self.failures)
            .successes(self.successes);
        if let Some(limit) = self.warn_above {
            every = every.warn_after(limit);
        }
        if let Some(limit) = self.error_above {
            every = every.fail_after(limit);
        }
        every
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        const DAY: Duration = Duration::from_secs(86_400);
        const HOUR: Duration = Duration::from_secs(3_600);
        let &Self { every, timeout, warn_above, error_above, failures, successes } = self;
        let usable = !every.is_zero() && every <= DAY;
        ConfigError::check(usable, "every", every, "more than zero and at most one day")?;
        let usable = !timeout.is_zero() && timeout <= HOUR;
        ConfigError::check(usable, "timeout", timeout, "more than zero and at most an hour")?;
        if let Some(limit) = warn_above {
            let usable = !limit.is_zero() && limit < timeout;
            ConfigError::check(usable, "warn_above", limit, "more than zero and less than `timeout`")?;
        }
        if let Some(limit) = error_above {
            let usable = !limit.is_zero() && limit < timeout && warn_above.is_none_or(|warn| warn <= limit);
            ConfigError::check(
                usable,
                "error_above",
                limit,
                "at least `warn_above` and less than `timeout`",
            )?;
        }
        ConfigError::check(failures >= 1, "failures", failures, "at least 1")?;
        ConfigError::check(successes >= 1, "successes", successes, "at least 1")
    }
}
