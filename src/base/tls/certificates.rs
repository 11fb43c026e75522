//! TLS files with the names of their settings.

use std::path::PathBuf;

use super::settings::TlsSettings;

/// TLS files, each with the name of its setting for error texts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Certificates {
    pub(crate) authorities: Option<(String, PathBuf)>,
    pub(crate) client: Option<(String, PathBuf)>,
    pub(crate) client_key: Option<(String, PathBuf)>,
}

impl Certificates {
    /// Names each file of `tls` after its field, with this prefix.
    pub(crate) fn of(tls: &TlsSettings, prefix: &str) -> Self {
        let file =
            |name: &str, path: &Option<PathBuf>| path.clone().map(|path| (format!("{prefix}{name}"), path));
        Self {
            authorities: file("ca_file", &tls.ca_file),
            client: file("client_certificate", &tls.client_certificate),
            client_key: file("client_key", &tls.client_key),
        }
    }
}
