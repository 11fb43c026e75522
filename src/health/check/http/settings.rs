use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::patience;
use super::{HttpCheck, Statuses};
use crate::base::error::ConfigError;
use crate::base::tls::TlsSettings;

/// What an [`HttpCheck`] asks, and what answer is a good one, as a file can hold it. Unknown keys are refused.
///
/// # Example
/// ```
/// use campanile::health::HttpCheckSettings;
///
/// # fn main() -> Result<(), serde_json::Error> {
/// let settings: HttpCheckSettings = serde_json::from_str(
///     r#"{ "url": "http://search.internal:9200/_cluster/health", "json": { "/timed_out": false }, "timeout": "2s" }"#,
/// )?;
/// assert!(settings.statuses.contains(200));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct HttpCheckSettings {
    /// What to ask: `http://host:port/path`, or `https:` with the feature `tls`. Has to be set. Messages show it
    /// without its query.
    pub url: String,
    /// How: `GET`, or `HEAD`, which is answered without a body. Default `GET`.
    pub method: HttpCheckMethod,
    /// Sent with the request. Their values are shown by no message, no log and no `Debug`.
    pub headers: BTreeMap<String, String>,
    /// Statuses of a good answer. Default 200 to 299. Redirects are not followed: they are an answer like any other.
    pub statuses: Statuses,
    /// Text that a good answer has somewhere in its body. Default: none.
    pub contains: Option<String>,
    /// What a good answer, which is JSON then, has at which place: a JSON pointer such as `/status`, and the value.
    pub json: BTreeMap<String, Value>,
    /// The most that the body of an answer may have, in bytes: at most 16 MiB. What is longer fails, unread. Default
    /// 64 KiB.
    pub longest_body: usize,
    /// How long all of it may take, from the name to the last byte: more than zero and at most an hour. Default 4 s, less than
    /// what [`Every`](super::super::Every) gives a run, so that what is told names what took so long.
    #[serde(with = "crate::base::duration")]
    pub timeout: Duration,
    /// TLS of the connection, for `https:`.
    pub tls: TlsSettings,
}

/// How an [`HttpCheck`] asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[non_exhaustive]
pub enum HttpCheckMethod {
    /// For all of it.
    #[default]
    Get,
    /// For the head of the answer alone.
    Head,
}

impl Default for HttpCheckSettings {
    fn default() -> Self {
        Self {
            url: String::new(),
            method: HttpCheckMethod::default(),
            headers: BTreeMap::new(),
            statuses: Statuses::default(),
            contains: None,
            json: BTreeMap::new(),
            longest_body: 64 * 1024,
            timeout: patience::DEFAULT,
            tls: TlsSettings::default(),
        }
    }
}

impl HttpCheckSettings {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        const MOST: usize = 16 * 1024 * 1024;
        ConfigError::check(self.longest_body <= MOST, "longest_body", self.longest_body, "at most 16 MiB")?;
        patience::validate(self.timeout)?;
        if !self.statuses.are_fine() {
            let allowed = "one status or more, from 100 to 999";
            return Err(ConfigError::new("statuses", format!("[{}]", self.statuses), allowed));
        }
        let body = self.contains.is_some() || !self.json.is_empty();
        ConfigError::check(
            !(body && self.method == HttpCheckMethod::Head),
            "method",
            self.method,
            "GET, where something of the body is expected",
        )?;
        for pointer in self.json.keys() {
            let fine = pointer.is_empty() || pointer.starts_with('/');
            ConfigError::check(
                fine,
                "json",
                pointer,
                "JSON pointers, such as \"/status\", or \"\" for all of it",
            )?;
        }
        Ok(())
    }
}

impl fmt::Debug for HttpCheckSettings {
    /// Without the values of headers, and without the URL, whose query may hold a token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpCheckSettings")
            .field("method", &self.method)
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("statuses", &self.statuses)
            .field("contains", &self.contains)
            .field("json", &self.json)
            .field("longest_body", &self.longest_body)
            .field("timeout", &self.timeout)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

/// Makes an [`HttpCheck`]: see [`HttpCheck::builder`].
#[derive(Clone, Debug)]
#[must_use]
pub struct HttpCheckBuilder {
    settings: HttpCheckSettings,
}

impl HttpCheckBuilder {
    pub(super) fn new(url: String) -> Self {
        Self { settings: HttpCheckSettings { url, ..HttpCheckSettings::default() } }
    }

    setters! {
        /// Takes all settings from `settings`, the URL too.
        pub fn settings(settings: HttpCheckSettings) { settings = settings; }
        /// Asks by `HEAD`: for the head of the answer alone.
        pub fn head() { settings.method = HttpCheckMethod::Head; }
    }

    /// Sends a header; its value is shown nowhere.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.headers.insert(name.into(), value.into());
        self
    }

    setters! {
        /// The statuses of a good answer: `200..=299` unless set, or `[200, 404]`.
        pub fn statuses(statuses: impl IntoIterator<Item = u16>) {
            settings.statuses = statuses.into_iter().collect();
        }
        /// Text that a good answer has in its body.
        pub fn contains(text: impl Into<String>) { settings.contains = Some(text.into()); }
    }

    /// The value that a good answer has at a JSON pointer, such as `/status`.
    pub fn json(mut self, pointer: impl Into<String>, value: impl Into<Value>) -> Self {
        self.settings.json.insert(pointer.into(), value.into());
        self
    }

    setters! {
        /// The most bytes that the body of an answer may have, 64 KiB unless set.
        pub fn longest_body(bytes: usize) { settings.longest_body = bytes; }
        /// How long all of it may take, 4 s unless set.
        pub fn timeout(timeout: Duration) { settings.timeout = timeout; }
        /// Sets up TLS, for `https:`.
        pub fn tls(tls: TlsSettings) { settings.tls = tls; }
    }

    /// The check.
    ///
    /// # Errors
    /// When a setting is out of its range, the URL is none that can be asked, or a file cannot be read.
    pub fn build(self) -> Result<HttpCheck, ConfigError> {
        HttpCheck::with_settings(self.settings)
    }
}
