//! Texts of a request without their secrets. They are redacted only if something shows them.

use std::fmt;

use http::Uri;

use crate::telemetry::secrets::Secrets;

/// The value of the attribute `name`.
pub(super) struct Shown<'a> {
    pub(super) name: &'static str,
    pub(super) text: &'a str,
    pub(super) secrets: &'a Secrets,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.secrets.text(self.name, self.text))
    }
}

/// The whole URL of a request.
pub(super) struct ShownUrl<'a> {
    pub(super) uri: &'a Uri,
    pub(super) secrets: &'a Secrets,
}

impl fmt::Display for ShownUrl<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.secrets.text("url.full", &self.uri.to_string()))
    }
}
