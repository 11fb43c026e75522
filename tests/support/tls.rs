//! A TLS proxy for servers without TLS, and the certificates for it.

use std::{fs, net::SocketAddr, path::PathBuf, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer},
        server::WebPkiClientVerifier,
    },
};

/// A certificate authority of one test, with certificate files for servers and clients.
#[derive(Debug)]
pub struct Authority {
    folder: TempDir,
    certificate: CertificateDer<'static>,
    server: (CertificateDer<'static>, Vec<u8>),
}

impl Authority {
    /// Creates an authority, and certificates for a server on this machine and for a client.
    pub fn new() -> Self {
        let mut params = CertificateParams::new([]).expect("an empty list of names is valid");
        // A name that differs from that of the other certificates, which would otherwise look self-signed.
        params.distinguished_name.push(DnType::CommonName, "an authority of the tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, key()).expect("a certificate");
        let folder = tempfile::tempdir().expect("a folder");
        let signed = |name: &str| {
            let key = key();
            let params = CertificateParams::new([name.to_owned()]).expect("a valid name");
            (params.signed_by(&key, &authority).expect("a certificate"), key)
        };
        let (client, client_key) = signed("client");
        let (server, server_key) = signed("127.0.0.1");
        for (name, text) in [
            ("ca", authority.pem()),
            ("client", client.pem()),
            ("client-key", client_key.serialize_pem()),
            ("server", server.pem()),
            ("server-key", server_key.serialize_pem()),
        ] {
            fs::write(folder.path().join(name), text).expect("a file");
        }
        let server = (server.der().clone(), server_key.serialize_der());
        Self { certificate: authority.der().clone(), server, folder }
    }

    /// The file of that name: `ca`, `client`, `client-key`, `server` or `server-key`.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts a proxy to `target` with TLS and the ALPN protocol `protocol`. With `clients`, clients need a certificate of this
    /// authority.
    pub async fn proxy(&self, target: SocketAddr, protocol: &[u8], clients: bool) -> SocketAddr {
        let provider = Arc::new(ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .expect("the versions of the provider");
        let config = if clients {
            let mut roots = RootCertStore::empty();
            roots.add(self.certificate.clone()).expect("its own certificate");
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build();
            config.with_client_cert_verifier(verifier.expect("a verifier"))
        } else {
            config.with_no_client_auth()
        };
        let (certificate, key) = self.server.clone();
        let key = PrivateKeyDer::Pkcs8(key.into());
        let mut config = config.with_single_cert(vec![certificate], key).expect("its own certificate");
        config.alpn_protocols = vec![protocol.to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    // Rejected and closed connections are expected.
                    let Ok(mut client) = acceptor.accept(stream).await else { return };
                    let Ok(mut server) = TcpStream::connect(target).await else { return };
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        address
    }
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key")
}
