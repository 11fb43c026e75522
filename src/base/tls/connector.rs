//! The connector for `http:` and `https:`.

use std::net::IpAddr;
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use hyper_util::client::legacy::connect::HttpConnector;

use super::certificates::Certificates;
use super::error::ConnectorError;
#[cfg(feature = "tls")]
use super::files;

/// Connects to `http:` and, with the feature `tls`, to `https:`.
#[cfg(feature = "tls")]
pub(crate) type Connector = files::Connector;
#[cfg(not(feature = "tls"))]
pub(crate) type Connector = HttpConnector;

/// A connector for HTTP/1, or for HTTP/2 if `http2` is set. `limit` is the connect timeout. With certificates it connects
/// only with TLS.
#[cfg_attr(not(feature = "tls"), allow(clippy::unnecessary_wraps))]
pub(crate) fn connector(
    secure: Option<&Certificates>,
    http2: bool,
    limit: Duration,
) -> Result<Connector, ConnectorError> {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(limit));
    #[cfg(feature = "tls")]
    return files::wrapped(http, secure, http2);
    #[cfg(not(feature = "tls"))]
    Ok(http)
}

/// Whether `uri` is on another machine, and requests to it are sent without TLS.
pub(crate) fn is_in_clear(uri: &Uri) -> bool {
    let is_this_machine = |host: &str| {
        let ip: Option<IpAddr> = host.trim_start_matches('[').trim_end_matches(']').parse().ok();
        let name = host.to_ascii_lowercase();
        ip.map_or(name == "localhost" || name.ends_with(".localhost"), |ip| ip.is_loopback())
    };
    uri.scheme() == Some(&Scheme::HTTP) && !uri.host().is_none_or(is_this_machine)
}
