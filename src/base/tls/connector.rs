//! The connector for `http:` and `https:`.

use std::time::Duration;

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
