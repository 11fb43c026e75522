//! HTTP and gRPC behind TLS.

use campanile::TlsSettings;
use campanile::health::{Finding, GrpcCheck, HttpCheck};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;

use crate::server::{Act, Server};
use crate::support::tls::Authority;
use crate::{find, why};

fn trusting(authority: &Authority) -> TlsSettings {
    TlsSettings::default().ca_file(authority.file("ca"))
}

fn known(authority: &Authority) -> TlsSettings {
    trusting(authority).client_certificate(authority.file("client"), authority.file("client-key"))
}

const FINE: Act = Act::Say("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");

#[tokio::test]
async fn an_endpoint_must_have_a_certificate_of_the_trusted_authority_and_of_its_name() {
    let server = Server::start(FINE).await;
    let authority = Authority::new();
    let door = authority.door(server.address, b"http/1.1", false).await;
    let url = format!("https://{door}/");
    let check = HttpCheck::builder(&*url).tls(trusting(&authority));
    assert_eq!(find(&check.build().unwrap()).await, Finding::Pass);

    // The certificate of the server is signed by another authority.
    let other = Authority::new();
    let distrusting = HttpCheck::builder(&*url).tls(trusting(&other)).build().unwrap();
    let unknown = why(find(&distrusting).await);
    assert!(unknown.contains("cannot connect: invalid peer certificate: "), "{unknown}");

    // The certificate is for another name.
    let misnamed = HttpCheck::builder(format!("https://localhost:{}/", door.port()))
        .tls(trusting(&authority))
        .build()
        .unwrap();
    let misnamed = why(find(&misnamed).await);
    assert!(misnamed.contains("certificate not valid for name \"localhost\""), "{misnamed}");
}

#[tokio::test]
async fn a_server_that_requires_a_client_certificate_gets_one() {
    let server = Server::start(FINE).await;
    let authority = Authority::new();
    let door = authority.door(server.address, b"http/1.1", true).await;
    let check = HttpCheck::builder(format!("https://{door}/")).tls(trusting(&authority));
    assert!(matches!(find(&check.clone().build().unwrap()).await, Finding::Fail(_)));
    let known = check.tls(known(&authority));
    assert_eq!(find(&known.build().unwrap()).await, Finding::Pass);
}

#[tokio::test]
async fn grpc_servers_are_checked_over_tls() {
    let (_reporter, service) = tonic_health::server::health_reporter();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = tonic::transport::Server::builder()
        .add_service(service)
        .serve_with_incoming(TcpListenerStream::new(listener));
    tokio::spawn(served);
    let authority = Authority::new();
    let door = authority.door(address, b"h2", true).await;
    let check = GrpcCheck::builder(format!("https://{door}")).tls(trusting(&authority));
    assert!(matches!(find(&check.clone().build().unwrap()).await, Finding::Fail(_)));
    let known = check.tls(known(&authority));
    assert_eq!(find(&known.build().unwrap()).await, Finding::Pass);
    let other = Authority::new();
    let distrusting = GrpcCheck::builder(format!("https://{door}")).tls(trusting(&other)).build().unwrap();
    let unknown = why(find(&distrusting).await);
    assert!(unknown.contains("cannot connect: invalid peer certificate: "), "{unknown}");
}

#[test]
fn a_certificate_file_without_tls_is_refused() {
    let authority = Authority::new();
    let plain = HttpCheck::builder("http://a/b").tls(trusting(&authority)).build().unwrap_err();
    assert!(plain.to_string().ends_with("no file, because `http://a/b` does not use TLS"), "{plain}");
    let half = authority.file("client");
    let key = authority.file("nothing");
    let missing = HttpCheck::builder("https://a/")
        .tls(TlsSettings::default().client_certificate(half, key))
        .build()
        .unwrap_err();
    assert_eq!(missing.setting(), "tls.client_key");
}
