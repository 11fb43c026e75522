//! The errors of making a connector.

use crate::base::error::ConfigError;

/// The reason why a connector could not be made.
#[derive(Debug)]
pub(crate) enum ConnectorError {
    /// A file is unusable.
    Setting(ConfigError),
    /// No file of CA certificates is set, and the system has none: the errors of loading them.
    NoRootCertificates(String),
    /// Any other reason.
    Other(String),
}

impl From<ConfigError> for ConnectorError {
    fn from(error: ConfigError) -> Self {
        Self::Setting(error)
    }
}
