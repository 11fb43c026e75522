//! The rules of a redactor, made from its settings.

use std::borrow::Cow;

#[cfg(feature = "telemetry")]
use regex_automata::meta::Regex;

use super::defaults::{CODES, SIGNATURES};
use super::keyed::{HashKey, Keyed};
use super::marker::MARKER;
use super::names::Names;
use super::rule::{Form, Rule};
use super::settings::RedactionSettings;
use super::treatment::Treatment;
use crate::base::error::ConfigError;

/// The rules of a redactor.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    names: Names,
    /// Further names, for query parameters only.
    signatures: Names,
    /// Whether names before a sign such as `=` are looked up.
    pub(super) signs: bool,
    pub(super) cards: Treatment,
    pub(super) emails: Treatment,
    pub(super) credentials: Treatment,
    pub(super) urls: Treatment,
    /// Whether the URLs of webhooks are secret.
    pub(super) hooks: bool,
    #[cfg(feature = "telemetry")]
    pub(super) patterns: Vec<(Regex, Treatment)>,
    keyed: Option<Keyed>,
}

impl Rules {
    pub(super) fn new(
        settings: &RedactionSettings,
        variable: impl FnOnce(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let mut names = Names::default();
        if settings.defaults {
            names.add_defaults();
        }
        for (name, treatment) in &settings.names {
            if !names.set(name, *treatment) {
                let value = format_args!("{name:?}");
                return Err(ConfigError::new("names", value, "names of 1 to 64 letters and digits"));
            }
        }
        let mut signatures = Names::default();
        if settings.urls != Treatment::Leave {
            SIGNATURES.iter().for_each(|name| {
                signatures.set(name, settings.urls);
            });
            CODES.iter().for_each(|name| signatures.set_whole(name, settings.urls, Form::Random(16)));
        }
        let keyed = match (&settings.key, settings.hashed()) {
            (Some(key), _) => Some(Keyed::new(key)?),
            (None, Some(hashed)) => {
                let key = variable(RedactionSettings::KEY_VARIABLE).ok_or_else(|| {
                    let reason = format!(
                        "`{hashed}` is to be hashed; set a key of at least 16 bytes that cannot be guessed, in this \
                         setting or in the variable {}",
                        RedactionSettings::KEY_VARIABLE
                    );
                    ConfigError::because("key", "absent", reason)
                })?;
                Some(Keyed::new(&HashKey::new(key))?)
            }
            (None, None) => None,
        };
        #[cfg(not(feature = "telemetry"))]
        if let Some(pattern) = settings.patterns.keys().next() {
            let value = format_args!("{pattern:?}");
            return Err(ConfigError::because(
                "patterns",
                value,
                "patterns need the feature `telemetry` of campanile, which is off",
            ));
        }
        Ok(Self {
            signs: names.any() || settings.urls != Treatment::Leave,
            names,
            signatures,
            cards: settings.cards,
            emails: settings.emails,
            credentials: settings.credentials,
            urls: settings.urls,
            hooks: settings.credentials != Treatment::Leave,
            #[cfg(feature = "telemetry")]
            patterns: patterns(settings)?,
            keyed,
        })
    }

    /// The same rules, except those for signatures in queries and for URLs of webhooks.
    pub(super) fn without_signatures(&self) -> Self {
        Self { signatures: Names::default(), hooks: false, ..self.clone() }
    }

    pub(super) fn rule(&self, name: &[u8], in_query: bool) -> Rule {
        match self.names.rule(name) {
            Rule { treatment: Treatment::Leave, .. } if in_query => self.signatures.rule(name),
            rule => rule,
        }
    }

    pub(super) fn replacement(&self, treatment: Treatment, secret: &[u8]) -> Cow<'static, str> {
        match (treatment, &self.keyed) {
            (Treatment::Hash, Some(keyed)) => Cow::Owned(keyed.hash(secret)),
            _ => Cow::Borrowed(MARKER),
        }
    }
}

#[cfg(feature = "telemetry")]
fn patterns(settings: &RedactionSettings) -> Result<Vec<(Regex, Treatment)>, ConfigError> {
    let patterns = settings.patterns.iter().filter(|(_, treatment)| **treatment != Treatment::Leave);
    patterns
        .map(|(pattern, treatment)| match Regex::new(pattern) {
            Ok(regex) => Ok((regex, *treatment)),
            Err(error) => {
                let why = match (error.syntax_error(), error.size_limit()) {
                    (Some(error), _) => error.to_string(),
                    (None, Some(limit)) => format!("compiled, it takes more than {limit} bytes"),
                    (None, None) => error.to_string(),
                };
                let allowed = format!("a regular expression ({why})");
                Err(ConfigError::new("patterns", format_args!("{pattern:?}"), allowed))
            }
        })
        .collect()
}
