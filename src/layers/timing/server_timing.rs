//! The `Server-Timing` header: the duration of a request on the server.

use std::sync::Arc;
use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::base::error::ConfigError;

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// The name of a metric in the header, which is a token (W3C Server Timing, RFC 9110).
#[derive(Clone, Debug)]
pub(super) struct ServerTiming(Arc<str>);

impl ServerTiming {
    pub(super) fn new(name: &str) -> Result<Self, ConfigError> {
        let is_token = !name.is_empty() && name.bytes().all(is_token_byte);
        ConfigError::check(
            is_token,
            "server_timing",
            name,
            "a token: letters, digits and any of !#$%&'*+-.^_`|~, at least one",
        )?;
        Ok(Self(name.into()))
    }

    /// Appends a header field; existing ones stay.
    pub(super) fn append(&self, elapsed: Duration, headers: &mut HeaderMap) {
        let micros = elapsed.as_micros();
        let text = format!("{};dur={}.{:03}", self.0, micros / 1_000, micros % 1_000);
        if let Ok(value) = HeaderValue::try_from(text) {
            // A response with 32,768 fields has no room for it.
            let _ = headers.try_append(SERVER_TIMING, value);
        }
    }
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
