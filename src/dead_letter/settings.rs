//! What can be set, and what is allowed.

#[cfg(feature = "sqlite")]
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::identity::identity;
use super::queue::DeadLetterQueue;
use super::redact::LetterRedactor;
use crate::base::error::ConfigError;
use crate::base::redact::RedactionSettings;
use crate::signal::Identity;
#[cfg(feature = "redis")]
use crate::store::RedisStore;
use crate::store::{MemoryStore, SpillSettings, Store, StoreError, WhenFull};
#[cfg(feature = "sqlite")]
use crate::store::{SpillStore, SqliteStore};

/// The settings of a dead letter queue, as a file can hold them. Unknown keys are refused.
///
/// # Example
/// ```
/// use campanile::DeadLetterQueue;
/// use campanile::dead_letter::DeadLetterSettings;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let settings: DeadLetterSettings =
///     serde_json::from_str(r#"{ "capacity": 5000, "when_full": "drop_oldest", "park_timeout": "250ms" }"#)?;
/// let queue = DeadLetterQueue::builder("orders").settings(settings).build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeadLetterSettings {
    /// The component whose health the letters speak of. Default: the name of the queue.
    pub component: Option<String>,
    /// The service that letters are told to come from. Default: what the telemetry of the process says, or else
    /// `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`.
    pub service: Option<String>,
    /// Its version, likewise.
    pub service_version: Option<String>,
    /// Headers that name the correlation id of an HTTP request, where the telemetry of the process does not know one;
    /// the first that is there stands. Default: `x-request-id`, `x-correlation-id`.
    pub correlation_headers: Vec<String>,
    /// The most letters that wait: at least 1. Default 100,000.
    pub capacity: u64,
    /// The most bytes of all letters that wait, their bodies and what is known of them: at least 65,536. Default 1 GiB.
    pub max_bytes: u64,
    /// The most bytes of all letters on their way to the store, of which there are at most 10,000: at least 65,536. One
    /// that would be too much is dropped and counted as [`DropReason::Busy`](super::DropReason::Busy); one that is alone
    /// is never too much. Default 64 MiB: what a store that hangs may cost of the memory.
    pub max_parking_bytes: u64,
    /// How long a letter is kept, from its first failure: at least 1 s. Default: for ever.
    #[serde(with = "crate::base::duration::option")]
    pub expire_after: Option<Duration>,
    /// What happens to one more. Default: it is refused.
    pub when_full: WhenFull,
    /// Where letters go that the store does not take: see [`DeadLetterQueueBuilder::spill`]. Default: nowhere.
    pub spill: Option<SpillSettings>,
    /// How long a caller waits for its letter to be safe: more than zero, at most 30 s. Default 1 s.
    #[serde(with = "crate::base::duration")]
    pub park_timeout: Duration,
    /// Names of headers, query parameters and fields whose values are not stored, beside the defaults.
    pub redact: Vec<String>,
    /// Whether the default names are redacted. Default: yes.
    pub redact_defaults: bool,
    /// What else is redacted, and whether a hash stands in its place. Default: names, credentials and the user's
    /// part of URLs. Numbers of cards and e-mail addresses stay: a letter that lost a part of its body is not
    /// sent again.
    pub redaction: RedactionSettings,
    /// The most bytes of an HTTP body that are kept: at most 64 MiB. Default 64 KiB.
    pub body_cap: usize,
    /// Whether bodies are stored that cannot be searched for secrets: those with a `content-encoding`, those in a
    /// charset that is not known, and those that are no text, such as messages of gRPC. Default: no. A letter without
    /// its body tells so in [`HttpRequest::body_state`](super::HttpRequest::body_state), and is not redriven.
    pub opaque_bodies: bool,
    /// Whether an HTTP or gRPC request is parked whose caller left before there was an answer. Default: no.
    pub park_cancelled: bool,
    /// Whether a POST or PATCH gets an `Idempotency-Key` where it has none. Default: no.
    pub idempotency_keys: bool,
}

impl Default for DeadLetterSettings {
    fn default() -> Self {
        Self {
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
    /// Who parks, by these settings and the environment.
    pub(super) fn identity(&self) -> Identity {
        let found = identity(&|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
        Identity {
            service: self.service.clone().or(found.service),
            version: self.service_version.clone().or(found.version),
            instance: found.instance,
        }
    }

    pub(super) fn validate(&self, name: &str) -> Result<LetterRedactor, ConfigError> {
        ConfigError::check(!name.trim().is_empty(), "name", name, "not empty")?;
        if let Some(component) = &self.component {
            ConfigError::check(!component.trim().is_empty(), "component", component, "not empty")?;
        }
        for (setting, value) in [("service", &self.service), ("service_version", &self.service_version)] {
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
                "`spill` needs the setting `spill`: the file that letters go to",
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
        LetterRedactor::new(self)
    }
}

/// Makes a [`DeadLetterQueue`]: see [`DeadLetterQueue::builder`].
#[derive(Clone, Debug)]
#[must_use]
pub struct DeadLetterQueueBuilder {
    name: Arc<str>,
    settings: DeadLetterSettings,
}

impl DeadLetterQueueBuilder {
    pub(super) fn new(name: Arc<str>) -> Self {
        Self { name, settings: DeadLetterSettings::default() }
    }

    setters! {
        /// Takes all settings from `settings`.
        pub fn settings(settings: DeadLetterSettings) { settings = settings; }
        /// The component whose health the letters speak of; the name of the queue unless set.
        pub fn component(name: impl Into<String>) { settings.component = Some(name.into()); }
        /// The service that letters are told to come from, and its version: see [`DeadLetterSettings::service`].
        pub fn service(name: impl Into<String>, version: impl Into<String>) {
            settings.service = Some(name.into());
            settings.service_version = Some(version.into());
        }
    }

    /// Headers that name the correlation id of an HTTP request: see [`DeadLetterSettings::correlation_headers`].
    pub fn correlation_headers<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.settings.correlation_headers = names.into_iter().map(Into::into).collect();
        self
    }

    setters! {
        /// The most letters that wait, at least 1.
        pub fn capacity(letters: u64) { settings.capacity = letters; }
        /// The most bytes of all letters that wait, at least 65,536.
        pub fn max_bytes(bytes: u64) { settings.max_bytes = bytes; }
        /// The most bytes of all letters on their way to the store, at least 65,536: see
        /// [`DeadLetterSettings::max_parking_bytes`].
        pub fn max_parking_bytes(bytes: u64) { settings.max_parking_bytes = bytes; }
        /// How long a letter is kept, from its first failure, at least 1 s; for ever unless set.
        pub fn expire_after(time: Duration) { settings.expire_after = Some(time); }
        /// What happens to a letter when the queue is full.
        pub fn when_full(when_full: WhenFull) { settings.when_full = when_full; }
        /// Where letters go that the store does not take, because it failed, did not answer in time or, with
        /// [`WhenFull::Spill`], is full: a SQLite file of its own. A path will do.
        ///
        /// They count as parked, and go to the store as soon as it takes them.
        pub fn spill(spill: impl Into<SpillSettings>) { settings.spill = Some(spill.into()); }
        /// How long a caller waits for its letter to be safe; more than zero, at most 30 s.
        pub fn park_timeout(timeout: Duration) { settings.park_timeout = timeout; }
    }

    /// More names of headers, query parameters and fields whose values are not stored.
    ///
    /// A name is compared word by word, whatever its style: `token`, which is one of the defaults, is found in
    /// `X-Auth-Token`, `access_token` and `accessToken`, and not in `tokenizer`. Headers, the query, JSON, forms, the
    /// parts of multipart bodies, text, messages of errors and the fields of plain requests are searched. A body that
    /// cannot be searched is not stored: see [`DeadLetterQueueBuilder::opaque_bodies`].
    pub fn redact<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.settings.redact.extend(names.into_iter().map(Into::into));
        self
    }

    setters! {
        /// Whether the default names are redacted: see [`RedactionSettings::defaults`].
        pub fn redact_defaults(yes: bool) { settings.redact_defaults = yes; }
        /// What else is redacted, and whether a hash stands in its place. Unless set, requests are searched by
        /// [`RedactionSettings::names_only`]: a letter that lost a card's number or an address could not be sent again.
        /// Messages of errors are then searched by all rules.
        ///
        /// The signature in the query of a request's own URI stays with all that belongs to it (of SigV4 the credential
        /// and the security token too), since the request could not be sent again without one of them. If the settings
        /// name one of these parameters, all of them go, and the letter is not redriven.
        pub fn redaction(redaction: RedactionSettings) { settings.redaction = redaction; }
        /// The most bytes of an HTTP body that are kept. The letter of a larger one has no body and is not redriven.
        pub fn body_cap(bytes: usize) { settings.body_cap = bytes; }
        /// Whether bodies are stored that cannot be searched for secrets; they are not unless set.
        ///
        /// What is compressed, encrypted, in a charset that is not known or no text cannot be searched: gRPC messages
        /// for one. Without this setting the letters of such requests tell everything else, their `body_state` is
        /// [`BodyState::Unsearched`](super::BodyState::Unsearched), and they are not redriven; a warning in the log says so
        /// at the first one and each time their number doubles. Say `true` where such bodies may lie on a disk in clear.
        pub fn opaque_bodies(stored: bool) { settings.opaque_bodies = stored; }
        /// Whether an HTTP or gRPC request is parked whose caller left before there was an answer; it is not unless
        /// told otherwise.
        ///
        /// For a client that stops waiting the request is still its own. A server that has accepted one may owe it to
        /// its caller to bring it to an end, though its caller does not wait for the answer any more: where connections are cut
        /// halfway, that is the only trace of what was asked for. What was done by then is not known, so it is for
        /// services that may do a thing twice. A letter of that kind is
        /// [`Cancelled`](crate::FailureKind::Cancelled), or [`Timeout`](crate::FailureKind::Timeout) where a layer of this
        /// crate gave the call up for time, and holds of the body what had come.
        pub fn park_cancelled(yes: bool) { settings.park_cancelled = yes; }
        /// Whether the HTTP layer gives a POST or PATCH an `Idempotency-Key` where it has none; it does not unless told
        /// otherwise.
        ///
        /// A redrive always sends one, the same each time. But the first call may have done its work and only its
        /// answer got lost: a server can tell only if that carried the same key. With this it does, as do its retries,
        /// for the key is the id of the letter that the request would become. It is for servers that know the header
        /// (draft-ietf-httpapi-idempotency-key-header): one that does not gains nothing, and a [`Retry`](crate::Retry)
        /// inside takes a request with a key for one that may be sent twice.
        pub fn idempotency_keys(yes: bool) { settings.idempotency_keys = yes; }
    }

    /// A queue in memory.
    ///
    /// # Errors
    /// When a setting is out of its range, or there is a [`DeadLetterQueueBuilder::spill`], which memory does not need.
    pub fn build(self) -> Result<DeadLetterQueue, ConfigError> {
        self.on(MemoryStore::default())
    }

    /// A queue on a store: a shared one, or one of your own.
    ///
    /// # Errors
    /// When a setting is out of its range, or there is a [`DeadLetterQueueBuilder::spill`]: a file takes [`DeadLetterQueueBuilder::open`].
    pub fn on(self, store: impl Store) -> Result<DeadLetterQueue, ConfigError> {
        let redactor = self.settings.validate(&self.name)?;
        if let Some(spill) = &self.settings.spill {
            return Err(ConfigError::new(
                "spill",
                spill.path.display(),
                "a queue with a spill is made by `open`, `sqlite` or `redis`, which open its file",
            ));
        }
        Ok(DeadLetterQueue::new(self.name, self.settings, redactor, Arc::new(store)))
    }

    /// A queue on a store, with its spill if there is to be one.
    ///
    /// # Errors
    /// When a setting is out of its range, or the file of the spill cannot be used.
    ///
    /// # Example
    /// ```
    /// use campanile::DeadLetterQueue;
    /// use campanile::store::MemoryStore;
    ///
    /// # tokio_test::block_on(async {
    /// let queue = DeadLetterQueue::builder("orders").open(MemoryStore::default()).await?;
    /// assert!(queue.is_empty().await?);
    /// # Ok::<_, campanile::store::StoreError>(()) }).unwrap();
    /// ```
    #[cfg_attr(not(feature = "sqlite"), allow(clippy::unused_async))]
    pub async fn open(self, store: impl Store) -> Result<DeadLetterQueue, StoreError> {
        let redactor = self.settings.validate(&self.name)?;
        #[cfg(feature = "sqlite")]
        if let Some(spill) = &self.settings.spill {
            let after = spill.put_timeout(self.settings.park_timeout);
            let store = SpillStore::open(store, spill.clone().after(after)).await?;
            return Ok(DeadLetterQueue::new(self.name, self.settings, redactor, Arc::new(store)));
        }
        Ok(DeadLetterQueue::new(self.name, self.settings, redactor, Arc::new(store)))
    }

    /// A queue in the SQLite file at `path`, which is made when it is not there.
    ///
    /// # Errors
    /// When a setting is out of its range, or the file or that of the spill cannot be used: see
    /// [`SqliteStore::open`].
    #[cfg(feature = "sqlite")]
    #[cfg_attr(docsrs, doc(cfg(feature = "sqlite")))]
    pub async fn sqlite(self, path: impl Into<PathBuf>) -> Result<DeadLetterQueue, StoreError> {
        let _fine = self.settings.validate(&self.name)?;
        self.open(SqliteStore::open(path).await?).await
    }

    /// A queue in the Redis at `url`; see [`RedisStore::builder`] for more than an address.
    ///
    /// With a [`DeadLetterQueueBuilder::spill`] it is made even if Redis is away: letters go to the spill until it is there.
    ///
    /// # Errors
    /// When a setting is out of its range, or Redis cannot be used: see [`RedisStore::open`].
    #[cfg(feature = "redis")]
    #[cfg_attr(docsrs, doc(cfg(feature = "redis")))]
    pub async fn redis(self, url: impl Into<String>) -> Result<DeadLetterQueue, StoreError> {
        let _fine = self.settings.validate(&self.name)?;
        let store = RedisStore::builder(url).lazy()?;
        match store.connect().await {
            Err(error) if error.is_unreachable() && self.settings.spill.is_some() => {
                tracing::warn!(queue = &*self.name, "dead letters are spilled until Redis is there: {error}");
            }
            connected => connected?,
        }
        self.open(store).await
    }
}
