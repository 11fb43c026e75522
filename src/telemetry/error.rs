//! The error of telemetry that cannot start.

use std::io;

use crate::base::error::ConfigError;

/// The error of telemetry that cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// A setting or an `OTEL_*` variable has an invalid value.
    #[error(transparent)]
    Setting(#[from] ConfigError),
    /// The process already has a global `tracing` subscriber.
    #[error(
        "cannot install telemetry: the process already has a global tracing subscriber; install telemetry first, or \
         call `build` instead of `install` and add `Telemetry::span_layer` to your own subscriber"
    )]
    SubscriberSet,
    /// An endpoint is invalid, or needs TLS that cannot be set up. An endpoint that does not answer is not an error at the start:
    /// the service runs, and failed exports are logged and counted.
    #[error("cannot export {signal} to `{endpoint}`, from `{setting}`: {reason}")]
    Exporter {
        /// `traces`, `metrics` or `logs`.
        signal: &'static str,
        /// The endpoint, without user, password and query.
        endpoint: String,
        /// The variable or setting that the endpoint comes from.
        setting: String,
        /// The cause.
        reason: String,
    },
    /// The operating system does not start a thread of the pipeline.
    #[error("cannot start a thread of the telemetry pipeline: {0}")]
    Thread(#[from] io::Error),
}
