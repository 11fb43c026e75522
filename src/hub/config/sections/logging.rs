//! `[logging]`.

use serde::{Deserialize, Serialize};

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
    /// Log records that are exported: their level, limits and queue.
    pub records: LogSettings,
}

impl Default for LoggingSection {
    fn default() -> Self {
        Self {
            console: Console::default(),
            filter: "info,opentelemetry=warn".to_owned(),
            records: LogSettings::default(),
        }
    }
}
