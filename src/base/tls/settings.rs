//! The settings of TLS, the same for every connection that this crate makes.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// TLS of a connection to a collector, to Redis or to a checked service. All files are PEM. Unknown keys are refused.
///
/// # Example
/// ```
/// use campanile::TlsSettings;
///
/// let tls = TlsSettings::default().ca_file("/etc/tls/ca.pem").client_certificate("/etc/tls/a.pem", "/etc/tls/a.key");
/// let read: TlsSettings = serde_json::from_str(
///     r#"{ "ca_file": "/etc/tls/ca.pem", "client_certificate": "/etc/tls/a.pem", "client_key": "/etc/tls/a.key" }"#,
/// )?;
/// assert_eq!(tls, read);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TlsSettings {
    /// Path to a file of trusted CA certificates. Default: those that the system trusts.
    pub ca_file: Option<PathBuf>,
    /// Path to a file with the client certificate; goes with `client_key`. Default: none.
    pub client_certificate: Option<PathBuf>,
    /// Path to a file with the private key of the client certificate. Default: none.
    pub client_key: Option<PathBuf>,
}

impl TlsSettings {
    setters! {
        /// Sets the file of trusted CA certificates.
        pub fn ca_file(path: impl Into<PathBuf>) { ca_file = Some(path.into()); }
        /// Sets the files with the client certificate and its private key.
        pub fn client_certificate(path: impl Into<PathBuf>, key: impl Into<PathBuf>) {
            client_certificate = Some(path.into());
            client_key = Some(key.into());
        }
    }
}
