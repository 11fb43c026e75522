//! What is redacted, and what stands in its place.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::keyed::HashKey;
use super::treatment::Treatment;

/// What is redacted. Unknown keys are refused.
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
    /// - `tokens` and `pw` where a name ends with it and the value is no count (a number of at most 9 digits), and `pass`
    ///   as a whole name with a value that is no number of at most 3 digits;
    /// - `sid` and `bearer` where a name ends with them, and `auth` as a whole name, if the value has 8 bytes or more in
    ///   which letters and digits follow each other as by chance, and is no UUID;
    /// - where a name ends with them and the value has as many digits: `pin` (4 to 12), `otp` (4 to 10), `ssn` (4 to 9),
    ///   `cvv`, `cvv2`, `cvc` and `csc` (3 or 4).
    ///
    /// Names that go on with a word that describes a secret are none: `token_type`, `token_endpoint`, `password_policy`,
    /// `secret_name`, `cookie_domain` and the like.
    pub defaults: bool,
    /// What is done with the values of more names, or of default ones. A name is found in longer ones, word by
    /// word; of several the longest decides.
    pub names: BTreeMap<String, Treatment>,
    /// What is done with numbers of payment cards and of bank accounts (IBAN). Default: a marker.
    pub cards: Treatment,
    /// What is done with e-mail addresses. Default: a marker.
    pub emails: Treatment,
    /// What is done with credentials that their shape gives away. Default: a marker. They are `Bearer` and `Basic`, JWTs,
    /// private keys in PEM, keys of some forty services (AWS, Google, Stripe, GitHub, GitLab, npm, PyPI, Docker, Slack,
    /// Discord, Telegram, Twilio, SendGrid, OpenAI, Anthropic, Hugging Face, Vault, Grafana, Shopify and others), and the
    /// URLs of webhooks of Slack, Discord, Teams, Zapier and PagerDuty.
    pub credentials: Treatment,
    /// What is done with the user's part of URLs, and with the signatures in the queries of those that were
    /// signed (`sig`, `Signature`, `X-Goog-Signature`, `AWSAccessKeyId`), and there with `code` and `key` of 16 bytes or
    /// more that look as if chosen by chance. Default: a marker.
    pub urls: Treatment,
    /// What is done with what these regular expressions find: with their first group if they have one. Their
    /// syntax is that of the crate `regex`. They need the feature `telemetry`. One that can run to the end of a text and
    /// then fall back costs the square of its length: such a pattern does not belong here.
    pub patterns: BTreeMap<String, Treatment>,
    /// The key of hashes, of at least 16 bytes. The variable `CAMPANILE_REDACTION_KEY` stands in for one that is
    /// absent. It is never written.
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
    /// The variable that holds the key when the settings do not.
    pub const KEY_VARIABLE: &str = "CAMPANILE_REDACTION_KEY";

    /// Nothing is redacted.
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

    /// Names alone: no numbers of cards and no e-mail addresses are looked for.
    #[must_use]
    pub fn names_only() -> Self {
        Self { cards: Treatment::Leave, emails: Treatment::Leave, ..Self::default() }
    }

    /// Whether the default names are secret.
    #[must_use]
    pub fn defaults(mut self, yes: bool) -> Self {
        self.defaults = yes;
        self
    }

    /// More names whose values are replaced by a marker.
    #[must_use]
    pub fn mask<N: Into<String>>(self, names: impl IntoIterator<Item = N>) -> Self {
        self.names(names, Treatment::Mask)
    }

    /// Names whose values are replaced by a keyed hash.
    #[must_use]
    pub fn hash<N: Into<String>>(self, names: impl IntoIterator<Item = N>) -> Self {
        self.names(names, Treatment::Hash)
    }

    /// Names whose values stay, though they look like those of secrets.
    #[must_use]
    pub fn leave<N: Into<String>>(self, names: impl IntoIterator<Item = N>) -> Self {
        self.names(names, Treatment::Leave)
    }

    fn names<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>, treatment: Treatment) -> Self {
        self.names.extend(names.into_iter().map(|name| (name.into(), treatment)));
        self
    }

    /// What is done with numbers of payment cards and of bank accounts.
    #[must_use]
    pub fn cards(mut self, treatment: Treatment) -> Self {
        self.cards = treatment;
        self
    }

    /// What is done with e-mail addresses.
    #[must_use]
    pub fn emails(mut self, treatment: Treatment) -> Self {
        self.emails = treatment;
        self
    }

    /// What is done with credentials that their shape gives away.
    #[must_use]
    pub fn credentials(mut self, treatment: Treatment) -> Self {
        self.credentials = treatment;
        self
    }

    /// What is done with the user's part and the signature of URLs.
    #[must_use]
    pub fn urls(mut self, treatment: Treatment) -> Self {
        self.urls = treatment;
        self
    }

    /// One more regular expression, and what is done with what it finds: with its first group if it has one.
    #[cfg(feature = "telemetry")]
    #[cfg_attr(docsrs, doc(cfg(feature = "telemetry")))]
    #[must_use]
    pub fn pattern(mut self, pattern: impl Into<String>, treatment: Treatment) -> Self {
        self.patterns.insert(pattern.into(), treatment);
        self
    }

    /// The key of hashes: any text of at least 16 bytes that cannot be guessed.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(HashKey::new(key));
        self
    }

    /// What is to be hashed, if anything is.
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
