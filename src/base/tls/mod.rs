//! Connections to others, over TLS where the address says so: whom to trust, and whom to be.
//!
//! Each part of the crate that sends or asks is told the same files in the same words, and connects in the same way.

#[cfg(feature = "tls")]
mod client;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use hyper_util::client::legacy::connect::HttpConnector;

use crate::base::error::ConfigError;

/// Connects to `http:` and, with the feature `tls`, to `https:`.
#[cfg(feature = "tls")]
pub(crate) type Connector = hyper_rustls::HttpsConnector<HttpConnector>;
#[cfg(not(feature = "tls"))]
pub(crate) type Connector = HttpConnector;

/// Why there can be no connector.
#[derive(Debug)]
pub(crate) enum Fault {
    /// A file is of no use.
    Setting(ConfigError),
    /// No file names authorities, and the machine trusts none: how that came about.
    NoAuthority(String),
    /// Any other reason.
    Other(String),
}

impl From<ConfigError> for Fault {
    fn from(error: ConfigError) -> Self {
        Self::Setting(error)
    }
}

/// Connects within `limit` and then speaks HTTP/1, or HTTP/2: by TLS and no other way if there are certificates to do so,
/// else without it.
#[cfg_attr(not(feature = "tls"), allow(clippy::unnecessary_wraps))]
pub(crate) fn connector(
    secure: Option<&Certificates>,
    http2: bool,
    limit: Duration,
) -> Result<Connector, Fault> {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(limit));
    #[cfg(feature = "tls")]
    return client::wrapped(http, secure, http2);
    #[cfg(not(feature = "tls"))]
    Ok(http)
}

/// Whether what is sent to `uri` goes to another machine, and without TLS.
pub(crate) fn is_in_clear(uri: &Uri) -> bool {
    let is_this_machine = |host: &str| {
        let ip: Option<IpAddr> = host.trim_start_matches('[').trim_end_matches(']').parse().ok();
        let name = host.to_ascii_lowercase();
        ip.map_or(name == "localhost" || name.ends_with(".localhost"), |ip| ip.is_loopback())
    };
    uri.scheme() == Some(&Scheme::HTTP) && !uri.host().is_none_or(is_this_machine)
}

/// Files for TLS, each with the name of the setting that it comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Certificates {
    pub(crate) authorities: Option<(String, PathBuf)>,
    pub(crate) client: Option<(String, PathBuf)>,
    pub(crate) client_key: Option<(String, PathBuf)>,
}
