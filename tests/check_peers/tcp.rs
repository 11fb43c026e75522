//! Ports.

use std::net::SocketAddr;
use std::time::Duration;

use campanile::health::{Finding, TcpCheck, TcpCheckSettings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::{find, why};

const BRIEF: Duration = Duration::from_millis(500);

/// Greets with the first, and says the second when it has read a line.
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
async fn a_port_is_connected_to_and_listened_to() {
    let address = greeter(b"220 mail\r\n", b"250 hello\r\n").await;
    let port = address.port();
    for address in [format!("127.0.0.1:{port}"), format!("localhost:{port}")] {
        assert_eq!(find(&TcpCheck::new(address).unwrap()).await, Finding::Pass);
    }
    let check = || TcpCheck::builder(address.to_string()).timeout(BRIEF);
    assert_eq!(find(&check().expect("220 ").build().unwrap()).await, Finding::Pass);
    let spoken = check().send("EHLO me\r\n").expect("220 mail\r\n250 ").build().unwrap();
    assert_eq!(find(&spoken).await, Finding::Pass);
    for (expected, words) in [
        ("SSH-", "which said \"220 \" instead of \"SSH-\""),
        ("220 mail\r\n250", "cannot read what it says first within 500ms; it said \"220 mail\\r\\n\""),
    ] {
        let why = why(find(&check().expect(expected).build().unwrap()).await);
        assert_eq!(why, format!("connected to {address}, {words}"));
    }
}

#[tokio::test]
async fn one_that_says_nothing_or_leaves_is_told_apart() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    // The system connects for a program that never looks.
    let check = TcpCheck::builder(address.to_string()).timeout(BRIEF);
    assert_eq!(find(&check.clone().build().unwrap()).await, Finding::Pass);
    let check = check.expect([0x4a, 0]).build().unwrap();
    let silence = why(find(&check).await);
    assert_eq!(
        silence,
        format!("connected to {address}, cannot read what it says first within 500ms; it said \"\"")
    );
    tokio::spawn(async move {
        while let Ok((stream, _)) = silent.accept().await {
            drop(stream);
        }
    });
    let left = why(find(&check).await);
    assert_eq!(
        left,
        format!("connected to {address}, which closed after \"\", where \"J\\x00\" should come")
    );
}

#[tokio::test]
async fn a_step_that_fails_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = listener.local_addr().unwrap();
    drop(listener);
    let refused = why(find(&TcpCheck::new(gone.to_string()).unwrap()).await);
    assert!(refused.starts_with(&format!("cannot connect to {gone}: Connection refused")), "{refused}");
    // A name may have several addresses; each is told.
    let refused = why(find(&TcpCheck::new(format!("localhost:{}", gone.port())).unwrap()).await);
    assert!(refused.contains(&format!("cannot connect to {gone}: Connection refused")), "{refused}");
    let unknown = TcpCheck::builder("nobody.invalid:1").timeout(Duration::from_secs(30)).build().unwrap();
    let unknown = why(find(&unknown).await);
    assert!(unknown.starts_with("cannot resolve `nobody.invalid`: "), "{unknown}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_black_hole_is_given_up() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    // Until nobody is let in any more.
    let mut inside = Vec::new();
    while let Ok(connected) = tokio::time::timeout(BRIEF, TcpStream::connect(address)).await {
        inside.push(connected.unwrap());
        assert!(inside.len() < 100, "everybody is let in");
    }
    let check = TcpCheck::builder(address.to_string()).timeout(BRIEF).build().unwrap();
    let why = why(find(&check).await);
    assert!(why.starts_with(&format!("cannot connect to {address} within ")), "{why}");
}

#[test]
fn what_cannot_be_connected_to_is_refused() {
    for address in
        ["", "host", "host:", "host:0", "host:65536", ":1", "::1:80", "redis://u:hunter2@host:1", "u@h:1"]
    {
        let error = TcpCheck::new(address).unwrap_err().to_string();
        assert!(error.contains("`address`") && !error.contains("hunter2"), "{error}");
    }
    for address in ["[::1]:80", "127.0.0.1:80", "db.internal:5432"] {
        assert!(TcpCheck::new(address).is_ok(), "{address}");
    }
    let long = TcpCheck::builder("a:1").expect(vec![0; 5_000]).build().unwrap_err();
    assert_eq!(long.to_string(), "setting `expect` cannot be 5000: at most 4096 bytes");
    assert!(TcpCheck::builder("a:1").timeout(Duration::MAX).build().is_err());
}

#[test]
fn settings_are_read_from_files() {
    let text = r#"{"address": "a:1", "send": "PING\r\n", "expect": [43, 255], "timeout": 2}"#;
    let settings: TcpCheckSettings = serde_json::from_str(text).unwrap();
    assert_eq!((&*settings.send, &*settings.expect), (&b"PING\r\n"[..], &[43, 255][..]));
    let again: TcpCheckSettings = serde_json::from_str(&serde_json::to_string(&settings).unwrap()).unwrap();
    assert_eq!(again, settings);
    assert!(TcpCheck::builder("").settings(settings).build().is_ok());
    assert!(serde_json::from_str::<TcpCheckSettings>(r#"{"addres": "a:1"}"#).is_err());
    assert!(serde_json::from_str::<TcpCheckSettings>(r#"{"expect": 1}"#).is_err());
}
