//! `[data]`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::base::error::ConfigError;

/// What outlives the process: `[data]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct DataSection {
    /// Directory of the data. An instance keeps its own in `DIRECTORY/SERVICE/INSTANCE`. Default: none, all is in memory.
    pub directory: Option<PathBuf>,
    /// Name of this instance of the service in the directory. Default: the name of the host, and the first free number.
    pub instance: Option<String>,
}

impl DataSection {
    pub(in crate::hub::config) fn check(&self) -> Result<(), ConfigError> {
        let Some(instance) = &self.instance else { return Ok(()) };
        let is_name =
            !instance.trim().is_empty() && !instance.contains(['/', '\\']) && !instance.starts_with('.');
        ConfigError::check(is_name, "instance", instance, "a name without `/`, `\\` and a dot at its start")
    }
}
