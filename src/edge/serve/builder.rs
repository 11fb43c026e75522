//! The builder of a shutdown.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use super::handle::Shutdown;
#[cfg(feature = "hub")]
use super::late::{Late, LateParts};
use super::metrics::MetricsServer;
use super::settings::ShutdownSettings;
use super::signal::shutdown_signal;
use crate::base::error::ConfigError;
#[cfg(feature = "dead-letters")]
use crate::dead_letter::DeadLetterQueue;
use crate::health::Health;
use crate::telemetry::Telemetry;

/// Makes a [`Shutdown`]. Every setting has a default; see [`ShutdownSettings`].
#[derive(Default)]
#[must_use = "a builder does nothing until `build`"]
pub struct ShutdownBuilder {
    settings: ShutdownSettings,
    health: Option<Health>,
    telemetry: Option<Telemetry>,
    #[cfg(feature = "dead-letters")]
    queues: Vec<DeadLetterQueue>,
    metrics_server: Option<MetricsServer>,
    #[cfg(feature = "hub")]
    late: Option<LateParts>,
    signal: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Shutdown {
    /// Returns a builder. Add what the program uses: telemetry, queues, the metrics server.
    pub fn builder() -> ShutdownBuilder {
        ShutdownBuilder::default()
    }
}

impl ShutdownBuilder {
    /// Returns a builder with these settings. Its methods add what settings cannot hold, such as the telemetry.
    pub fn from_settings(settings: &ShutdownSettings) -> Self {
        Self { settings: settings.clone(), ..Self::default() }
    }

    setters! {
        /// Sets how long requests are served after readiness is off.
        pub fn grace(limit: Duration) { settings.grace = limit; }
        /// Sets how long requests in progress may take after the server has stopped to accept.
        pub fn drain(limit: Duration) { settings.drain = limit; }
        /// Sets how long redrives and letters on their way to their store may take.
        pub fn letters(limit: Duration) { settings.letters = limit; }
        /// Sets how long the last export of telemetry may take.
        pub fn telemetry_limit(limit: Duration) { settings.telemetry = limit; }
        /// Sets how long all steps together may take: at least the sum of the others.
        pub fn total(limit: Duration) { settings.total = limit; }
        /// Adds the health whose readiness is turned off. With telemetry, that is its own unless this sets another.
        pub fn health(health: &Health) { health = Some(health.clone()); }
        /// Adds the pipeline that is shut down after the server and the queues.
        pub fn telemetry(telemetry: &Telemetry) { telemetry = Some(telemetry.clone()); }
        /// Adds the listener of `/metrics` and the probes, which ends last. It ends with the [`Shutdown`] otherwise.
        pub fn metrics_server(server: MetricsServer) { metrics_server = Some(server); }
        /// Sets what starts the shutdown. Default: [`shutdown_signal`].
        pub fn signal(signal: impl Future<Output = ()> + Send + 'static) { signal = Some(Box::pin(signal)); }
    }

    /// Adds a queue of dead letters. Each [named](DeadLetterQueue::named) queue is added by itself.
    #[cfg(feature = "dead-letters")]
    #[cfg_attr(docsrs, doc(cfg(feature = "dead-letters")))]
    pub fn queue(mut self, queue: &DeadLetterQueue) -> Self {
        self.queues.push(queue.clone());
        self
    }

    /// Adds what the program has when the shutdown begins.
    #[cfg(feature = "hub")]
    pub(crate) fn late(mut self, parts: impl FnOnce() -> Late + Send + 'static) -> Self {
        self.late = Some(Box::new(parts));
        self
    }

    /// Builds the shutdown. From now on, the first SIGTERM or SIGINT starts it instead of ending the process.
    ///
    /// # Errors
    /// Returns an error that names the setting that is out of range, its value and what is allowed; or the signals, if the
    /// system refuses to deliver them.
    pub fn build(self) -> Result<Shutdown, ConfigError> {
        self.settings.validate().map_err(|error| error.within("shutdown"))?;
        let signal = match self.signal {
            Some(signal) => signal,
            None => Box::pin(shutdown_signal().map_err(|error| {
                let reason = format!("the system refused a handler: {error}; set another signal by `signal`");
                ConfigError::because("shutdown.signal", "SIGTERM and SIGINT", reason)
            })?),
        };
        let health = self.health.or_else(|| self.telemetry.as_ref().map(Telemetry::health));
        Ok(Shutdown {
            settings: self.settings,
            health,
            telemetry: self.telemetry,
            #[cfg(feature = "dead-letters")]
            queues: self.queues,
            metrics_server: self.metrics_server,
            #[cfg(feature = "hub")]
            late: self.late,
            signal,
        })
    }
}

impl fmt::Debug for ShutdownBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShutdownBuilder").field("settings", &self.settings).finish_non_exhaustive()
    }
}
