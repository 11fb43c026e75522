//! `[database.NAME]`.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::times::Times;
use crate::base::error::ConfigError;
use crate::health::Every;

/// A database that health checks: `[database.NAME]`. Its pool is given in code.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct DatabaseSection {
    /// Address, for the program that makes the pool. It is not shown. Default: none.
    pub address: Option<String>,
    /// Time from one run of the check to the next: more than zero. Default: 30 s.
    #[serde(with = "crate::base::duration")]
    pub every: Duration,
    /// Longest time of a run: more than zero. Default: 5 s.
    #[serde(with = "crate::base::duration")]
    pub timeout: Duration,
    /// Response time above which the database is degraded. Default: none.
    #[serde(with = "crate::base::duration::option")]
    pub warn_above: Option<Duration>,
    /// Response time above which the check fails: at least `warn_above`, less than `timeout`. Default: none.
    #[serde(with = "crate::base::duration::option")]
    pub error_above: Option<Duration>,
    /// Number of failures in a row that make a passing check fail: at least 1. Default: 1.
    pub failures: u32,
    /// Number of passes in a row that make a failing check pass: at least 1. Default: 1.
    pub successes: u32,
    /// Whether the program is not ready while this database is unwell. Default: `false`.
    pub critical: bool,
}

impl Default for DatabaseSection {
    fn default() -> Self {
        Self {
            address: None,
            every: Duration::from_secs(30),
            timeout: Duration::from_secs(5),
            warn_above: None,
            error_above: None,
            failures: 1,
            successes: 1,
            critical: false,
        }
    }
}

impl DatabaseSection {
    /// Returns how often the check runs, and how long a run may take.
    #[must_use]
    pub fn schedule(&self) -> Every {
        self.times().schedule()
    }

    fn times(&self) -> Times {
        let &Self { every, timeout, warn_above, error_above, failures, successes, .. } = self;
        Times { every, timeout, warn_above, error_above, failures, successes }
    }

    pub(in crate::hub::config) fn check(&self) -> Result<(), ConfigError> {
        self.times().check()
    }
}

impl fmt::Debug for DatabaseSection {
    /// Omits the address, which usually holds a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseSection")
            .field("every", &self.every)
            .field("timeout", &self.timeout)
            .field("warn_above", &self.warn_above)
            .field("error_above", &self.error_above)
            .field("failures", &self.failures)
            .field("successes", &self.successes)
            .field("critical", &self.critical)
            .finish_non_exhaustive()
    }
}
