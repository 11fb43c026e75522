//! Checks of TCP ports.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout_at};

use super::check_trait::Check;
use super::finding::Finding;
use super::timeouts;
use crate::base::error::ConfigError;

/// Maximum length of `send` and `expect` in bytes.
const MAX_BYTES: usize = 4_096;

/// Bytes of a greeting that messages show.
const SHOWN: usize = 32;

/// The settings of a [`TcpCheck`], as a file can hold them. Unknown keys are refused.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
#[must_use]
pub struct TcpCheckSettings {
    /// The port: `host:port`, or `[::1]:port`. Required.
    pub address: String,
    /// Bytes to send after connecting: a text, or a list of bytes. At most 4 KiB. Default: none.
    #[serde(serialize_with = "write_bytes", deserialize_with = "read_bytes")]
    pub send: Vec<u8>,
    /// The first bytes that the server must send: a text, or a list of bytes. At most 4 KiB. Default: none.
    #[serde(serialize_with = "write_bytes", deserialize_with = "read_bytes")]
    pub expect: Vec<u8>,
    /// The longest time that all steps together may take: more than zero and at most an hour. Default: 4 s.
    #[serde(with = "crate::base::duration")]
    pub timeout: Duration,
}

impl Default for TcpCheckSettings {
    fn default() -> Self {
        Self { address: String::new(), send: Vec::new(), expect: Vec::new(), timeout: timeouts::DEFAULT }
    }
}

impl fmt::Debug for TcpCheckSettings {
    /// Omits the bytes to send, which may be a password: `AUTH …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpCheckSettings")
            .field("address", &self.address)
            .field("expect", &self.expect.escape_ascii().to_string())
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// Connects to a TCP port, and can verify the first bytes that the server sends.
///
/// The addresses of the host are tried in turn, each for its share of the time that is left. The message of a failure names
/// the step and the address. A connection alone proves little, because the system accepts it even for a program that hangs:
/// [`expect`](TcpCheckSettings::expect) proves more.
///
/// # Example
/// ```
/// use campanile::health::TcpCheck;
///
/// # fn main() -> Result<(), campanile::ConfigError> {
/// let port = TcpCheck::builder("queue.internal:5672").build()?;
/// let mail = TcpCheck::builder("mail.internal:25").expect("220 ").build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct TcpCheck {
    host: String,
    port: u16,
    settings: TcpCheckSettings,
}

impl TcpCheck {
    /// Starts a check of `address`, which is `host:port`.
    pub fn builder(address: impl Into<String>) -> TcpCheckSettings {
        TcpCheckSettings { address: address.into(), ..TcpCheckSettings::default() }
    }

    /// Makes the check that `settings` describe.
    ///
    /// # Errors
    /// When a setting is out of its range. The error names the setting.
    pub fn from_settings(settings: &TcpCheckSettings) -> Result<Self, ConfigError> {
        let parts = settings.address.rsplit_once(':').and_then(|(host, port)| {
            let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
            let port = port.parse::<u16>().ok().filter(|port| *port > 0)?;
            let host = bracketed.or(Some(host).filter(|host| !host.contains([':', '/', '@', ' '])))?;
            (!host.is_empty()).then(|| (host.to_owned(), port))
        });
        let Some((host, port)) = parts else {
            // The value may be a URL with a password.
            return Err(ConfigError::new(
                "address",
                "(not shown)",
                "a host and a port, such as `db.internal:5432`",
            ));
        };
        settings.validate().map_err(|error| error.of("the check of", &settings.address))?;
        Ok(Self { host, port, settings: settings.clone() })
    }

    async fn connect_and_verify(&self) -> Result<(), String> {
        let settings = &self.settings;
        let deadline = Instant::now() + settings.timeout;
        let (mut stream, address) = self.connect(deadline).await?;
        let failed =
            |step: &str, error: io::Error| format!("connected to {address}, but cannot {step}: {error}");
        if !settings.send.is_empty() {
            match timeout_at(deadline, stream.write_all(&settings.send)).await {
                Ok(sent) => sent.map_err(|error| failed("send", error))?,
                Err(_) => {
                    return Err(format!(
                        "connected to {address}, but cannot send within {:?}",
                        settings.timeout
                    ));
                }
            }
        }
        let expected = excerpt(&settings.expect);
        let mut received = Vec::new();
        while received.len() < settings.expect.len() {
            let mut piece = [0; 256];
            let wanted = (settings.expect.len() - received.len()).min(piece.len());
            match timeout_at(deadline, stream.read(&mut piece[..wanted])).await {
                Ok(Ok(0)) => {
                    return Err(format!(
                        "connected to {address}, but it closed the connection after \"{}\", expected \"{expected}\"",
                        excerpt(&received)
                    ));
                }
                Ok(Ok(read)) => received.extend_from_slice(&piece[..read]),
                Ok(Err(error)) => return Err(failed("read", error)),
                Err(_) => {
                    return Err(format!(
                        "connected to {address}, but received \"{}\" within {:?}, expected \"{expected}\"",
                        excerpt(&received),
                        settings.timeout
                    ));
                }
            }
            if !settings.expect.starts_with(&received) {
                return Err(format!(
                    "connected to {address}, but received \"{}\", expected \"{expected}\"",
                    excerpt(&received)
                ));
            }
        }
        Ok(())
    }

    async fn connect(&self, deadline: Instant) -> Result<(TcpStream, SocketAddr), String> {
        let (host, timeout) = (&self.host, self.settings.timeout);
        let mut addresses: Vec<SocketAddr> =
            match timeout_at(deadline, lookup_host((host.as_str(), self.port))).await {
                Ok(Ok(addresses)) => addresses.collect(),
                Ok(Err(error)) => return Err(format!("cannot resolve `{host}`: {error}")),
                Err(_) => return Err(format!("cannot resolve `{host}` within {timeout:?}")),
            };
        addresses.dedup();
        let mut failed = Vec::new();
        for (place, &address) in addresses.iter().enumerate() {
            // An address that never answers leaves the others their share of the time.
            let left = deadline.saturating_duration_since(Instant::now());
            let share = left / u32::try_from(addresses.len() - place).unwrap_or(u32::MAX);
            match timeout_at(Instant::now() + share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok((stream, address)),
                Ok(Err(error)) => failed.push(format!("cannot connect to {address}: {error}")),
                Err(_) => failed.push(format!("cannot connect to {address} within {share:.1?}")),
            }
        }
        if failed.is_empty() { Err(format!("`{host}` has no address")) } else { Err(failed.join("; ")) }
    }
}

impl TcpCheckSettings {
    setters! {
        /// Sends bytes after connecting.
        pub fn send(bytes: impl Into<Vec<u8>>) { send = bytes.into(); }
        /// Sets the first bytes that the server must send.
        pub fn expect(bytes: impl Into<Vec<u8>>) { expect = bytes.into(); }
        /// Sets the field [`timeout`](Self::timeout).
        pub fn timeout(timeout: Duration) { timeout = timeout; }
    }

    fn validate(&self) -> Result<(), ConfigError> {
        timeouts::validate(self.timeout)?;
        for (setting, bytes) in [("send", &self.send), ("expect", &self.expect)] {
            ConfigError::check(bytes.len() <= MAX_BYTES, setting, bytes.len(), "at most 4096 bytes")?;
        }
        Ok(())
    }

    /// Makes the check: see [`TcpCheck::from_settings`].
    ///
    /// # Errors
    /// As [`TcpCheck::from_settings`].
    pub fn build(self) -> Result<TcpCheck, ConfigError> {
        TcpCheck::from_settings(&self)
    }
}

impl Check for TcpCheck {
    async fn check(&self) -> Finding {
        self.connect_and_verify().await.into()
    }
}

fn excerpt(bytes: &[u8]) -> String {
    let more = if bytes.len() > SHOWN { "…" } else { "" };
    format!("{}{more}", bytes[..bytes.len().min(SHOWN)].escape_ascii())
}

fn write_bytes<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    match std::str::from_utf8(bytes) {
        Ok(text) => serializer.serialize_str(text),
        Err(_) => serializer.collect_seq(bytes),
    }
}

fn read_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a text, or a list of bytes")]
    enum TextOrBytes {
        Text(String),
        Bytes(Vec<u8>),
    }
    Ok(match TextOrBytes::deserialize(deserializer)? {
        TextOrBytes::Text(text) => text.into_bytes(),
        TextOrBytes::Bytes(bytes) => bytes,
    })
}
