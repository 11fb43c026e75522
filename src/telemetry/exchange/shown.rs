//! Texts of a request without their secrets. They are redacted only if something shows them.

use std::fmt;

use http::Uri;
use http::uri::PathAndQuery;

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

/// The whole URL of a request, without the user's name and password.
pub(super) struct ShownUrl<'a> {
    pub(super) uri: &'a Uri,
    pub(super) secrets: &'a Secrets,
}

impl fmt::Display for ShownUrl<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut url = String::new();
        if let (Some(scheme), Some(authority)) = (self.uri.scheme_str(), self.uri.authority()) {
            let server = authority.as_str().rsplit_once('@').map_or(authority.as_str(), |(_, server)| server);
            url.extend([scheme, "://", server]);
        }
        url.push_str(self.uri.path_and_query().map_or("/", PathAndQuery::as_str));
        f.write_str(&self.secrets.text("url.full", &url))
    }
}
