//! TCP ports.

use std::net::SocketAddr;
use std::time::Duration;

use campanile::health::{Finding, TcpCheck, TcpCheckSettings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::{find, why};

const BRIEF: Duration = Duration::from_millis(500);

/// Sends the first text at once, and the second after it has read a line.
async fn greeter(first: &'static [u8], second: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                stream.write_all(first).await?;
                let mut line = Vec::new();
                while !line.ends_with(b"\n") && stream.read_buf(&mut line).await? > 0 {}
                if !line.is_empty() {
                    stream.write_all(second).await?;
                }
                Ok::<_, std::io::Error>(())
            });
        }
    });
    address
}

#[tokio::test]
async fn the_first_bytes_of_a_server_are_verified() {
    let address = greeter(b"220 mail\r\n", b"250 hello\r\n").await;
    let port = address.port();
    for address in [format!("127.0.0.1:{port}"), format!("localhost:{port}")] {
        assert_eq!(find(&TcpCheck::builder(address).build().unwrap()).await, Finding::Pass);
    }
    let check = || TcpCheck::builder(address.to_string()).timeout(BRIEF);
    assert_eq!(find(&check().expect("220 ").build().unwrap()).await, Finding::Pass);
    let spoken = check().send("EHLO me\r\n").expect("220 mail\r\n250 ").build().unwrap();
    assert_eq!(find(&spoken).await, Finding::Pass);
    for (expected, words) in [
        ("SSH-", "but received \"220 \", expected \"SSH-\""),
        ("220 mail\r\n250", "but received \"220 mail\\r\\n\" within 500ms, expected \"220 mail\\r\\n250\""),
    ] {
        let why = why(find(&check().expect(expected).build().unwrap()).await);
        assert_eq!(why, format!("connected to {address}, {words}"));
    }
}

#[tokio::test]
async fn a_silent_server_and_one_that_closes_get_different_messages() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    // The system accepts connections for a program that never does.
    let check = TcpCheck::builder(address.to_string()).timeout(BRIEF);
    assert_eq!(find(&check.clone().build().unwrap()).await, Finding::Pass);
    let check = check.expect([0x4a, 0]).build().unwrap();
    let silence = why(find(&check).await);
    assert_eq!(
        silence,
        format!("connected to {address}, but received \"\" within 500ms, expected \"J\\x00\"")
    );
    tokio::spawn(async move {
        while let Ok((stream, _)) = silent.accept().await {
            drop(stream);
        }
    });
    let left = why(find(&check).await);
    assert_eq!(
        left,
        format!("connected to {address}, but it closed the connection after \"\", expected \"J\\x00\"")
    );
}

#[tokio::test]
async fn a_failure_names_the_step() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = listener.local_addr().unwrap();
    drop(listener);
    let refused = why(find(&TcpCheck::builder(gone.to_string()).build().unwrap()).await);
    assert!(refused.starts_with(&format!("cannot connect to {gone}: Connection refused")), "{refused}");
    // A name may have several addresses: the message names each.
    let refused = why(find(&TcpCheck::builder(format!("localhost:{}", gone.port())).build().unwrap()).await);
    assert!(refused.contains(&format!("cannot connect to {gone}: Connection refused")), "{refused}");
    let unknown = TcpCheck::builder("unknown.invalid:1").timeout(Duration::from_secs(30)).build().unwrap();
    let unknown = why(find(&unknown).await);
    assert!(unknown.starts_with("cannot resolve `unknown.invalid`: "), "{unknown}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_connection_attempt_times_out() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    // Fill the backlog.
    let mut connections = Vec::new();
    while let Ok(connected) = tokio::time::timeout(BRIEF, TcpStream::connect(address)).await {
        connections.push(connected.unwrap());
        assert!(connections.len() < 100, "the backlog is never full");
    }
    let check = TcpCheck::builder(address.to_string()).timeout(BRIEF).build().unwrap();
    let why = why(find(&check).await);
    assert!(why.starts_with(&format!("cannot connect to {address} within ")), "{why}");
}

#[test]
fn invalid_settings_are_refused() {
    for address in
        ["", "host", "host:", "host:0", "host:65536", ":1", "::1:80", "redis://u:hunter2@host:1", "u@h:1"]
    {
        let error = TcpCheck::builder(address).build().unwrap_err().to_string();
        assert!(error.contains("`address`") && !error.contains("hunter2"), "{error}");
    }
    for address in ["[::1]:80", "127.0.0.1:80", "db.internal:5432"] {
        assert!(TcpCheck::builder(address).build().is_ok(), "{address}");
    }
    let long = TcpCheck::builder("a:1").expect(vec![0; 5_000]).build().unwrap_err();
    assert_eq!(
        long.to_string(),
        "setting `expect` of the check of `a:1` cannot be 5000; allowed: at most 4096 bytes"
    );
    assert!(TcpCheck::builder("a:1").timeout(Duration::MAX).build().is_err());
}

#[test]
fn settings_are_read_from_files() {
    let text = r#"{"address": "a:1", "send": "PING\r\n", "expect": [43, 255], "timeout": 2}"#;
    let settings: TcpCheckSettings = serde_json::from_str(text).unwrap();
    assert_eq!((&*settings.send, &*settings.expect), (&b"PING\r\n"[..], &[43, 255][..]));
    let again: TcpCheckSettings = serde_json::from_str(&serde_json::to_string(&settings).unwrap()).unwrap();
    assert_eq!(again, settings);
    assert!(TcpCheck::from_settings(&settings).is_ok());
    assert!(serde_json::from_str::<TcpCheckSettings>(r#"{"addres": "a:1"}"#).is_err());
    assert!(serde_json::from_str::<TcpCheckSettings>(r#"{"expect": 1}"#).is_err());
}
