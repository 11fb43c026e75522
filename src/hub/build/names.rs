//! The names of parts.

use crate::base::error::ConfigError;
use crate::hub::config::{NAMES, is_name};

/// Checks the name of a part: sections and files have it too.
pub(super) fn check_name(kind: &str, name: &str) -> Result<(), ConfigError> {
    ConfigError::check(is_name(name), "name", name, NAMES).map_err(|error| error.of(kind, name))
}

/// The error of a part whose settings are changed where it is not built first.
pub(super) fn built_already(name: &str) -> ConfigError {
    let reason = "it is built already; change its settings where it is built first";
    ConfigError::because("name", format_args!("`{name}`"), reason)
}
