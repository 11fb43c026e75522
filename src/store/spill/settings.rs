//! What can be set of a spill.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::error::ConfigError;

/// Where letters go that the store does not take, and how many: see
/// [`DeadLetterQueueBuilder::spill`](crate::dead_letter::DeadLetterQueueBuilder::spill). Unknown keys are refused.
///
/// # Example
/// ```
/// use campanile::dead_letter::SpillSettings;
///
/// let on_another_disk: SpillSettings =
///     serde_json::from_str(r#"{ "path": "/var/spool/shop/spill.db", "capacity": 20000 }"#)?;
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SpillSettings {
    /// The SQLite file, another than that of the letters and best on another disk. It is made when it is not there.
    pub path: PathBuf,
    /// How long the store may take before a letter goes to the spill: more than zero and less than the park timeout.
    /// Default: two fifths of that, which is 400 ms unless it is set.
    #[serde(with = "crate::base::duration::option", default)]
    pub after: Option<Duration>,
    /// The most letters of a queue in the spill: at least 1. Default 100,000.
    #[serde(default = "letters")]
    pub capacity: u64,
    /// The most bytes of all of them: at least 65,536. Default 1 GiB.
    #[serde(default = "bytes")]
    pub max_bytes: u64,
}

fn letters() -> u64 {
    100_000
}

fn bytes() -> u64 {
    1024 * 1024 * 1024
}

impl SpillSettings {
    /// The defaults, in the file at `path`.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), after: None, capacity: letters(), max_bytes: bytes() }
    }

    setters! {
        /// How long the store may take before a letter goes to the spill.
        #[must_use]
        pub fn after(time: Duration) { after = Some(time); }
        /// The most letters of a queue in the spill, at least 1.
        #[must_use]
        pub fn capacity(letters: u64) { capacity = letters; }
        /// The most bytes of all letters of a queue in the spill, at least 65,536.
        #[must_use]
        pub fn max_bytes(bytes: u64) { max_bytes = bytes; }
    }

    /// How long a store may take, where a caller waits for `park_timeout`.
    pub(crate) fn patience(&self, park_timeout: Duration) -> Duration {
        self.after.unwrap_or(park_timeout * 2 / 5)
    }

    pub(crate) fn validate(&self, park_timeout: Duration) -> Result<(), ConfigError> {
        ConfigError::check(
            cfg!(feature = "sqlite"),
            "spill",
            &self.path,
            "it needs the feature `sqlite` of the crate",
        )?;
        ConfigError::check(!self.path.as_os_str().is_empty(), "spill.path", &self.path, "not empty")?;
        if let Some(after) = self.after {
            ConfigError::check(
                !after.is_zero() && after < park_timeout,
                "spill.after",
                after,
                "more than zero and less than `park_timeout`",
            )?;
        }
        ConfigError::check(
            (1..=i64::MAX as u64).contains(&self.capacity),
            "spill.capacity",
            self.capacity,
            "at least 1 and at most 2^63 - 1",
        )?;
        ConfigError::check(
            (65_536..=i64::MAX as u64).contains(&self.max_bytes),
            "spill.max_bytes",
            self.max_bytes,
            "at least 65536 bytes and at most 2^63 - 1",
        )
    }
}

impl From<PathBuf> for SpillSettings {
    fn from(path: PathBuf) -> Self {
        Self::new(path)
    }
}

impl From<&Path> for SpillSettings {
    fn from(path: &Path) -> Self {
        Self::new(path)
    }
}

impl From<&str> for SpillSettings {
    fn from(path: &str) -> Self {
        Self::new(path)
    }
}

impl From<String> for SpillSettings {
    fn from(path: String) -> Self {
        Self::new(path)
    }
}
