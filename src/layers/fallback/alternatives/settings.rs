//! The settings and their allowed values.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::backoff::Backoff;
use crate::base::error::ConfigError;

/// The settings of alternatives. They can be read from a file; unknown keys are refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AlternativesSettings {
    /// Time limit of one connect: more than zero. Default 5 s.
    #[serde(with = "crate::base::duration")]
    pub connect_timeout: Duration,
    /// How long a failed alternative is left alone, by the number of its failures in a row. Default: 1 s to 1 min, doubling, with
    /// equal jitter.
    pub backoff: Backoff,
}

impl Default for AlternativesSettings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            backoff: Backoff::exponential(Duration::from_secs(1), Duration::from_secs(60)),
        }
    }
}

impl AlternativesSettings {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        ConfigError::check(
            !self.connect_timeout.is_zero(),
            "connect_timeout",
            self.connect_timeout,
            "more than zero",
        )?;
        self.backoff.validate("backoff")
    }
}
