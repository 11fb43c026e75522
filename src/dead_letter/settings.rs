//! The settings of a queue.

use std::path::PathBuf;
use std::time::Duration;

#[cfg(not(all(feature = "redis", feature = "sqlite")))]
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::base::error::ConfigError;
use crate::base::redact::RedactionSettings;
#[cfg(feature = "redis")]
use crate::store::RedisSettings;
use crate::store::{SpillSettings, WhenFull};

/// The settings of a dead-letter queue, as a file can hold them. Unknown keys are refused.
///
/// # Example
/// ```
/// use campanile::DeadLetterQueue;
/// use campanile::dead_letter::DeadLetterSettings;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let settings: DeadLetterSettings =
///     serde_json::from_str(r#"{ "capacity": 5000, "when_full": "drop_oldest", "store": { "kind": "memory" } }"#)?;
/// let queue = DeadLetterQueue::from_settings("orders", &settings).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeadLetterSettings {
    /// Where the letters are stored. Default: in memory.
    pub store: StoreSettings,
    /// The component whose health depends on the queue. Default: the name of the queue.
    pub component: Option<String>,
    /// The name of the service that letters show. Default: that of the telemetry of the process, or else
    /// `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`.
    pub service: Option<String>,
    /// The version of the service that letters show. Default: as for `service`.
    pub service_version: Option<String>,
    /// Headers that may hold the correlation id of an HTTP request, if the telemetry of the process knows none. The first
    /// that the request has is used. Default: `x-request-id`, `x-correlation-id`.
    pub correlation_headers: Vec<String>,
    /// The largest number of waiting letters: at least 1. Default: 100,000.
    pub capacity: u64,
    /// The maximum number of bytes of all waiting letters, with their bodies: at least 65,536. Default: 1 GiB.
    pub max_bytes: u64,
    /// The maximum number of bytes of all letters on their way to the store: at least 65,536. Default: 64 MiB.
    ///
    /// It bounds the memory that a store that hangs costs. A letter beyond it is dropped and counted as
    /// [`DropReason::Busy`](super::DropReason::Busy), unless it is the only one. So is a letter when 10,000 others are on
    /// their way.
    pub max_parking_bytes: u64,
    /// How long after its first failure a letter expires: at least 1 s. Default: never.
    #[serde(with = "crate::base::duration::option")]
    pub expire_after: Option<Duration>,
    /// What a full queue does with a new letter. Default: it refuses the letter.
    pub when_full: WhenFull,
    /// The spill, which takes letters while the store cannot: see
    /// [`DeadLetterQueueBuilder::spill`](super::DeadLetterQueueBuilder::spill). Default: none.
    pub spill: Option<SpillSettings>,
    /// How long a caller waits until its letter is parked: more than zero, at most 30 s. Default: 1 s.
    #[serde(with = "crate::base::duration")]
    pub park_timeout: Duration,
    /// Names of headers, query parameters and fields whose values are not stored, in addition to the defaults.
    pub redact: Vec<String>,
    /// Whether the values of the default names are redacted. Default: `true`.
    pub redact_defaults: bool,
    /// What else is redacted, and how. Default: names, credentials and the user in URLs. Card numbers and e-mail addresses
    /// stay, because a letter that lost a part of its body is not sent again.
    pub redaction: RedactionSettings,
    /// The maximum number of bytes of an HTTP body that are stored: at most 64 MiB. Default: 64 KiB.
    pub body_cap: usize,
    /// Whether bodies are stored that cannot be searched for secrets: those with a `content-encoding`, those in an unknown
    /// charset, and those that are not text, such as gRPC messages. Default: `false`. A letter without its body says so in
    /// [`HttpRequest::body_state`](super::HttpRequest::body_state), and is not sent again.
    pub opaque_bodies: bool,
    /// Whether cancelled HTTP and gRPC requests are parked. Default: `false`.
    pub park_cancelled: bool,
    /// Whether the HTTP layer adds an `Idempotency-Key` to a POST or PATCH without one. Default: `false`.
    pub idempotency_keys: bool,
}

impl Default for DeadLetterSettings {
    fn default() -> Self {
        Self {
            store: StoreSettings::default(),
            component: None,
            service: None,
            service_version: None,
            correlation_headers: vec!["x-request-id".to_owned(), "x-correlation-id".to_owned()],
            capacity: 100_000,
            max_bytes: 1024 * 1024 * 1024,
            max_parking_bytes: 64 * 1024 * 1024,
            expire_after: None,
            when_full: WhenFull::default(),
            spill: None,
            park_timeout: Duration::from_secs(1),
            redact: Vec::new(),
            redact_defaults: true,
            redaction: RedactionSettings::names_only(),
            body_cap: 64 * 1024,
            opaque_bodies: false,
            park_cancelled: false,
            idempotency_keys: false,
        }
    }
}

impl DeadLetterSettings {
    pub(crate) fn validate(&self, name: &str) -> Result<(), ConfigError> {
        ConfigError::check(!name.trim().is_empty(), "name", name, "not empty")?;
        for (setting, value) in [
            ("component", &self.component),
            ("service", &self.service),
            ("service_version", &self.service_version),
        ] {
            if let Some(value) = value {
                ConfigError::check(!value.trim().is_empty(), setting, value, "not empty")?;
            }
        }
        for name in &self.correlation_headers {
            let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            ConfigError::check(
                !name.is_empty() && name.bytes().all(is_name),
                "correlation_headers",
                name,
                "names of headers",
            )?;
        }
        ConfigError::check(
            (1..=i64::MAX as u64).contains(&self.capacity),
            "capacity",
            self.capacity,
            "at least 1 and at most 2^63 - 1",
        )?;
        for (setting, bytes) in [("max_bytes", self.max_bytes), ("max_parking_bytes", self.max_parking_bytes)]
        {
            ConfigError::check(
                (65_536..=i64::MAX as u64).contains(&bytes),
                setting,
                bytes,
                "at least 65536 bytes and at most 2^63 - 1",
            )?;
        }
        if let Some(time) = self.expire_after {
            ConfigError::check(time >= Duration::from_secs(1), "expire_after", time, "at least 1 s")?;
        }
        ConfigError::check(
            !self.park_timeout.is_zero() && self.park_timeout <= Duration::from_secs(30),
            "park_timeout",
            self.park_timeout,
            "more than zero and at most 30 s",
        )?;
        match &self.spill {
            Some(spill) => spill.validate(self.park_timeout)?,
            None => ConfigError::check(
                self.when_full != WhenFull::Spill,
                "when_full",
                self.when_full,
                "`spill` only together with the setting `spill`, which names its file",
            )?,
        }
        ConfigError::check(
            self.body_cap <= 64 * 1024 * 1024,
            "body_cap",
            self.body_cap,
            "at most 67108864 bytes (64 MiB)",
        )?;
        for name in &self.redact {
            ConfigError::check(
                name.contains(char::is_alphanumeric),
                "redact",
                name,
                "names with at least one letter or digit",
            )?;
        }
        Ok(())
    }
}

/// Where a queue stores its letters: `kind` is `memory`, `sqlite` or `redis`. Unknown keys are refused, and so is a store
/// whose feature is off.
///
/// # Example
/// In TOML:
/// ```toml
/// [store]
/// kind = "sqlite"
/// path = "/var/lib/orders/letters.db"
/// ```
/// In JSON:
#[cfg_attr(feature = "redis", doc = "```")]
#[cfg_attr(not(feature = "redis"), doc = "```ignore")]
/// use campanile::dead_letter::StoreSettings;
///
/// let store: StoreSettings = serde_json::from_str(r#"{ "kind": "redis", "url": "redis://cache.internal/" }"#)?;
/// # let StoreSettings::Redis(_) = store else { panic!() };
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", try_from = "AnyStore")]
#[non_exhaustive]
pub enum StoreSettings {
    /// In the memory of the process.
    #[default]
    Memory,
    /// In a SQLite file.
    #[cfg(feature = "sqlite")]
    #[cfg_attr(docsrs, doc(cfg(feature = "sqlite")))]
    Sqlite {
        /// The path of the file. It is created if it does not exist.
        path: PathBuf,
    },
    /// In Redis.
    #[cfg(feature = "redis")]
    #[cfg_attr(docsrs, doc(cfg(feature = "redis")))]
    Redis(RedisSettings),
}

/// [`StoreSettings`] with the stores whose features are off, so that their error can name the feature.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum AnyStore {
    Memory {},
    #[cfg(feature = "sqlite")]
    Sqlite {
        path: PathBuf,
    },
    #[cfg(not(feature = "sqlite"))]
    Sqlite(IgnoredAny),
    #[cfg(feature = "redis")]
    Redis(RedisSettings),
    #[cfg(not(feature = "redis"))]
    Redis(IgnoredAny),
}

impl TryFrom<AnyStore> for StoreSettings {
    type Error = &'static str;

    fn try_from(store: AnyStore) -> Result<Self, Self::Error> {
        match store {
            AnyStore::Memory {} => Ok(Self::Memory),
            #[cfg(feature = "sqlite")]
            AnyStore::Sqlite { path } => Ok(Self::Sqlite { path }),
            #[cfg(not(feature = "sqlite"))]
            AnyStore::Sqlite(_) => {
                Err("the store `sqlite` needs the feature `sqlite` of campanile, which is off")
            }
            #[cfg(feature = "redis")]
            AnyStore::Redis(settings) => Ok(Self::Redis(settings)),
            #[cfg(not(feature = "redis"))]
            AnyStore::Redis(_) => {
                Err("the store `redis` needs the feature `redis` of campanile, which is off")
            }
        }
    }
}
