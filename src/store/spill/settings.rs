//! The settings of the spill.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::error::ConfigError;

/// The settings of a spill: see
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
    /// The path of the SQLite file, preferably on another disk than the store. It must not be the file of the store.
    /// It is created if it does not exist.
    pub path: PathBuf,
    /// How long the store may take before a letter goes to the spill: more than zero and less than the park timeout.
    /// Default: two fifths of the park timeout, which is 400 ms by default.
    #[serde(with = "crate::base::duration::option", default)]
    pub after: Option<Duration>,
    /// The largest number of letters of one queue in the spill: at least 1. Default: 100,000.
    #[serde(default = "letters")]
    pub capacity: u64,
    /// The largest sum of bytes of the letters of one queue in the spill: at least 65,536. Default: 1 GiB.
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
    /// The default settings for the file at `path`.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), after: None, capacity: letters(), max_bytes: bytes() }
    }

    setters! {
        /// Sets [`SpillSettings::after`].
        #[must_use]
        pub fn after(time: Duration) { after = Some(time); }
        /// Sets [`SpillSettings::capacity`].
        #[must_use]
        pub fn capacity(letters: u64) { capacity = letters; }
        /// Sets [`SpillSettings::max_bytes`].
        #[must_use]
        pub fn max_bytes(bytes: u64) { max_bytes = bytes; }
    }

    /// How long the store may take, given the park timeout of the queue.
    pub(crate) fn put_timeout(&self, park_timeout: Duration) -> Duration {
        self.after.unwrap_or(park_timeout * 2 / 5)
    }

    pub(crate) fn validate(&self, park_timeout: Duration) -> Result<(), ConfigError> {
        ConfigError::check(
            cfg!(feature = "sqlite"),
            "spill",
            &self.path,
            "no spill, because the feature `sqlite` of campanile is off",
        )?;
        ConfigError::check(
            !self.path.as_os_str().is_empty(),
            "spill.path",
            &self.path,
            "the path of a file",
        )?;
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
            "from 1 to 2^63 - 1",
        )?;
        ConfigError::check(
            (65_536..=i64::MAX as u64).contains(&self.max_bytes),
            "spill.max_bytes",
            self.max_bytes,
            "from 65536 to 2^63 - 1 bytes",
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
