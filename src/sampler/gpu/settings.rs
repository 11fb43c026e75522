use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::error::ConfigError;

/// What is read of the GPUs.
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
    /// The time between two readings, where it is not that of the sampler: from 100 ms to one hour.
    #[serde(with = "crate::base::duration::option")]
    pub every: Option<Duration>,
    /// The time between two readings of what takes the driver long (PCIe throughput, fans, NVLinks, processes),
    /// and never shorter than that of the rest: from 1 s to one hour; 60 s by default.
    #[serde(with = "crate::base::duration")]
    pub slow_every: Duration,
    /// Whether to ask how much memory of each GPU this process uses. Off by default: the driver walks through
    /// all processes for it, milliseconds long, and holds up others meanwhile.
    pub processes: bool,
    /// The library of the driver, where it is not the `libnvidia-ml.so.1` (`nvml.dll` on Windows) that the
    /// system finds.
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
            ConfigError::check(fine, "sampler.gpu.library", library, "the path of a library, or nothing")?;
        }
        Ok(())
    }
}
