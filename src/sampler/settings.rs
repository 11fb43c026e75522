use std::time::Duration;

use serde::{Deserialize, Serialize};

#[cfg(feature = "gpu")]
use super::GpuSettings;
#[cfg(feature = "system")]
use super::SystemSettings;
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
#[non_exhaustive]
pub struct SamplerSettings {
    /// The time between two readings of a source that does not say otherwise: from 100 ms to one hour; 10 s by
    /// default.
    #[serde(with = "crate::duration")]
    pub every: Duration,
    /// What is read of the machine and this process; `None` for nothing.
    #[cfg(feature = "system")]
    #[cfg_attr(docsrs, doc(cfg(feature = "system")))]
    pub system: Option<SystemSettings>,
    /// What is read of the GPUs; `None` for nothing.
    #[cfg(feature = "gpu")]
    #[cfg_attr(docsrs, doc(cfg(feature = "gpu")))]
    pub gpu: Option<GpuSettings>,
}

impl Default for SamplerSettings {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(10),
            #[cfg(feature = "system")]
            system: Some(SystemSettings::default()),
            #[cfg(feature = "gpu")]
            gpu: Some(GpuSettings::default()),
        }
    }
}

impl SamplerSettings {
    /// The default settings with another interval.
    #[must_use]
    pub fn every(every: Duration) -> Self {
        Self { every, ..Self::default() }
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
        )?;
        #[cfg(feature = "system")]
        self.system.as_ref().map_or(Ok(()), SystemSettings::validate)?;
        #[cfg(feature = "gpu")]
        self.gpu.as_ref().map_or(Ok(()), GpuSettings::validate)?;
        Ok(())
    }
}
