//! What can keep telemetry from starting.

use std::io;

use crate::base::error::ConfigError;

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// A setting or an `OTEL_*` variable has a value that cannot be used.
    #[error(transparent)]
    Setting(#[from] ConfigError),
    /// Another global `tracing` subscriber is installed already.
    #[error(
        "a global tracing subscriber is set already: install telemetry before it, or use `build` and add \
         `Telemetry::span_layer` to your own subscriber"
    )]
    SubscriberSet,
    /// An exporter cannot be made for this endpoint. (When no collector answers there, the service runs on,
    /// and the failures are logged and counted.)
    #[error("cannot export {signal} to `{endpoint}`: {reason}")]
    Exporter {
        /// `traces`, `metrics` or `logs`.
        signal: &'static str,
        /// Where it would have exported to.
        endpoint: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A thread of the pipeline could not be started.
    #[error("cannot start a thread of the telemetry pipeline: {0}")]
    Thread(#[from] io::Error),
}
