//! Connecting over TCP.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout_at};

use super::{Check, Finding, IntoFinding, patience};
use crate::base::error::ConfigError;

/// More than a greeting has.
const LONGEST: usize = 4_096;

/// As much of a greeting as is shown.
const SHOWN: usize = 32;

/// Where a [`TcpCheck`] connects to, and what it is greeted with, as a file can hold it. Unknown keys are refused.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TcpCheckSettings {
    /// `host:port`, or `[::1]:port`. Has to be set.
    pub address: String,
    /// Sent once it is connected: text, or a list of bytes. At most 4 KiB. Default: nothing.
    #[serde(serialize_with = "write_bytes", deserialize_with = "read_bytes")]
    pub send: Vec<u8>,
    /// What it has to say first: text, or a list of bytes. At most 4 KiB. Default: nothing.
    #[serde(serialize_with = "write_bytes", deserialize_with = "read_bytes")]
    pub expect: Vec<u8>,
    /// How long all of it may take: more than zero and at most an hour. Default 4 s, less than what
    /// [`Every`](super::Every) gives a run, so that what is told names what took so long.
    #[serde(with = "crate::base::duration")]
    pub timeout: Duration,
}

impl Default for TcpCheckSettings {
    fn default() -> Self {
        Self { address: String::new(), send: Vec::new(), expect: Vec::new(), timeout: patience::DEFAULT }
    }
}

impl fmt::Debug for TcpCheckSettings {
    /// Without what is sent, which may be a password: `AUTH …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpCheckSettings")
            .field("address", &self.address)
            .field("expect", &self.expect.escape_ascii().to_string())
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// Makes a [`TcpCheck`]: see [`TcpCheck::builder`].
#[derive(Clone, Debug)]
#[must_use]
pub struct TcpCheckBuilder {
    settings: TcpCheckSettings,
}

/// Connects to a port, and can listen to what is said there.
///
/// All addresses of the name are tried in turn, each for its share of the time that is left. What fails says at which
/// step, and at which address. A port that is connected to says little: the system takes connections for a program that
/// stands still. [What it says first](TcpCheckBuilder::expect) says more.
///
/// # Example
/// ```
/// use campanile::health::TcpCheck;
///
/// # fn main() -> Result<(), campanile::ConfigError> {
/// let port = TcpCheck::new("queue.internal:5672")?;
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
    /// Connects to `address`, which is `host:port`.
    ///
    /// # Errors
    /// When it is not.
    pub fn new(address: impl Into<String>) -> Result<Self, ConfigError> {
        Self::builder(address).build()
    }

    /// A check of `address`, to be set up.
    pub fn builder(address: impl Into<String>) -> TcpCheckBuilder {
        TcpCheckBuilder {
            settings: TcpCheckSettings { address: address.into(), ..TcpCheckSettings::default() },
        }
    }

    async fn look(&self) -> Result<(), String> {
        let settings = &self.settings;
        let deadline = Instant::now() + settings.timeout;
        let (mut stream, address) = self.connect(deadline).await?;
        let failed = |step: &str, error: io::Error| format!("connected to {address}, cannot {step}: {error}");
        let late =
            |step: &str| format!("connected to {address}, cannot {step} within {:?}", settings.timeout);
        if !settings.send.is_empty() {
            match timeout_at(deadline, stream.write_all(&settings.send)).await {
                Ok(sent) => sent.map_err(|error| failed("send", error))?,
                Err(_) => return Err(late("send")),
            }
        }
        let mut said = Vec::new();
        while said.len() < settings.expect.len() {
            let mut piece = [0; 256];
            let wanted = (settings.expect.len() - said.len()).min(piece.len());
            match timeout_at(deadline, stream.read(&mut piece[..wanted])).await {
                Ok(Ok(0)) => {
                    return Err(format!(
                        "connected to {address}, which closed after \"{}\", where \"{}\" should come",
                        shown(&said),
                        shown(&settings.expect)
                    ));
                }
                Ok(Ok(read)) => said.extend_from_slice(&piece[..read]),
                Ok(Err(error)) => return Err(failed("read", error)),
                Err(_) => {
                    let far = shown(&said);
                    return Err(format!("{}; it said \"{far}\"", late("read what it says first")));
                }
            }
            if !settings.expect.starts_with(&said) {
                let (said, wanted) = (shown(&said), shown(&settings.expect));
                return Err(format!("connected to {address}, which said \"{said}\" instead of \"{wanted}\""));
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
        for (at, &address) in addresses.iter().enumerate() {
            // One that swallows everything leaves the others their time.
            let left = deadline.saturating_duration_since(Instant::now());
            let share = left / u32::try_from(addresses.len() - at).unwrap_or(u32::MAX);
            match timeout_at(Instant::now() + share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok((stream, address)),
                Ok(Err(error)) => failed.push(format!("cannot connect to {address}: {error}")),
                Err(_) => failed.push(format!("cannot connect to {address} within {share:.1?}")),
            }
        }
        if failed.is_empty() { Err(format!("`{host}` has no address")) } else { Err(failed.join("; ")) }
    }
}

impl Check for TcpCheck {
    async fn check(&self) -> Finding {
        self.look().await.into_finding()
    }
}

impl TcpCheckBuilder {
    setters! {
        /// Takes all settings from `settings`, the address too.
        pub fn settings(settings: TcpCheckSettings) { settings = settings; }
        /// Sends this once it is connected.
        pub fn send(bytes: impl Into<Vec<u8>>) { settings.send = bytes.into(); }
        /// What it has to say first.
        pub fn expect(bytes: impl Into<Vec<u8>>) { settings.expect = bytes.into(); }
        /// How long all of it may take, 4 s unless set.
        pub fn timeout(timeout: Duration) { settings.timeout = timeout; }
    }

    /// The check.
    ///
    /// # Errors
    /// When a setting is out of its range.
    pub fn build(self) -> Result<TcpCheck, ConfigError> {
        let settings = self.settings;
        patience::validate(settings.timeout)?;
        for (setting, bytes) in [("send", &settings.send), ("expect", &settings.expect)] {
            ConfigError::check(bytes.len() <= LONGEST, setting, bytes.len(), "at most 4096 bytes")?;
        }
        let parts = settings.address.rsplit_once(':').and_then(|(host, port)| {
            let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
            let port = port.parse::<u16>().ok().filter(|port| *port > 0)?;
            let host = bracketed.or(Some(host).filter(|host| !host.contains([':', '/', '@', ' '])))?;
            (!host.is_empty()).then(|| (host.to_owned(), port))
        });
        match parts {
            Some((host, port)) => Ok(TcpCheck { host, port, settings }),
            // It may be a URL with a password.
            None => Err(ConfigError::new(
                "address",
                "(not shown)",
                "a host and a port, such as `db.internal:5432`",
            )),
        }
    }
}

fn shown(bytes: &[u8]) -> String {
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
    #[serde(untagged, expecting = "text, or a list of bytes")]
    enum Written {
        Text(String),
        Bytes(Vec<u8>),
    }
    Ok(match Written::deserialize(deserializer)? {
        Written::Text(text) => text.into_bytes(),
        Written::Bytes(bytes) => bytes,
    })
}
