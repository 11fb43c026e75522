//! `[logging]`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::error::ConfigError;
use crate::telemetry::{Console, LogSettings};

/// Logs: `[logging]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct LoggingSection {
    /// Format of the logs on the console: `human`, `json` or `off`. Default: `human`.
    pub console: Console,
    /// Filter of the logs on the console, such as `info,sqlx=warn`. `RUST_LOG` wins over it. Default:
    /// `info,opentelemetry=warn`.
    pub filter: String,
    /// Time from one summary of the program on the console to the next: at least 1 s. Default: none.
    #[serde(with = "crate::base::duration::option")]
    pub summary_every: Option<Duration>,
    /// Log records that are exported: their level, limits and queue.
    pub records: LogSettings,
}

impl Default for LoggingSection {
    fn default() -> Self {
        Self {
            console: Console::default(),
            filter: "info,opentelemetry=warn".to_owned(),
            summary_every: None,
            records: LogSettings::default(),
        }
    }
}

impl LoggingSection {
    pub(in crate::hub::config) fn check(&self) -> Result<(), ConfigError> {
        let Some(every) = self.summary_every else { return Ok(()) };
        ConfigError::check(every >= Duration::from_secs(1), "summary_every", every, "at least 1 s")
    }
}
