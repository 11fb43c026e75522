//! What can keep telemetry from starting.

use std::error::Error;
use std::{fmt, io};

use crate::error::ConfigError;

/// Why telemetry could not be set up.
#[derive(Debug)]
#[non_exhaustive]
pub enum TelemetryError {
    /// A setting or an `OTEL_*` variable has a value that cannot be used.
    Setting(ConfigError),
    /// Another global `tracing` subscriber is installed already.
    SubscriberSet,
    /// An exporter cannot be made for this endpoint. (That nobody answers there is no such error: the service
    /// runs on, and the failures are logged and counted.)
    Exporter {
        /// `traces`, `metrics` or `logs`.
        signal: &'static str,
        /// Where it would have exported to.
        endpoint: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A thread of the pipeline could not be started.
    Thread(io::Error),
}

impl From<ConfigError> for TelemetryError {
    fn from(error: ConfigError) -> Self {
        Self::Setting(error)
    }
}

impl From<io::Error> for TelemetryError {
    fn from(error: io::Error) -> Self {
        Self::Thread(error)
    }
}

impl fmt::Display for TelemetryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting(error) => error.fmt(f),
            Self::SubscriberSet => f.write_str(
                "a global tracing subscriber is set already: install telemetry before it, or use `build` and \
                 add `Telemetry::span_layer` to your own subscriber",
            ),
            Self::Exporter { signal, endpoint, reason } => {
                write!(f, "cannot export {signal} to `{endpoint}`: {reason}")
            }
            Self::Thread(error) => write!(f, "cannot start a thread of the telemetry pipeline: {error}"),
        }
    }
}

impl Error for TelemetryError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Thread(error) => Some(error),
            Self::Setting(_) | Self::SubscriberSet | Self::Exporter { .. } => None,
        }
    }
}
