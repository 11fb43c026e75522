use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::ConfigError;

/// What is read of the GPUs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct GpuSettings {
    /// The time between two readings, where it is not that of the sampler: from 100 ms to one hour.
    #[serde(with = "crate::duration::option")]
    pub every: Option<Duration>,
}

impl GpuSettings {
    pub(in crate::sampler) fn validate(&self) -> Result<(), ConfigError> {
        Ok(())
    }
}
