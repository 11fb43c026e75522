//! Secrets that would leave the machine without TLS.

use std::net::IpAddr;

use http::header::{HeaderMap, HeaderName};
use http::uri::{Scheme, Uri};

use crate::base::redact::{RedactionSettings, Redactor, Treatment};

/// The first of `headers` that is a secret by its name, if `uri` is on another machine and without TLS.
pub(crate) fn cleartext_header<'a>(uri: &Uri, headers: &'a HeaderMap) -> Option<&'a HeaderName> {
    if !is_in_clear(uri) {
        return None;
    }
    let redactor = Redactor::from_settings(&RedactionSettings::default()).ok()?;
    headers.keys().find(|name| redactor.treatment(name.as_str()) != Treatment::Leave)
}

/// Whether `uri` is on another machine, and requests to it are sent without TLS.
fn is_in_clear(uri: &Uri) -> bool {
    let is_this_machine = |host: &str| {
        let ip: Option<IpAddr> = host.trim_start_matches('[').trim_end_matches(']').parse().ok();
        let name = host.to_ascii_lowercase();
        ip.map_or(name == "localhost" || name.ends_with(".localhost"), |ip| ip.is_loopback())
    };
    uri.scheme() == Some(&Scheme::HTTP) && !uri.host().is_none_or(is_this_machine)
}
