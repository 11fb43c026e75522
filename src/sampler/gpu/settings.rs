//! Settings for reading GPUs.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::error::ConfigError;

/// Settings for reading GPUs.
///
/// # Example
/// ```
/// use campanile::sampler::{GpuSettings, SamplerSettings};
///
/// let text = r#"{"gpu": {"every": "5s", "processes": true}}"#;
/// let settings: SamplerSettings = serde_json::from_str(text).unwrap();
/// assert!(settings.gpu.is_some_and(|gpu| gpu.processes));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct GpuSettings {
    /// The interval between two readings: from 100 ms to one hour. Default: the interval of the sampler.
    #[serde(with = "crate::base::duration::option")]
    pub every: Option<Duration>,
    /// The interval between two readings of the values that take the driver longer (PCIe throughput, fans, NVLinks,
    /// processes): from 1 s to one hour, and at least `every`. Default: 60 s.
    #[serde(with = "crate::base::duration")]
    pub slow_every: Duration,
    /// Whether to read how much memory of each GPU this process uses. Default: `false`, because the driver walks through
    /// all processes for it, which takes milliseconds and blocks other callers.
    pub processes: bool,
    /// Path to the library of the driver. Default: the `libnvidia-ml.so.1` (`nvml.dll` on Windows) that the system finds.
    pub library: Option<PathBuf>,
}

impl Default for GpuSettings {
    fn default() -> Self {
        Self { every: None, slow_every: Duration::from_secs(60), processes: false, library: None }
    }
}

impl GpuSettings {
    pub(in crate::sampler) fn validate(&self) -> Result<(), ConfigError> {
        let fine = (Duration::from_secs(1)..=Duration::from_secs(3_600)).contains(&self.slow_every);
        ConfigError::check(fine, "sampler.gpu.slow_every", self.slow_every, "from 1 s to one hour")?;
        if let Some(library) = &self.library {
            let fine = !library.as_os_str().is_empty();
            ConfigError::check(
                fine,
                "sampler.gpu.library",
                library,
                "the path of a library, or no value for the library that the system finds",
            )?;
        }
        Ok(())
    }
}
