//! Settings of redaction.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::keyed::HashKey;
use super::treatment::Treatment;

/// Settings of a [`Redactor`](super::Redactor): what is redacted, and by what it is replaced. Unknown keys are refused.
///
/// # Example
/// ```
/// use campanile::redact::{RedactionSettings, Redactor};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let settings: RedactionSettings = serde_json::from_str(
///     r#"{
///         "names": { "account": "mask", "customer": "hash", "page_token": "leave" },
///         "emails": "hash",
///         "key": "0123456789abcdef0123456789abcdef"
///     }"#,
/// )?;
/// let redactor = Redactor::from_settings(&settings)?;
/// assert_eq!(redactor.text("account=17-4711"), "account=[redacted]");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RedactionSettings {
    /// Whether the default names are secret. Default: yes. They are:
    ///
    /// - `authorization`, `cookie`, `set-cookie`, `password`, `passwords`, `passwd`, `pswd`, `pgpassword`, `passphrase`,
    ///   `passcode`, `pwd`, `secret`, `secrets`, `client-secret`, `secret-key`, `token`, `access-token`, `auth-token`,
    ///   `refresh-token`, `id-token`, `jwt`, `api-key`, `api-keys`, `private-key`, `access-key`, `account-key`,
    ///   `signing-key`, `encryption-key`, `decryption-key`, `master-key`, `shared-key`, `auth-key`, `session-key`,
    ///   `ssh-key`, `hmac-key`, `storage-key`, `license-key`, `subscription-key`, `application-key`, `client-key-data`,
    ///   `ocp-apim-subscription-key`, `x-functions-key`, `session-id`, `sessid`, `credential`, `credentials`, `creds`,
    ///   `code-verifier`, `client-assertion`, `device-code`, `saml-response`, `recovery-code`, `recovery-codes`,
    ///   `backup-codes`, `security-answer`, `seed-phrase`, `connection-string`, and `password` in German, Spanish, French,
    ///   Portuguese, Russian, Chinese and Japanese, wherever they stand in a name;
    /// - one word that ends with `password`, `passwd`, `passphrase`, `secret`, `token`, `apikey`, `secretkey`,
    ///   `accesskey`, `sessionid` or `sessid`: `dbpassword`, `JSESSIONID`;
    /// - `x-auth`, and `pass` after `db`, `user`, `admin`, `root`, `smtp`, `mail`, `ftp`, `ldap`, `ssh`, `vault`, `mysql`
    ///   and `redis`, where they end a name;
    /// - `tokens` and `pw` at the end of a name, unless the value is a number of at most 9 digits, and `pass` as a whole
    ///   name, unless the value is a number of at most 3 digits;
    /// - `sid` and `bearer` at the end of a name, and `auth` as a whole name, if the value has at least 8 bytes, looks
    ///   random and is not a UUID;
    /// - `pin` (4 to 12 digits), `otp` (4 to 10), `ssn` (4 to 9), `cvv`, `cvv2`, `cvc` and `csc` (3 or 4) at the end of a
    ///   name, if the value has that number of digits.
    ///
    /// Names that end with a word that describes a secret are not names of secrets: `token_type`, `token_endpoint`,
    /// `password_policy`, `secret_name`, `cookie_domain` and the like.
    pub defaults: bool,
    /// Further names, or other treatments of default names. A name is found in longer names, word by word. If several are
    /// found, the longest decides.
    pub names: BTreeMap<String, Treatment>,
    /// The treatment of numbers of payment cards and of bank accounts (IBAN). Default: `mask`.
    pub cards: Treatment,
    /// The treatment of e-mail addresses. Default: `mask`.
    pub emails: Treatment,
    /// The treatment of credentials that are found by their shape. Default: `mask`. They are `Bearer` and `Basic`, JWTs,
    /// private keys in PEM, keys of some forty services (AWS, Google, Stripe, GitHub, GitLab, npm, PyPI, Docker, Slack,
    /// Discord, Telegram, Twilio, SendGrid, OpenAI, Anthropic, Hugging Face, Vault, Grafana, Shopify and others), and the
    /// URLs of webhooks of Slack, Discord, Teams, Zapier and PagerDuty.
    pub credentials: Treatment,
    /// The treatment of the user part of URLs, of signatures in queries (`sig`, `Signature`, `X-Goog-Signature`,
    /// `AWSAccessKeyId`), and of random-looking values of `code` and `key` of at least 16 bytes in queries. Default:
    /// `mask`.
    pub urls: Treatment,
    /// The treatment of the matches of regular expressions: of their first group, if they have one. The syntax is that
    /// of the crate `regex`. They need the feature `telemetry`. Do not use a pattern that can run to the end of a text
    /// and then fall back, because its cost is quadratic.
    pub patterns: BTreeMap<String, Treatment>,
    /// The key of the hashes, of at least 16 bytes. Default: the environment variable `CAMPANILE_REDACTION_KEY`. It is
    /// never serialized.
    #[serde(skip_serializing)]
    pub key: Option<HashKey>,
}

impl Default for RedactionSettings {
    fn default() -> Self {
        Self {
            defaults: true,
            names: BTreeMap::new(),
            cards: Treatment::Mask,
            emails: Treatment::Mask,
            credentials: Treatment::Mask,
            urls: Treatment::Mask,
            patterns: BTreeMap::new(),
            key: None,
        }
    }
}

impl RedactionSettings {
    /// The environment variable with the key, if the settings have none.
    pub(super) const KEY_VARIABLE: &str = "CAMPANILE_REDACTION_KEY";

    /// Settings that redact nothing.
    #[must_use]
    pub fn off() -> Self {
        Self {
            defaults: false,
            cards: Treatment::Leave,
            emails: Treatment::Leave,
            credentials: Treatment::Leave,
            urls: Treatment::Leave,
            ..Self::default()
        }
    }

    /// The default settings, except that numbers of cards and accounts and e-mail addresses stay.
    #[must_use]
    pub fn names_only() -> Self {
        Self { cards: Treatment::Leave, emails: Treatment::Leave, ..Self::default() }
    }

    /// Sets whether the default names are secret.
    #[must_use]
    pub fn defaults(mut self, yes: bool) -> Self {
        self.defaults = yes;
        self
    }

    /// Adds names whose values are replaced by a marker.
    #[must_use]
    pub fn mask<N: Into<String>>(self, names: impl IntoIterator<Item = N>) -> Self {
        self.names(names, Treatment::Mask)
    }

    /// Adds names whose values are replaced by a keyed hash.
    #[must_use]
    pub fn hash<N: Into<String>>(self, names: impl IntoIterator<Item = N>) -> Self {
        self.names(names, Treatment::Hash)
    }

    /// Adds names whose values are kept, although they look like names of secrets.
    #[must_use]
    pub fn leave<N: Into<String>>(self, names: impl IntoIterator<Item = N>) -> Self {
        self.names(names, Treatment::Leave)
    }

    fn names<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>, treatment: Treatment) -> Self {
        self.names.extend(names.into_iter().map(|name| (name.into(), treatment)));
        self
    }

    /// Sets the treatment of numbers of payment cards and of bank accounts.
    #[must_use]
    pub fn cards(mut self, treatment: Treatment) -> Self {
        self.cards = treatment;
        self
    }

    /// Sets the treatment of e-mail addresses.
    #[must_use]
    pub fn emails(mut self, treatment: Treatment) -> Self {
        self.emails = treatment;
        self
    }

    /// Sets the treatment of credentials that are found by their shape.
    #[must_use]
    pub fn credentials(mut self, treatment: Treatment) -> Self {
        self.credentials = treatment;
        self
    }

    /// Sets the treatment of the user part and the signature of URLs.
    #[must_use]
    pub fn urls(mut self, treatment: Treatment) -> Self {
        self.urls = treatment;
        self
    }

    /// Adds a regular expression, and the treatment of its matches: of its first group, if it has one.
    #[cfg(feature = "telemetry")]
    #[cfg_attr(docsrs, doc(cfg(feature = "telemetry")))]
    #[must_use]
    pub fn pattern(mut self, pattern: impl Into<String>, treatment: Treatment) -> Self {
        self.patterns.insert(pattern.into(), treatment);
        self
    }

    /// Sets the key of the hashes: a random text of at least 16 bytes.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(HashKey::new(key));
        self
    }

    /// The name of a setting whose values are hashed, if there is one.
    pub(super) fn hashed(&self) -> Option<String> {
        let shapes = [
            ("cards", self.cards),
            ("emails", self.emails),
            ("credentials", self.credentials),
            ("urls", self.urls),
        ];
        let given =
            self.names.iter().chain(&self.patterns).map(|(name, treatment)| (name.as_str(), *treatment));
        given
            .chain(shapes)
            .find_map(|(name, treatment)| (treatment == Treatment::Hash).then(|| name.to_owned()))
    }
}
