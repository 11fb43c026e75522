use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::filters::{NameFilter, validate};
use crate::base::error::ConfigError;

/// What is read of the machine, its container, this process and its runtime.
///
/// `sources`, `disks`, `interfaces`, `file_systems` and `file_system_types` are lists of patterns for names. In a pattern,
/// `*` stands for any number of characters and `?` for one. A pattern that begins with `!` excludes the names that it
/// matches, any other pattern includes them. The last pattern that matches a name decides. A name that no pattern matches
/// is decided by the default of its kind, which excludes virtual devices.
///
/// # Example
/// ```
/// use campanile::sampler::{SamplerSettings, SystemSettings};
///
/// let settings: SamplerSettings = serde_json::from_str(
///     r#"{"system": {"by_core": true, "interfaces": ["lo"], "file_systems": ["!/mnt/*"], "file_system_types": ["nfs*"]}}"#,
/// )
/// .unwrap();
/// assert!(settings.system.unwrap().by_core);
///
/// let mut settings = SystemSettings::default();
/// settings.interfaces = vec!["lo".into()]; // loopback too
/// settings.disks = vec!["!*".into(), "nvme*".into()]; // only these
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct SystemSettings {
    /// The time between two readings, where it is not that of the sampler: from 100 ms to one hour.
    #[serde(with = "crate::base::duration::option")]
    pub every: Option<Duration>,
    /// Which sources are read, by the name that `campanile.sampler.duration` has for them: `system`, `disk`, `network`,
    /// `filesystem`, `processes`, `processors`, `process`, `container`, `runtime`. All of them by default;
    /// `["!runtime"]` is all but one, `["!*", "process"]` one alone.
    pub sources: Vec<String>,
    /// Processor time, shares of it and the clock of each processor, instead of those of all together: seven modes
    /// times two metrics for each processor. Off by default.
    pub by_core: bool,
    /// Disks by name (Linux), such as `sda`. By default those that are devices of their own: no partition, and nothing
    /// that lies on other disks or in memory (`loop`, `ram`, `zram`, `dm-`, `md`), whose bytes would count twice.
    pub disks: Vec<String>,
    /// Network interfaces by name (Linux), such as `eth0`. By default those that are devices of their own: no loopback,
    /// and nothing that lies on others or leads to a container of this machine. Inside a container, where no interface
    /// is a device, its own are reported.
    pub interfaces: Vec<String>,
    /// File systems by mount point (Linux); goes before [`file_system_types`](Self::file_system_types).
    pub file_systems: Vec<String>,
    /// File systems by type (Linux), such as `ext4`. By default those on local disks, and the root of a container. One
    /// that comes over a network (`nfs*`, `cifs`, `fuse.sshfs`) may hang with its server: then it has no values until it
    /// answers, `campanile.sampler.failures` counts that under the part `statvfs`, and the others have theirs.
    pub file_system_types: Vec<String>,
}

impl SystemSettings {
    pub(in crate::sampler) fn validate(&self) -> Result<(), ConfigError> {
        validate(&self.sources, "sampler.system.sources")?;
        validate(&self.disks, "sampler.system.disks")?;
        validate(&self.interfaces, "sampler.system.interfaces")?;
        validate(&self.file_systems, "sampler.system.file_systems")?;
        validate(&self.file_system_types, "sampler.system.file_system_types")
    }

    /// Whether the source of this name is read.
    pub(in crate::sampler) fn reads(&self, source: &str) -> bool {
        NameFilter::new(&self.sources).decide(source).unwrap_or(true)
    }
}
