//! The client of the checks that speak HTTP.
//!
//! Each run connects anew. It must find out whether a new client is served, and a connection that has been open for a day
//! says nothing of names, certificates and full backlogs.

use std::time::Duration;

use http_body::Body;
use hyper_util::client::legacy;
use hyper_util::rt::TokioExecutor;
use tower::BoxError;

use super::endpoint::Endpoint;
use crate::base::error::ConfigError;
use crate::base::tls::{Certificates, Connector, Fault, TlsSettings, connector};

/// Connects and asks.
pub(super) type Client<B> = legacy::Client<Connector, B>;

/// A client for `endpoint`.
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
    debug_assert!(!http2 || cfg!(feature = "grpc"), "nothing but gRPC needs it");
    #[cfg(feature = "grpc")]
    builder.http2_only(http2);
    let secure = endpoint.is_secure();
    let certificates = Certificates::of(tls, "tls.");
    // A little less, so that it is told that it was the connection that took so long.
    let limit = timeout.mul_f64(0.9);
    let connector = connector(secure.then_some(&certificates), http2, limit).map_err(|fault| match fault {
        Fault::Setting(error) => error,
        Fault::Other(why) => ConfigError::new("url", &endpoint.shown, why),
        Fault::NoAuthority(why) => ConfigError::new(
            "url",
            &endpoint.shown,
            format!(
                "this machine trusts no certificate authority: `tls.ca_file` names a file with those to trust ({why})"
            ),
        ),
    })?;
    // A file that is not read would look as if it protected something.
    let Certificates { authorities, client, client_key } = certificates;
    if let Some((name, path)) = authorities.or(client).or(client_key).filter(|_| !secure) {
        let allowed = format!("none, as `{}` is asked without TLS", endpoint.shown);
        return Err(ConfigError::new(name, path.display(), allowed));
    }
    Ok(builder.build(connector))
}

/// What went wrong between us and a server, without the words of the client itself.
pub(super) fn unanswered(error: &legacy::Error) -> String {
    use std::error::Error;

    let why = error.source().map_or_else(|| error.to_string(), super::words::causes);
    if error.is_connect() { format!("cannot connect: {why}") } else { format!("no answer: {why}") }
}
