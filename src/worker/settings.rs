//! What can be set.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::error::ConfigError;

/// The settings of a worker. Unknown keys are refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct WorkerSettings {
    /// How many of the newest errors the snapshot shows: at most 1,000. Default: 50.
    pub recent_errors: usize,
    /// The maximum number of bytes of these errors: at most 64 MiB. Default: 256 KiB. Older ones are removed first.
    pub recent_errors_bytes: usize,
    /// How often a failure that repeats is logged: from 1 s to a day. The first one is logged at once, and then the number
    /// of those that followed. Default: 60 s.
    #[serde(with = "crate::base::duration")]
    pub log_every: Duration,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self { recent_errors: 50, recent_errors_bytes: 256 * 1024, log_every: Duration::from_secs(60) }
    }
}

/// The maximum length of a worker's name, in bytes.
const LONGEST_NAME: usize = 128;

impl WorkerSettings {
    pub(super) fn validate(&self, name: &str) -> Result<(), ConfigError> {
        ConfigError::check(
            (1..=LONGEST_NAME).contains(&name.len()),
            "name",
            name,
            "a text of 1 to 128 bytes, such as `import`",
        )?;
        self.check().map_err(|error| error.of("worker", name))
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        ConfigError::check(self.recent_errors <= 1_000, "recent_errors", self.recent_errors, "at most 1000")?;
        ConfigError::check(
            self.recent_errors_bytes <= 64 * 1024 * 1024,
            "recent_errors_bytes",
            self.recent_errors_bytes,
            "at most 67108864 bytes",
        )?;
        ConfigError::check(
            (Duration::from_secs(1)..=Duration::from_secs(86_400)).contains(&self.log_every),
            "log_every",
            self.log_every,
            "at least 1 s and at most a day",
        )
    }
}
