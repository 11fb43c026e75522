//! Settings of OTLP.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::error::ConfigError;
use crate::base::tls::TlsSettings;

/// Settings of OTLP for all signals. `OTEL_EXPORTER_OTLP_*` variables win over them.
///
/// # Example
/// ```
/// use std::time::Duration;
///
/// use campanile::telemetry::{OtlpCompression, OtlpProtocol, OtlpSettings};
///
/// let mut settings = OtlpSettings::default();
/// settings.endpoint = Some("http://collector:4317".to_owned());
/// settings.protocol = OtlpProtocol::Grpc;
/// settings.compression = OtlpCompression::Gzip;
/// settings.timeout = Duration::from_secs(3);
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct OtlpSettings {
    /// URL of the collector. Over HTTP the path of each signal is appended, such as `/v1/traces`. `https:` needs the
    /// feature `tls`. Default: `None`, which is `localhost` with port 4318 for HTTP and 4317 for gRPC.
    pub endpoint: Option<String>,
    /// Protocol. Default: HTTP.
    pub protocol: OtlpProtocol,
    /// Headers of each export, such as `authorization`. Logs, errors and `Debug` do not show the values. Default: none.
    pub headers: BTreeMap<String, String>,
    /// Compression. Default: none.
    pub compression: OtlpCompression,
    /// Maximum size of a message in bytes, before compression. A larger one is split. At least 1,024. Default: 4 MiB, which
    /// is the default limit of collectors over gRPC.
    pub message_limit: usize,
    /// Timeout of an export, including its retries and the delays between them. Default: 10 s.
    #[serde(with = "crate::base::duration")]
    pub timeout: Duration,
    /// TLS settings of the connection to the collector.
    pub tls: TlsSettings,
}

/// The protocol of OTLP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum OtlpProtocol {
    /// Protobuf over HTTP/1.1: `http/protobuf`.
    #[default]
    #[serde(rename = "http/protobuf")]
    HttpProtobuf,
    /// gRPC: `grpc`. Needs the feature `otlp-grpc`.
    #[serde(rename = "grpc")]
    Grpc,
}

/// The compression of exports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OtlpCompression {
    /// No compression.
    #[default]
    None,
    /// gzip. It saves bandwidth and costs CPU time.
    Gzip,
}

impl Default for OtlpSettings {
    fn default() -> Self {
        Self {
            endpoint: None,
            protocol: OtlpProtocol::default(),
            headers: BTreeMap::new(),
            compression: OtlpCompression::default(),
            message_limit: 4 * 1024 * 1024,
            timeout: Duration::from_secs(10),
            tls: TlsSettings::default(),
        }
    }
}

impl OtlpSettings {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let available = self.protocol != OtlpProtocol::Grpc || cfg!(feature = "otlp-grpc");
        ConfigError::check(available, "otlp_settings.protocol", "grpc", PROTOCOLS)?;
        let limit = self.message_limit;
        ConfigError::check(limit >= 1_024, "otlp_settings.message_limit", limit, "at least 1024 bytes")?;
        ConfigError::check(!self.timeout.is_zero(), "otlp_settings.timeout", self.timeout, "more than zero")
    }
}

/// The allowed protocols, for errors.
pub(super) const PROTOCOLS: &str = if cfg!(feature = "otlp-grpc") {
    "grpc or http/protobuf"
} else {
    "http/protobuf (grpc needs the feature `otlp-grpc` of campanile, which is off)"
};

/// The part of an endpoint that may be shown, without user, password and query.
pub(super) fn shown(endpoint: &str) -> &str {
    let before_query = endpoint.split(['?', '#']).next().unwrap_or_default();
    // A password may contain `?`, and a query may contain `@`.
    if endpoint.contains('@') { "…" } else { before_query }
}

impl fmt::Debug for OtlpSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OtlpSettings")
            .field("endpoint", &self.endpoint.as_deref().map(shown))
            .field("protocol", &self.protocol)
            // The values are secrets.
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("compression", &self.compression)
            .field("message_limit", &self.message_limit)
            .field("timeout", &self.timeout)
            .field("tls", &self.tls)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_secret() {
        let mut settings = OtlpSettings::default();
        settings.headers.insert("authorization".to_owned(), "hunter2".to_owned());
        for (endpoint, seen) in [
            ("http://c:4318/base?token=hunter2", "http://c:4318/base"),
            ("http://c:4318/#hunter2", "http://c:4318/"),
            ("http://user:hunter2@c", "…"),
            ("http://user:hunt?er2@c", "…"),
            ("http://c/?token=a@hunter2", "…"),
            ("c:4317", "c:4317"),
        ] {
            assert_eq!(shown(endpoint), seen);
            settings.endpoint = Some(endpoint.to_owned());
            let text = format!("{settings:?}");
            assert!(text.contains("authorization") && !text.contains("er2"), "{text}");
        }
    }
}
