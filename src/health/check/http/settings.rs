use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::timeouts;
use super::status_ranges::StatusRanges;
use super::{method, status_ranges};
use crate::base::error::ConfigError;
use crate::base::tls::TlsSettings;

/// The settings of an [`HttpCheck`](super::HttpCheck), as a file can hold them. Unknown keys are refused.
///
/// # Example
/// ```
/// use campanile::health::{HttpCheck, HttpCheckSettings};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let settings: HttpCheckSettings = serde_json::from_str(
///     r#"{ "url": "http://search.internal:9200/_cluster/health", "json": { "/timed_out": false }, "timeout": "2s" }"#,
/// )?;
/// assert!(settings.statuses.contains(&200));
/// let check = HttpCheck::from_settings(&settings)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
#[must_use]
pub struct HttpCheckSettings {
    /// The endpoint: `http://host:port/path`, or `https:` with the feature `tls`. Required. Messages show it without its
    /// query.
    pub url: String,
    /// The method: `GET` or `HEAD`. Default: `GET`.
    #[serde(with = "method")]
    pub method: Method,
    /// The headers of the request. No message, log or `Debug` shows their values.
    pub headers: BTreeMap<String, String>,
    /// The statuses that pass, in a file as a list such as `[204, "300-399"]`. Default: 200 to 299. Redirects are not
    /// followed: they are a status like any other.
    #[serde(with = "status_ranges")]
    pub statuses: BTreeSet<u16>,
    /// A text that the body must contain. Default: `None`.
    pub contains: Option<String>,
    /// The values that a JSON body must have: by JSON pointer, such as `/status`.
    pub json: BTreeMap<String, Value>,
    /// Maximum size of the body in bytes, at most 16 MiB. A longer body fails. Default: 64 KiB.
    pub longest_body: usize,
    /// The longest time that the whole request may take, from name resolution to the last byte: more than zero and at most
    /// an hour. Default: 4 s.
    #[serde(with = "crate::base::duration")]
    pub timeout: Duration,
    /// TLS of the connection, for `https:`.
    pub tls: TlsSettings,
}

impl Default for HttpCheckSettings {
    fn default() -> Self {
        Self {
            url: String::new(),
            method: Method::GET,
            headers: BTreeMap::new(),
            statuses: (200..=299).collect(),
            contains: None,
            json: BTreeMap::new(),
            longest_body: 64 * 1024,
            timeout: timeouts::DEFAULT,
            tls: TlsSettings::default(),
        }
    }
}

impl HttpCheckSettings {
    setters! {
        /// Sets the field [`method`](Self::method).
        pub fn method(method: Method) { method = method; }
    }

    /// Adds a header. Its value is never shown.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.insert(name.into(), value.into());
        self
    }

    setters! {
        /// Sets the statuses that pass, such as `200..=299` or `[200, 404]`: see the field [`statuses`](Self::statuses).
        pub fn statuses(statuses: impl IntoIterator<Item = u16>) { statuses = statuses.into_iter().collect(); }
        /// Requires a text in the body.
        pub fn contains(text: impl Into<String>) { contains = Some(text.into()); }
    }

    /// Requires a value at a JSON pointer of the body, such as `/status`.
    pub fn json(mut self, pointer: impl Into<String>, value: impl Into<Value>) -> Self {
        self.json.insert(pointer.into(), value.into());
        self
    }

    setters! {
        /// Sets the field [`longest_body`](Self::longest_body).
        pub fn longest_body(bytes: usize) { longest_body = bytes; }
        /// Sets the field [`timeout`](Self::timeout).
        pub fn timeout(timeout: Duration) { timeout = timeout; }
        /// Sets up TLS, for `https:`.
        pub fn tls(tls: TlsSettings) { tls = tls; }
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        const MAX_BODY: usize = 16 * 1024 * 1024;
        ConfigError::check(
            method::ALLOWED.contains(&self.method),
            "method",
            &self.method,
            "GET or HEAD: a check must not change anything",
        )?;
        let body = self.longest_body;
        ConfigError::check(body <= MAX_BODY, "longest_body", body, "at most 16 MiB")?;
        timeouts::validate(self.timeout)?;
        let in_range = self.statuses.iter().all(|status| (100..=999).contains(status));
        if self.statuses.is_empty() || !in_range {
            let value = format!("[{}]", StatusRanges::new(&self.statuses));
            return Err(ConfigError::new("statuses", value, "at least one status, each from 100 to 999"));
        }
        let expects_body = self.contains.is_some() || !self.json.is_empty();
        ConfigError::check(
            !expects_body || self.method != Method::HEAD,
            "method",
            &self.method,
            "GET with `contains` or `json`: the response to HEAD has no body",
        )?;
        for pointer in self.json.keys() {
            let valid = pointer.is_empty() || pointer.starts_with('/');
            let allowed = "JSON pointers, such as \"/status\", or \"\" for the whole document";
            ConfigError::check(valid, "json", pointer, allowed)?;
        }
        Ok(())
    }
}

impl fmt::Debug for HttpCheckSettings {
    /// Omits the values of headers, and the URL, whose query may hold a token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpCheckSettings")
            .field("method", &self.method)
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("statuses", &format_args!("{}", StatusRanges::new(&self.statuses)))
            .field("contains", &self.contains)
            .field("json", &self.json)
            .field("longest_body", &self.longest_body)
            .field("timeout", &self.timeout)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}
