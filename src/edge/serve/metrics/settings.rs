//! The settings of the metrics server and their allowed values.

use std::net::{Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::base::error::ConfigError;

/// The port of OpenTelemetry's exporter for Prometheus.
const PORT: u16 = 9_464;

/// The settings of a [`MetricsServer`](super::server::MetricsServer). They can be read from a file; unknown keys are refused.
///
/// # Example
/// ```
/// use campanile::serve::MetricsServerSettings;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let settings: MetricsServerSettings = serde_json::from_str(r#"{ "listen": "0.0.0.0:9464" }"#)?;
/// assert!(settings.probes);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsServerSettings {
    /// The address and port to listen on; port 0 takes a free one. Default `127.0.0.1:9464`: only this machine can read it.
    #[serde(with = "address")]
    pub listen: SocketAddr,
    /// Whether `/livez`, `/readyz`, `/startupz` and `/healthz` are answered too. Default: yes.
    pub probes: bool,
    /// Maximum number of open connections: from 1 to 10,000. Beyond it, the oldest is ended. Default 64.
    pub max_connections: usize,
}

impl Default for MetricsServerSettings {
    fn default() -> Self {
        Self { listen: (Ipv4Addr::LOCALHOST, PORT).into(), probes: true, max_connections: 64 }
    }
}

impl MetricsServerSettings {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        ConfigError::check(
            (1..=10_000).contains(&self.max_connections),
            "max_connections",
            self.max_connections,
            "from 1 to 10,000",
        )
    }
}

mod address {
    use std::net::SocketAddr;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(address: &SocketAddr, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(address)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|_| {
            serde::de::Error::custom(format!(
                "listen cannot be {text:?}; allowed: an address and a port, such as 127.0.0.1:9464 or [::1]:9464"
            ))
        })
    }
}
