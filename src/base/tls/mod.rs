//! Connections to other processes, with TLS for `https:`. Every part of the crate that connects uses the same settings and
//! the same connector.
//!
//! Start with `settings.rs`. `certificates.rs` holds the files with the names of their settings, `connector.rs` makes the
//! connector, `files.rs` reads the files, and `cleartext.rs` finds secrets that would be sent without TLS.

#[cfg(any(feature = "otlp", all(feature = "http", feature = "telemetry")))]
mod certificates;
#[cfg(any(feature = "otlp", all(feature = "http", feature = "telemetry")))]
mod cleartext;
#[cfg(any(feature = "otlp", all(feature = "http", feature = "telemetry")))]
mod connector;
#[cfg(any(feature = "otlp", all(feature = "http", feature = "telemetry")))]
mod error;
#[cfg(all(feature = "tls", any(feature = "otlp", all(feature = "http", feature = "telemetry"))))]
mod files;
mod settings;

#[cfg(any(feature = "otlp", all(feature = "http", feature = "telemetry")))]
pub(crate) use certificates::Certificates;
#[cfg(any(feature = "otlp", all(feature = "http", feature = "telemetry")))]
pub(crate) use cleartext::cleartext_header;
#[cfg(any(feature = "otlp", all(feature = "http", feature = "telemetry")))]
pub(crate) use connector::{Connector, connector};
#[cfg(any(feature = "otlp", all(feature = "http", feature = "telemetry")))]
pub(crate) use error::ConnectorError;
pub use settings::TlsSettings;
