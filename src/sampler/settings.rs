use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::ConfigError;

/// How the sampler works.
///
/// # Example
/// ```
/// use campanile::sampler::SamplerSettings;
/// use std::time::Duration;
///
/// let settings: SamplerSettings = serde_json::from_str(r#"{"every": "30s"}"#).unwrap();
/// assert_eq!(settings.every, Duration::from_secs(30));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SamplerSettings {
    /// The time between two readings of a source: from 100 ms to one hour; 10 s by default.
    #[serde(with = "crate::duration")]
    pub every: Duration,
}

impl Default for SamplerSettings {
    fn default() -> Self {
        Self { every: Duration::from_secs(10) }
    }
}

impl SamplerSettings {
    /// The default settings with another interval.
    #[must_use]
    pub fn every(every: Duration) -> Self {
        Self { every }
    }

    /// Whether every setting is in its range.
    ///
    /// # Errors
    /// When one is not.
    pub fn validate(&self) -> Result<(), ConfigError> {
        ConfigError::check(
            (Duration::from_millis(100)..=Duration::from_secs(3_600)).contains(&self.every),
            "sampler.every",
            self.every,
            "from 100 ms to one hour",
        )
    }
}
