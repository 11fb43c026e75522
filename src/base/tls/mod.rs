//! Connections to other processes, over TLS where the address says so. Every part of the crate that connects uses the same
//! settings and the same connector.

#[cfg(any(feature = "otlp", all(feature = "http", feature = "telemetry")))]
mod certificates;
#[cfg(any(feature = "otlp", all(feature = "http", feature = "telemetry")))]
mod connector;
#[cfg(any(feature = "otlp", all(feature = "http", feature = "telemetry")))]
mod fault;
#[cfg(all(feature = "tls", any(feature = "otlp", all(feature = "http", feature = "telemetry"))))]
mod files;
mod settings;

#[cfg(any(feature = "otlp", all(feature = "http", feature = "telemetry")))]
pub(crate) use certificates::Certificates;
#[cfg(any(feature = "otlp", all(feature = "http", feature = "telemetry")))]
pub(crate) use connector::{Connector, connector, is_in_clear};
#[cfg(any(feature = "otlp", all(feature = "http", feature = "telemetry")))]
pub(crate) use fault::Fault;
pub use settings::TlsSettings;
