//! Why there is no connector.

use crate::base::error::ConfigError;

/// Why there can be no connector.
#[derive(Debug)]
pub(crate) enum Fault {
    /// A file is of no use.
    Setting(ConfigError),
    /// No file names authorities, and the machine trusts none: how that came about.
    NoAuthority(String),
    /// Any other reason.
    Other(String),
}

impl From<ConfigError> for Fault {
    fn from(error: ConfigError) -> Self {
        Self::Setting(error)
    }
}
