//! The redactor.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::body::Body;
use super::cards;
use super::rule::Rule;
use super::rules::Rules;
use super::search::Format;
use super::settings::RedactionSettings;
use super::treatment::Treatment;
use crate::base::error::ConfigError;

/// Removes secrets from texts and values. Clones share their rules.
///
/// # Example
/// ```
/// use std::borrow::Cow;
///
/// use campanile::redact::{RedactionSettings, Redactor};
///
/// let redactor = Redactor::from_settings(&RedactionSettings::default())?;
/// assert_eq!(redactor.text("https://ann:pw@host/a?x=1"), "https://[redacted]@host/a?x=1");
/// // A text without a secret is borrowed, without an allocation.
/// assert!(matches!(redactor.text("order 17 is paid"), Cow::Borrowed(_)));
/// # Ok::<(), campanile::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct Redactor {
    rules: Arc<Rules>,
}

impl Redactor {
    /// Makes the redactor that `settings` describe.
    ///
    /// # Errors
    /// - A name has no letters and digits, or more than 64.
    /// - A regular expression is invalid.
    /// - A treatment is `hash`, and neither the settings nor the environment variable `CAMPANILE_REDACTION_KEY` have a key
    ///   of at least 16 bytes.
    pub fn from_settings(settings: &RedactionSettings) -> Result<Self, ConfigError> {
        Self::with_variables(settings, |variable| std::env::var(variable).ok())
    }

    /// As [`from_settings`](Self::from_settings), with other environment variables.
    pub(crate) fn with_variables(
        settings: &RedactionSettings,
        variable: impl FnOnce(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        Ok(Self { rules: Arc::new(Rules::new(settings, variable)?) })
    }

    /// A redactor that keeps signatures in URLs, and the URLs of webhooks, so that requests can still be sent to them.
    pub(crate) fn without_signatures(&self) -> Self {
        Self { rules: Arc::new(self.rules.without_signatures()) }
    }

    /// Removes the secrets from `text`.
    #[must_use]
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.redact(text, Format::Text, &mut |_| ()).map_or(Cow::Borrowed(text), Cow::Owned)
    }

    /// Removes the secrets from `text`, which need not be UTF-8.
    #[must_use]
    pub fn bytes<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        self.rules.clean(text, Format::Text, &mut |_| ()).map_or(Cow::Borrowed(text), Cow::Owned)
    }

    /// Removes the secrets from the query of a URL or from a form: `name=value` pairs, separated by `&`.
    #[must_use]
    pub fn query<'a>(&self, query: &'a str) -> Cow<'a, str> {
        self.redact(query, Format::Query, &mut |_| ()).map_or(Cow::Borrowed(query), Cow::Owned)
    }

    /// Removes the secrets from the value of a field named `name`: the whole value, if that is the name of a secret.
    #[must_use]
    pub fn value<'a>(&self, name: &str, value: &'a str) -> Cow<'a, str> {
        let rule = self.rule(name);
        if value.is_empty() || !rule.hides(value.as_bytes()) {
            return self.text(value);
        }
        self.replacement(rule.treatment, value.as_bytes())
    }

    /// The treatment of values of fields named `name`.
    pub(crate) fn treatment(&self, name: &str) -> Treatment {
        self.rule(name).treatment
    }

    /// The rule for values of fields named `name`.
    pub(crate) fn rule(&self, name: &str) -> Rule {
        self.rules.rule(name.as_bytes(), false)
    }

    /// The text that replaces `secret`.
    pub(crate) fn replacement(&self, treatment: Treatment, secret: &[u8]) -> Cow<'static, str> {
        self.rules.replacement(treatment, secret)
    }

    /// Removes the secrets from `text`; `None` if it has none. Calls `found` with the name or the shape of each.
    pub(crate) fn redact(&self, text: &str, format: Format, found: &mut dyn FnMut(&str)) -> Option<String> {
        let clean = self.rules.clean(text.as_bytes(), format, found)?;
        // Secrets begin and end at character boundaries. If one did not, the rest of the character is replaced.
        Some(
            String::from_utf8(clean)
                .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
        )
    }

    /// Removes the secrets from the body of a message with the `Content-Type` `kind`. Calls `found` as [`Self::redact`] does.
    pub(crate) fn body(&self, kind: &[u8], body: &[u8], found: &mut dyn FnMut(&str)) -> Body {
        self.rules.body(kind, body, found)
    }

    /// As [`Self::redact`], for bytes that need not be UTF-8.
    pub(crate) fn redact_bytes(&self, text: &[u8], found: &mut dyn FnMut(&str)) -> Option<Vec<u8>> {
        self.rules.clean(text, Format::Text, found)
    }

    /// The text that replaces a number, if it is the number of a payment card.
    pub(crate) fn number(&self, number: u64) -> Option<Cow<'static, str>> {
        (self.rules.cards != Treatment::Leave && cards::is_card(number))
            .then(|| self.replacement(self.rules.cards, number.to_string().as_bytes()))
    }
}

#[cfg(test)]
impl Redactor {
    pub(super) fn rules_for_tests(&self) -> &Rules {
        &self.rules
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redactor").finish_non_exhaustive()
    }
}
