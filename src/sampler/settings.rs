//! What the sampler reads, and when.

use std::time::Duration;

use serde::{Deserialize, Serialize};

#[cfg(feature = "gpu")]
use super::gpu::GpuSettings;
#[cfg(feature = "system")]
use super::host::SystemSettings;
use super::thresholds::Thresholds;
use crate::base::error::ConfigError;

/// What the sampler reads, and how often.
///
/// # Example
/// ```
/// use campanile::sampler::SamplerSettings;
/// use std::time::Duration;
///
/// let settings: SamplerSettings = serde_json::from_str(r#"{"every": "30s"}"#).unwrap();
/// assert_eq!(settings.every, Duration::from_secs(30));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct SamplerSettings {
    /// The interval between two readings of a source that has no interval of its own: from 100 ms to one hour. Default:
    /// 10 s.
    #[serde(with = "crate::base::duration")]
    pub every: Duration,
    /// What is read of the machine and this process. `None` reads nothing. Default: all of it.
    #[cfg(feature = "system")]
    #[cfg_attr(docsrs, doc(cfg(feature = "system")))]
    pub system: Option<SystemSettings>,
    /// What is read of the GPUs. `None` reads nothing. Default: all GPUs.
    #[cfg(feature = "gpu")]
    #[cfg_attr(docsrs, doc(cfg(feature = "gpu")))]
    pub gpu: Option<GpuSettings>,
    /// The limits of figures of the machine and its devices. Above them, the health of `host`, `gpu/0` and so on is worse.
    /// Default: those of the table at [`Thresholds`].
    pub thresholds: Thresholds,
}

impl Default for SamplerSettings {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(10),
            #[cfg(feature = "system")]
            system: Some(SystemSettings::default()),
            #[cfg(feature = "gpu")]
            gpu: Some(GpuSettings::default()),
            thresholds: Thresholds::default(),
        }
    }
}

impl SamplerSettings {
    /// Settings without any source.
    pub(crate) fn nothing() -> Self {
        Self {
            #[cfg(feature = "system")]
            system: None,
            #[cfg(feature = "gpu")]
            gpu: None,
            ..Self::default()
        }
    }

    /// Checks that every setting is in its range.
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        check_interval("sampler.every", self.every)?;
        #[cfg(feature = "system")]
        if let Some(system) = &self.system {
            system.every.map_or(Ok(()), |every| check_interval("sampler.system.every", every))?;
            system.validate()?;
        }
        #[cfg(feature = "gpu")]
        if let Some(gpu) = &self.gpu {
            gpu.every.map_or(Ok(()), |every| check_interval("sampler.gpu.every", every))?;
            gpu.validate()?;
        }
        self.thresholds.validate()
    }
}

/// Checks the interval of a source.
pub(crate) fn check_interval(setting: &'static str, every: Duration) -> Result<(), ConfigError> {
    let usable = (Duration::from_millis(100)..=Duration::from_secs(3_600)).contains(&every);
    ConfigError::check(usable, setting, every, "from 100 ms to one hour")
}
