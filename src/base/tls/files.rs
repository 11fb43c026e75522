//! Makes a connector from files of certificates.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::certificates::Certificates;
use super::error::ConnectorError;
use crate::base::error::ConfigError;

/// Connects to `http:` and `https:`.
pub(super) type Connector = hyper_rustls::HttpsConnector<HttpConnector>;

/// The maximum size of a PEM file.
const LONGEST_FILE: u64 = 4 * 1024 * 1024;

/// Wraps `http` in TLS, with the certificates in `secure` if there are any.
pub(super) fn wrapped(
    http: HttpConnector,
    secure: Option<&Certificates>,
    http2: bool,
) -> Result<Connector, ConnectorError> {
    let builder = HttpsConnectorBuilder::new();
    let builder = match secure {
        Some(certificates) => {
            builder.with_tls_config(config(roots(certificates)?, certificates)?).https_only()
        }
        // Without certificates, only `http:` works.
        None => {
            let nothing = config(RootCertStore::empty(), &Certificates::default())?;
            builder.with_tls_config(nothing).https_or_http()
        }
    };
    #[cfg(any(feature = "grpc", feature = "otlp-grpc"))]
    if http2 {
        return Ok(builder.enable_http2().wrap_connector(http));
    }
    debug_assert!(!http2, "only gRPC uses HTTP/2");
    Ok(builder.enable_http1().wrap_connector(http))
}

fn config(roots: RootCertStore, certificates: &Certificates) -> Result<ClientConfig, ConnectorError> {
    // The process default of rustls may be set by other users of rustls.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ConnectorError::Other(error.to_string()))?
        .with_root_certificates(roots);
    match (&certificates.client, &certificates.client_key) {
        (None, None) => Ok(builder.with_no_client_auth()),
        (Some(certificate), Some(key)) => {
            let chain = pems::<CertificateDer<'static>>(certificate, "certificate")?;
            let (name, path) = key;
            let key = pems::<PrivateKeyDer<'static>>(key, "private key")?.swap_remove(0);
            Ok(builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| unusable(name, path, &error.to_string()))?)
        }
        (Some((name, path)), None) => Err(unusable(name, path, "set its key too").into()),
        (None, Some((name, path))) => Err(unusable(name, path, "set its certificate too").into()),
    }
}

fn roots(certificates: &Certificates) -> Result<RootCertStore, ConnectorError> {
    let mut roots = RootCertStore::empty();
    if let Some(file) = &certificates.authorities {
        for certificate in pems(file, "certificate")? {
            roots.add(certificate).map_err(|error| unusable(&file.0, &file.1, &error.to_string()))?;
        }
    } else {
        let found = rustls_native_certs::load_native_certs();
        let (usable, _) = roots.add_parsable_certificates(found.certs);
        if usable == 0 {
            let errors: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
            return Err(ConnectorError::NoRootCertificates(match errors.is_empty() {
                true => "none were found".to_owned(),
                false => errors.join("; "),
            }));
        }
    }
    Ok(roots)
}

/// All certificates or keys in a file, at least one.
fn pems<T: PemObject>((name, path): &(String, PathBuf), what: &str) -> Result<Vec<T>, ConfigError> {
    let refused = |error: io::Error| unusable(name, path, &error.to_string());
    let about = fs::metadata(path).map_err(refused)?;
    // Opening a pipe would block, and a device may be endless.
    if !about.is_file() || about.len() > LONGEST_FILE {
        return Err(unusable(name, path, "it is not a regular file of at most 4 MiB"));
    }
    let lines = BufReader::new(File::open(path).map_err(refused)?.take(LONGEST_FILE));
    match T::pem_reader_iter(lines).collect::<Result<Vec<T>, _>>() {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(unusable(name, path, &format!("it contains no {what}"))),
        Err(error) => Err(unusable(name, path, &error.to_string())),
    }
}

fn unusable(name: &str, path: &Path, why: &str) -> ConfigError {
    ConfigError::new(name.to_owned(), path.display(), format!("a PEM file ({why})"))
}
