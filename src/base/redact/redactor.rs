//! What takes secrets out.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

#[cfg(feature = "telemetry")]
use regex_automata::meta::Regex;

use super::body::Body;
use super::keyed::{HashKey, Keyed};
use super::names::Names;
use super::rule::{Form, Rule};
use super::settings::{RedactionSettings, Treatment};
use super::text::Sort;
use super::urls::{CODES, SIGNATURES};
use super::{MARKER, cards, defaults};
use crate::base::error::ConfigError;

/// Takes secrets out of texts and values; from [`RedactionSettings::build`]. Clones share everything.
///
/// # Example
/// ```
/// use std::borrow::Cow;
///
/// use campanile::redact::RedactionSettings;
///
/// let redactor = RedactionSettings::default().build()?;
/// assert_eq!(redactor.text("https://ann:pw@host/a?x=1"), "https://[redacted]@host/a?x=1");
/// // What holds no secret is not touched, and nothing is allocated for it.
/// assert!(matches!(redactor.text("order 17 is paid"), Cow::Borrowed(_)));
/// # Ok::<(), campanile::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct Redactor {
    rules: Arc<Rules>,
}

/// What is looked for.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    names: Names,
    /// More names of parameters in queries.
    signatures: Names,
    /// Whether what stands before a sign matters.
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

impl Redactor {
    pub(super) fn new(
        settings: &RedactionSettings,
        variable: impl FnOnce(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let mut names = Names::default();
        if settings.defaults {
            defaults::add(&mut names);
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
                    let allowed = format!(
                        "`{hashed}` is to be hashed: set a key of at least 16 bytes that cannot be guessed, here or \
                         in the variable {}",
                        RedactionSettings::KEY_VARIABLE
                    );
                    ConfigError::new("key", "absent", allowed)
                })?;
                Some(Keyed::new(&HashKey::new(key))?)
            }
            (None, None) => None,
        };
        let rules = Rules {
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
        };
        #[cfg(not(feature = "telemetry"))]
        if let Some(pattern) = settings.patterns.keys().next() {
            let value = format_args!("{pattern:?}");
            return Err(ConfigError::new(
                "patterns",
                value,
                "campanile is built without the feature `telemetry`",
            ));
        }
        Ok(Self { rules: Arc::new(rules) })
    }

    /// Leaves in a URL what gives the right to send a request there: its signature, or the URL of a webhook itself.
    pub(crate) fn without_signatures(&self) -> Self {
        let rules = Rules { signatures: Names::default(), hooks: false, ..Rules::clone(&self.rules) };
        Self { rules: Arc::new(rules) }
    }

    /// `text` without the secrets in it.
    #[must_use]
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.redact(text, Sort::Text, &mut |_| ()).map_or(Cow::Borrowed(text), Cow::Owned)
    }

    /// `text` without the secrets in it, where it need not be UTF-8.
    #[must_use]
    pub fn bytes<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        self.rules.clean(text, Sort::Text, &mut |_| ()).map_or(Cow::Borrowed(text), Cow::Owned)
    }

    /// The query of a URL, or a form, without the secrets in it: `name=value` pairs with `&` between them.
    #[must_use]
    pub fn query<'a>(&self, query: &'a str) -> Cow<'a, str> {
        self.redact(query, Sort::Query, &mut |_| ()).map_or(Cow::Borrowed(query), Cow::Owned)
    }

    /// The value that goes by `name`: nothing of it if that is the name of a secret, else the value without the
    /// secrets in it.
    #[must_use]
    pub fn value<'a>(&self, name: &str, value: &'a str) -> Cow<'a, str> {
        let rule = self.rule(name);
        if value.is_empty() || !rule.hides(value.as_bytes()) {
            return self.text(value);
        }
        self.replacement(rule.treatment, value.as_bytes())
    }

    /// What is done with the values that go by `name`.
    ///
    /// Of some names, such as `pin` and `tokens`, only with those of a certain form: see
    /// [`RedactionSettings::defaults`].
    #[must_use]
    pub fn treatment(&self, name: &str) -> Treatment {
        self.rule(name).treatment
    }

    /// What is done with the values that go by `name`, and with which of them.
    pub(crate) fn rule(&self, name: &str) -> Rule {
        self.rules.rule(name.as_bytes(), false)
    }

    /// What stands in the place of `secret`.
    pub(crate) fn replacement(&self, treatment: Treatment, secret: &[u8]) -> Cow<'static, str> {
        self.rules.replacement(treatment, secret)
    }

    /// `text` without the secrets in it, or `None` if there are none; `found` hears the name of each, or what
    /// shape it has.
    pub(crate) fn redact(&self, text: &str, sort: Sort, found: &mut dyn FnMut(&str)) -> Option<String> {
        let clean = self.rules.clean(text.as_bytes(), sort, found)?;
        // Secrets begin and end where characters do. If one did not, what is left of the character is of no use.
        Some(
            String::from_utf8(clean)
                .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
        )
    }

    /// What becomes of the body of a message whose `Content-Type` is `kind`; `found` hears as in [`Self::redact`].
    pub(crate) fn body(&self, kind: &[u8], body: &[u8], found: &mut dyn FnMut(&str)) -> Body {
        self.rules.body(kind, body, found)
    }

    /// As [`Self::redact`], for what need not be UTF-8.
    pub(crate) fn redact_bytes(&self, text: &[u8], found: &mut dyn FnMut(&str)) -> Option<Vec<u8>> {
        self.rules.clean(text, Sort::Text, found)
    }

    /// What stands in the place of a number that goes by no name of a secret, if that is the number of a card.
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

impl Rules {
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

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redactor").finish_non_exhaustive()
    }
}
