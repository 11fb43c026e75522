//! The names of parts.

use crate::base::error::ConfigError;

/// Checks the name of a part.
pub(super) fn check_name(kind: &str, name: &str) -> Result<(), ConfigError> {
    let valid = !name.trim().is_empty() && name.len() <= 128;
    ConfigError::check(valid, "name", name, "a text of 1 to 128 bytes that is not blank")
        .map_err(|error| error.of(kind, name))
}

/// The error of a part whose settings are changed where it is not built first.
pub(super) fn built_already(name: &str) -> ConfigError {
    let reason = "it is built already; change its settings where it is built first";
    ConfigError::because("name", format_args!("`{name}`"), reason)
}
