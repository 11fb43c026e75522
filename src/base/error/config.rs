//! Invalid settings.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

/// The error of an invalid setting: its name, its value and what is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    setting: Cow<'static, str>,
    value: String,
    allowed: Cow<'static, str>,
}

impl ConfigError {
    pub(crate) fn new(
        setting: impl Into<Cow<'static, str>>,
        value: impl fmt::Display,
        allowed: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { setting: setting.into(), value: value.to_string(), allowed: allowed.into() }
    }

    /// `Ok` if `fine`, otherwise the error with the `Debug` text of `value`.
    pub(crate) fn check(
        fine: bool,
        setting: &'static str,
        value: impl fmt::Debug,
        allowed: &'static str,
    ) -> Result<(), Self> {
        if fine { Ok(()) } else { Err(Self::new(setting, format_args!("{value:?}"), allowed)) }
    }

    /// Prefixes the name of the setting with `outer`.
    pub(crate) fn within(mut self, outer: &str) -> Self {
        self.setting = format!("{outer}.{}", self.setting).into();
        self
    }

    /// The name of the setting, with dots between its parts.
    #[must_use]
    pub fn setting(&self) -> &str {
        &self.setting
    }

    /// The value that was refused.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "setting `{}` cannot be {}: {}", self.setting, self.value, self.allowed)
    }
}

impl Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_the_setting_the_value_and_what_is_allowed() {
        let error = ConfigError::check(false, "failure_rate", 1.5, "more than 0 and at most 1")
            .unwrap_err()
            .within("breaker");
        assert_eq!(
            error.to_string(),
            "setting `breaker.failure_rate` cannot be 1.5: more than 0 and at most 1"
        );
    }
}
