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
    /// The interval between two readings: from 100 ms to one hour. Default: the interval of the sampler.
    #[serde(with = "crate::base::duration::option")]
    pub every: Option<Duration>,
    /// The sources, by their names in `campanile.sampler.duration`: `system`, `disk`, `network`, `filesystem`, `processes`,
    /// `processors`, `process`, `container`, `runtime`. Default: all. `["!runtime"]` is all but one, and
    /// `["!*", "process"]` is only one.
    pub sources: Vec<String>,
    /// Whether to report the time, the shares and the clock of each processor instead of all processors together: seven
    /// modes times two metrics for each processor. Default: `false`.
    pub by_core: bool,
    /// Disks by name (Linux), such as `sda`. Default: whole disks, without partitions and without devices on other disks or
    /// in memory (`loop`, `ram`, `zram`, `dm-`, `md`), whose bytes would count twice.
    pub disks: Vec<String>,
    /// Network interfaces by name (Linux), such as `eth0`. Default: network cards, without loopback and without interfaces
    /// on top of others or to containers of this machine. Inside a container, where no card is visible, its own interfaces.
    pub interfaces: Vec<String>,
    /// File systems by mount point (Linux). It takes precedence over [`file_system_types`](Self::file_system_types). Default:
    /// empty, so that the types decide.
    pub file_systems: Vec<String>,
    /// File systems by type (Linux), such as `ext4`. Default: those on local disks, and the root of a container. A network
    /// file system (`nfs*`, `cifs`, `fuse.sshfs`) may hang with its server. Then it has no values until it answers, and
    /// `campanile.sampler.failures` counts failures of the part `statvfs`. Other file systems are not affected.
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
