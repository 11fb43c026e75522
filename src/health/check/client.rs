//! The HTTP client of [`HttpCheck`](super::HttpCheck) and `GrpcCheck`.
//!
//! It opens a new connection for each request, because a check tests whether a new client is served. A connection that has
//! been open for a day does not test name resolution, certificates and the server's backlog.

use std::time::Duration;

use http_body::Body;
use hyper_util::client::legacy;
use hyper_util::rt::TokioExecutor;
use tower::BoxError;

use super::endpoint::Endpoint;
use super::text::error_chain;
use crate::base::error::ConfigError;
use crate::base::tls::{Certificates, Connector, ConnectorError, TlsSettings, connector};

pub(super) type Client<B> = legacy::Client<Connector, B>;

pub(super) fn client<B>(
    endpoint: &Endpoint,
    tls: &TlsSettings,
    http2: bool,
    timeout: Duration,
) -> Result<Client<B>, ConfigError>
where
    B: Body<Data: Send, Error: Into<BoxError>> + Send + Unpin + 'static,
{
    let mut builder = legacy::Client::builder(TokioExecutor::new());
    builder.pool_max_idle_per_host(0).retry_canceled_requests(false);
    debug_assert!(!http2 || cfg!(feature = "grpc"), "only gRPC uses HTTP/2");
    #[cfg(feature = "grpc")]
    builder.http2_only(http2);
    let secure = endpoint.is_secure();
    let certificates = Certificates::of(tls, "tls.");
    // Less than the timeout of the run, so that the message says that the connection took too long.
    let connect_timeout = timeout.mul_f64(0.9);
    let connector =
        connector(secure.then_some(&certificates), http2, connect_timeout).map_err(|fault| match fault {
            ConnectorError::Setting(error) => error,
            ConnectorError::Other(reason) => ConfigError::because("url", &endpoint.shown, reason),
            ConnectorError::NoRootCertificates(reason) => ConfigError::because(
                "url",
                &endpoint.shown,
                format!("this machine has no trusted CA certificates ({reason}); set `tls.ca_file`"),
            ),
        })?;
    // A certificate file that is never read would look as if it protected the connection.
    let Certificates { authorities, client, client_key } = certificates;
    if let Some((name, path)) = authorities.or(client).or(client_key).filter(|_| !secure) {
        let allowed = format!("no file, because `{}` does not use TLS", endpoint.shown);
        return Err(ConfigError::new(name, path.display(), allowed));
    }
    Ok(builder.build(connector))
}

/// The reason why a request failed, without the client's own wrapping.
pub(super) fn request_error(error: &legacy::Error) -> String {
    use std::error::Error;

    let reason = error.source().map_or_else(|| error.to_string(), error_chain);
    if error.is_connect() { format!("cannot connect: {reason}") } else { format!("no answer: {reason}") }
}
