//! Connections to a collector.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::target::Target;
use crate::base::tls::{self, Connector, ConnectorError};
use crate::telemetry::error::TelemetryError;

/// The HTTP client of an exporter. Clones share connections.
pub(super) type Client = legacy::Client<Connector, Full<Bytes>>;

/// How long an idle connection stays open.
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);

/// Makes a client. It connects when it sends its first request.
pub(super) fn client(connector: &Connector, target: &Target) -> Client {
    let mut builder = legacy::Client::builder(TokioExecutor::new());
    builder.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE_TIMEOUT);
    #[cfg(feature = "otlp-grpc")]
    builder.http2_only(target.grpc);
    #[cfg(not(feature = "otlp-grpc"))]
    debug_assert!(!target.grpc, "`Target` refuses gRPC without the feature `otlp-grpc`");
    builder.build(connector.clone())
}

/// Makes the connector for `target`. It uses TLS if the URL of the target begins with `https:`.
pub(super) fn connector(target: &Target) -> Result<Connector, TelemetryError> {
    let secure = target.uri.scheme_str() == Some("https");
    let certificates = secure.then_some(&target.certificates);
    tls::connector(certificates, target.grpc, target.timeout).map_err(|fault| {
        let reason = match fault {
            ConnectorError::Setting(error) => return error.into(),
            ConnectorError::Other(reason) => reason,
            ConnectorError::NoRootCertificates(why) => format!(
                "this machine has no trusted CA certificates: set OTEL_EXPORTER_OTLP_CERTIFICATE to the path of a PEM \
                 file with CA certificates ({why})"
            ),
        };
        TelemetryError::Exporter {
            signal: target.signal.as_str(),
            endpoint: target.origin(),
            setting: target.uri_setting.clone(),
            reason,
        }
    })
}
