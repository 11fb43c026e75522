//! Invalid settings.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

/// The error of an invalid setting: its name, its value and what is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    setting: Cow<'static, str>,
    /// What the setting belongs to, such as "circuit breaker `payments`". Empty if that has no name.
    owner: String,
    value: String,
    rule: Rule,
}

/// Why the value was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    /// What is allowed.
    Allowed(Cow<'static, str>),
    /// What prevents this value, and what to do.
    Reason(Cow<'static, str>),
}

impl ConfigError {
    /// The error of a `value` that is not one of the `allowed` ones, as in "from 0 to 1".
    pub(crate) fn new(
        setting: impl Into<Cow<'static, str>>,
        value: impl fmt::Display,
        allowed: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::with_rule(setting.into(), value.to_string(), Rule::Allowed(allowed.into()))
    }

    /// The error of a `value` that would be valid otherwise. `reason` says what prevents it, and what to do.
    pub(crate) fn because(
        setting: impl Into<Cow<'static, str>>,
        value: impl fmt::Display,
        reason: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::with_rule(setting.into(), value.to_string(), Rule::Reason(reason.into()))
    }

    fn with_rule(setting: Cow<'static, str>, value: String, rule: Rule) -> Self {
        Self { setting, owner: String::new(), value, rule }
    }

    /// `Ok` if `valid`, otherwise the error with the `Debug` text of `value`.
    pub(crate) fn check(
        valid: bool,
        setting: &'static str,
        value: impl fmt::Debug,
        allowed: &'static str,
    ) -> Result<(), Self> {
        if valid { Ok(()) } else { Err(Self::new(setting, format_args!("{value:?}"), allowed)) }
    }

    /// Prefixes the name of the setting with `outer`.
    pub(crate) fn within(mut self, outer: &str) -> Self {
        self.setting = format!("{outer}.{}", self.setting).into();
        self
    }

    /// Names what the setting belongs to: a `kind` of thing, such as "circuit breaker", and its `name`.
    pub(crate) fn of(mut self, kind: &str, name: &str) -> Self {
        if !name.is_empty() {
            self.owner = format!("{kind} `{name}`");
        }
        self
    }

    /// The refused value and what is allowed, without the name of the setting.
    pub(crate) fn refusal(&self) -> String {
        match &self.rule {
            Rule::Allowed(allowed) => format!("cannot be {}; allowed: {allowed}", self.value),
            Rule::Reason(reason) => format!("cannot be {}: {reason}", self.value),
        }
    }

    /// What is allowed, without the value.
    pub(crate) fn rule(&self) -> String {
        match &self.rule {
            Rule::Allowed(allowed) => format!("allowed: {allowed}"),
            Rule::Reason(reason) => reason.to_string(),
        }
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
        write!(f, "setting `{}`", self.setting)?;
        if !self.owner.is_empty() {
            write!(f, " of {}", self.owner)?;
        }
        write!(f, " {}", self.refusal())
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
            "setting `breaker.failure_rate` cannot be 1.5; allowed: more than 0 and at most 1"
        );
        assert_eq!(
            error.of("circuit breaker", "payments").to_string(),
            "setting `breaker.failure_rate` of circuit breaker `payments` cannot be 1.5; allowed: more than 0 and at \
             most 1"
        );
        assert_eq!(
            ConfigError::because("otlp", "on", "the feature is off; turn it on").of("x", "").to_string(),
            "setting `otlp` cannot be on: the feature is off; turn it on"
        );
    }
}
