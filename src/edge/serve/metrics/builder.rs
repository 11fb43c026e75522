//! The builder of a metrics server.

use std::net::SocketAddr;

use super::server::MetricsServer;
use super::settings::MetricsServerSettings;
use crate::base::error::ConfigError;
use crate::telemetry::Telemetry;

/// Makes a [`MetricsServer`]. Every setting has a default; see [`MetricsServerSettings`].
#[derive(Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct MetricsServerBuilder {
    telemetry: Telemetry,
    settings: MetricsServerSettings,
}

impl MetricsServer {
    /// Returns a builder for the metrics and the health of `telemetry`.
    pub fn builder(telemetry: &Telemetry) -> MetricsServerBuilder {
        MetricsServerBuilder { telemetry: telemetry.clone(), settings: MetricsServerSettings::default() }
    }
}

impl MetricsServerBuilder {
    setters! {
        /// Sets the address and port to listen on; port 0 takes a free one.
        ///
        /// Beyond loopback, all that reach the address read the metrics and the names of components that are not healthy.
        pub fn listen(address: impl Into<SocketAddr>) { settings.listen = address.into(); }
        /// Sets whether the probes are answered too.
        pub fn probes(yes: bool) { settings.probes = yes; }
        /// Sets the maximum number of open connections: from 1 to 10,000.
        pub fn max_connections(connections: usize) { settings.max_connections = connections; }
    }

    /// Listens on the port and starts the server. It needs no runtime.
    ///
    /// # Errors
    /// Returns an error that names the setting that is out of range, its value and what is allowed; or the address, if it
    /// cannot be used, for example because another process listens there.
    pub fn build(self) -> Result<MetricsServer, ConfigError> {
        MetricsServer::from_settings(&self.telemetry, &self.settings)
    }
}
