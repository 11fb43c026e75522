//! `[metrics]`.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::edge::serve::MetricsServerSettings;

/// The listener of `/metrics` and probes: `[metrics]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct MetricsSection {
    /// Address of the listener, such as `127.0.0.1:9464`. Default: none, no listener.
    pub listen: Option<SocketAddr>,
    /// Whether the listener also answers the probes of health. Default: `true`.
    pub probes: bool,
}

impl Default for MetricsSection {
    fn default() -> Self {
        Self { listen: None, probes: true }
    }
}

impl MetricsSection {
    /// The settings of the listener, if there is one.
    pub(in crate::hub) fn server(&self) -> Option<MetricsServerSettings> {
        let listen = self.listen?;
        Some(MetricsServerSettings { listen, probes: self.probes, ..MetricsServerSettings::default() })
    }
}
