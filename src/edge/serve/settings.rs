//! The settings of a shutdown and their allowed values.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::error::ConfigError;

/// The longest limit of a step.
const LONGEST: Duration = Duration::from_secs(3_600);

/// The limits of a shutdown. They can be read from a file; unknown keys are refused.
///
/// By default the steps need at most 27 s, because Kubernetes kills a process 30 s after SIGTERM. With longer limits, raise
/// `total` and `terminationGracePeriodSeconds` too.
///
/// # Example
/// ```
/// use campanile::serve::{ShutdownBuilder, ShutdownSettings};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let settings: ShutdownSettings = serde_json::from_str(r#"{ "grace": "5s", "drain": "10s" }"#)?;
/// let builder = ShutdownBuilder::from_settings(&settings);
/// # let _ = builder;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ShutdownSettings {
    /// How long requests are served after readiness is off, so that load balancers notice: at most 1 h. Use a few periods
    /// of the readiness probe. Default 8 s.
    #[serde(with = "crate::base::duration")]
    pub grace: Duration,
    /// How long requests in progress may take after the server has stopped to accept: at most 1 h. Default 12 s.
    #[serde(with = "crate::base::duration")]
    pub drain: Duration,
    /// How long redrives and letters on their way to their store may take: at most 1 h. Default 3 s.
    #[serde(with = "crate::base::duration")]
    pub letters: Duration,
    /// How long the last export of telemetry may take: at most 1 h. Default 4 s.
    #[serde(with = "crate::base::duration")]
    pub telemetry: Duration,
    /// How long all steps together may take: at least the sum of the others. Default 28 s.
    #[serde(with = "crate::base::duration")]
    pub total: Duration,
}

impl Default for ShutdownSettings {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(8),
            drain: Duration::from_secs(12),
            letters: Duration::from_secs(3),
            telemetry: Duration::from_secs(4),
            total: Duration::from_secs(28),
        }
    }
}

impl ShutdownSettings {
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let steps = [
            ("grace", self.grace),
            ("drain", self.drain),
            ("letters", self.letters),
            ("telemetry", self.telemetry),
        ];
        for (setting, limit) in steps {
            ConfigError::check(limit <= LONGEST, setting, limit, "at most 1 h")?;
        }
        let sum: Duration = steps.iter().map(|(_, limit)| *limit).sum();
        if self.total < sum {
            return Err(ConfigError::new(
                "total",
                format_args!("{:?}", self.total),
                format!("at least the sum of grace, drain, letters and telemetry, which is {sum:?}"),
            ));
        }
        ConfigError::check(self.total <= 5 * LONGEST, "total", self.total, "at most 5 h")
    }
}
