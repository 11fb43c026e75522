//! How a queue is made.

#[cfg(feature = "sqlite")]
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::queue::DeadLetterQueue;
use super::redact::LetterRedactor;
use super::settings::{DeadLetterSettings, StoreSettings};
use crate::base::error::ConfigError;
use crate::base::redact::RedactionSettings;
use crate::store::{MemoryStore, SpillSettings, Store, StoreError, WhenFull};
#[cfg(feature = "redis")]
use crate::store::{RedisSettings, RedisStore};
#[cfg(feature = "sqlite")]
use crate::store::{SpillStore, SqliteStore};

/// The name of a queue that was made without one.
const DEFAULT_NAME: &str = "dead-letters";

impl DeadLetterQueue {
    /// Returns a queue in memory for up to `capacity` letters, at least one. A full queue refuses new letters.
    #[must_use]
    pub fn in_memory(capacity: u64) -> Self {
        let capacity = capacity.clamp(1, i64::MAX as u64);
        match Self::builder(DEFAULT_NAME).capacity(capacity).build() {
            Ok(queue) => queue,
            Err(error) => unreachable!("all settings but the capacity are defaults: {error}"),
        }
    }

    /// Opens a queue in the SQLite file at `path`, and creates the file if it does not exist.
    ///
    /// # Errors
    /// When the file cannot be used: see [`SqliteStore::open`](crate::store::SqliteStore::open).
    ///
    /// # Example
    /// ```
    /// use campanile::DeadLetterQueue;
    ///
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("letters.db");
    /// # tokio_test::block_on(async {
    /// let queue = DeadLetterQueue::sqlite(path).await?.named("orders");
    /// assert!(queue.is_empty().await?);
    /// # Ok::<_, campanile::store::StoreError>(()) }).unwrap();
    /// ```
    #[cfg(feature = "sqlite")]
    #[cfg_attr(docsrs, doc(cfg(feature = "sqlite")))]
    pub async fn sqlite(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        Self::builder(DEFAULT_NAME).sqlite(path).await
    }

    /// Opens the queue called `name` in the Redis at `url`. Any number of processes may use it.
    ///
    /// # Errors
    /// When Redis cannot be used: see [`RedisStore::open`](crate::store::RedisStore::open).
    ///
    /// # Example
    /// ```no_run
    /// use campanile::DeadLetterQueue;
    ///
    /// # async fn example() -> Result<(), campanile::store::StoreError> {
    /// let queue = DeadLetterQueue::redis("redis://127.0.0.1/", "orders").await?;
    /// assert!(queue.is_empty().await?);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "redis")]
    #[cfg_attr(docsrs, doc(cfg(feature = "redis")))]
    pub async fn redis(url: impl Into<String>, name: impl Into<Arc<str>>) -> Result<Self, StoreError> {
        Self::builder(name).redis(url).await
    }

    /// Returns a builder of the queue called `name`.
    pub fn builder(name: impl Into<Arc<str>>) -> DeadLetterQueueBuilder {
        DeadLetterQueueBuilder { name: name.into(), settings: DeadLetterSettings::default() }
    }

    /// Opens the queue called `name` with the store and the spill that `settings` name.
    ///
    /// # Errors
    /// When a setting is out of its range, or the store or the spill cannot be opened. A Redis that cannot be reached is
    /// not an error if there is a spill.
    pub async fn from_settings(
        name: impl Into<Arc<str>>,
        settings: &DeadLetterSettings,
    ) -> Result<Self, StoreError> {
        let mut settings = settings.clone();
        let store = std::mem::take(&mut settings.store);
        let builder = Self::builder(name).settings(settings);
        match store {
            StoreSettings::Memory => builder.open(MemoryStore::default()).await,
            #[cfg(feature = "sqlite")]
            StoreSettings::Sqlite { path } => builder.sqlite(path).await,
            #[cfg(feature = "redis")]
            StoreSettings::Redis(redis) => builder.open_redis(redis).await,
        }
    }
}

/// What errors call a queue.
const QUEUE: &str = "dead-letter queue";

/// Builds a [`DeadLetterQueue`]: see [`DeadLetterQueue::builder`].
#[derive(Clone, Debug)]
#[must_use]
pub struct DeadLetterQueueBuilder {
    name: Arc<str>,
    settings: DeadLetterSettings,
}

impl DeadLetterQueueBuilder {
    setters! {
        /// Replaces all settings. Use it for a custom store; otherwise see [`DeadLetterQueue::from_settings`].
        pub fn settings(settings: DeadLetterSettings) { settings = settings; }
        /// Sets the component whose health depends on the queue. Default: the name of the queue.
        pub fn component(name: impl Into<String>) { settings.component = Some(name.into()); }
        /// Sets the name and the version of the service that letters show: see [`DeadLetterSettings::service`].
        pub fn service(name: impl Into<String>, version: impl Into<String>) {
            settings.service = Some(name.into());
            settings.service_version = Some(version.into());
        }
        /// Sets the largest number of waiting letters, at least 1.
        pub fn capacity(letters: u64) { settings.capacity = letters; }
        /// Sets the most bytes of all waiting letters, at least 65,536.
        pub fn max_bytes(bytes: u64) { settings.max_bytes = bytes; }
        /// Sets the most bytes of all letters on their way to the store: see [`DeadLetterSettings::max_parking_bytes`].
        pub fn max_parking_bytes(bytes: u64) { settings.max_parking_bytes = bytes; }
        /// Sets how long after its first failure a letter expires, at least 1 s. Default: never.
        pub fn expire_after(time: Duration) { settings.expire_after = Some(time); }
        /// Sets what a full queue does with a new letter.
        pub fn when_full(when_full: WhenFull) { settings.when_full = when_full; }
        /// Sets the spill: a SQLite file for letters that the store does not take, because it fails, does not answer in
        /// time or, with [`WhenFull::Spill`], is full. Takes a path or [`SpillSettings`].
        ///
        /// Such letters count as parked. They move to the store as soon as it takes them.
        pub fn spill(spill: impl Into<SpillSettings>) { settings.spill = Some(spill.into()); }
        /// Sets how long a caller waits until its letter is parked: more than zero, at most 30 s.
        pub fn park_timeout(timeout: Duration) { settings.park_timeout = timeout; }
    }

    /// Adds names of headers, query parameters and fields whose values are not stored.
    ///
    /// Names are compared word by word, in any style. The default name `token` matches `X-Auth-Token`, `access_token` and
    /// `accessToken`, but not `tokenizer`. Headers, the query, JSON, forms, the parts of multipart bodies, text, messages
    /// of errors and the fields of plain requests are searched. A body that cannot be searched is not stored: see
    /// [`DeadLetterQueueBuilder::opaque_bodies`].
    pub fn redact<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.settings.redact.extend(names.into_iter().map(Into::into));
        self
    }

    setters! {
        /// Sets what else is redacted, and how. Default: requests are searched by [`RedactionSettings::names_only`],
        /// because a letter that lost a card number or an address cannot be sent again. Messages of errors are searched by
        /// all rules then.
        ///
        /// A signature in the query of a request's URI stays, together with the parameters that belong to it (for SigV4
        /// the credential and the security token), because the request cannot be sent without them. If the settings name
        /// one of these parameters, all of them are redacted, and the letter is not sent again.
        pub fn redaction(redaction: RedactionSettings) { settings.redaction = redaction; }
        /// Sets the most bytes of an HTTP body that are stored. The letter of a larger body has none, and is not sent
        /// again.
        pub fn body_cap(bytes: usize) { settings.body_cap = bytes; }
        /// Sets whether bodies are stored that cannot be searched for secrets. Default: `false`.
        ///
        /// A body that is compressed, encrypted, in an unknown charset or not text cannot be searched. gRPC messages are
        /// an example. By default, the letters of such requests have the `body_state`
        /// [`BodyState::Unsearched`](super::BodyState::Unsearched) and no body, and are not sent again. A warning is logged
        /// for the first such letter and each time their number doubles. Set `true` if such bodies may be stored in clear.
        pub fn opaque_bodies(stored: bool) { settings.opaque_bodies = stored; }
        /// Sets whether cancelled HTTP and gRPC requests are parked. Default: `false`.
        ///
        /// A client that cancels a call still has its request. A server that accepted a request may have to complete it
        /// although the caller is gone; if the connection broke, the letter is then the only trace of the request. It is
        /// not known how much of the work was done, so use it for services that may do their work twice. Such a letter has
        /// the kind [`Cancelled`](crate::FailureKind::Cancelled), or [`Timeout`](crate::FailureKind::Timeout) if a layer of
        /// this crate ended the call, and the part of the body that had arrived.
        pub fn park_cancelled(yes: bool) { settings.park_cancelled = yes; }
        /// Sets whether the HTTP layer adds an `Idempotency-Key` to a POST or PATCH without one. Default: `false`.
        ///
        /// A redrive always sends a key, the same each time. But the first call may have done its work before its response
        /// was lost, and the server recognises the redrive only if the first call carried the same key. With `true`, the
        /// first call and its retries carry the id that the letter would have. It is for servers that support the header
        /// (draft-ietf-httpapi-idempotency-key-header). A [`Retry`](crate::Retry) inside of the layer may repeat a request
        /// with a key.
        pub fn idempotency_keys(yes: bool) { settings.idempotency_keys = yes; }
    }

    /// Builds a queue in memory.
    ///
    /// # Errors
    /// When a setting is out of its range, or names another store or a spill: see [`DeadLetterQueue::from_settings`].
    pub fn build(self) -> Result<DeadLetterQueue, ConfigError> {
        self.on(MemoryStore::default())
    }

    /// Builds a queue on `store`: one that several queues share, or a custom one.
    ///
    /// # Errors
    /// When a setting is out of its range, or names a store or a spill. A spill needs [`DeadLetterQueueBuilder::open`].
    pub fn on(self, store: impl Store) -> Result<DeadLetterQueue, ConfigError> {
        let redactor = self.validate()?;
        if let Some(spill) = &self.settings.spill {
            return Err(ConfigError::because(
                "spill",
                spill.path.display(),
                "`build` and `on` do not open the file of a spill; call `open`, `sqlite`, `redis` or `from_settings`",
            )
            .of(QUEUE, &self.name));
        }
        Ok(self.finish(redactor, store))
    }

    /// Opens a queue on `store`, with its spill if there is one.
    ///
    /// # Errors
    /// When a setting is out of its range or names a store, or the file of the spill cannot be used.
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
        let redactor = self.validate()?;
        #[cfg(feature = "sqlite")]
        if let Some(spill) = &self.settings.spill {
            let after = spill.put_timeout(self.settings.park_timeout);
            let store = SpillStore::open(store, spill.clone().after(after)).await?;
            return Ok(self.finish(redactor, store));
        }
        Ok(self.finish(redactor, store))
    }

    /// Opens a queue in the SQLite file at `path`, and creates the file if it does not exist.
    ///
    /// # Errors
    /// When a setting is out of its range or names a store, or the file or that of the spill cannot be used: see
    /// [`SqliteStore::open`].
    #[cfg(feature = "sqlite")]
    #[cfg_attr(docsrs, doc(cfg(feature = "sqlite")))]
    pub async fn sqlite(self, path: impl Into<PathBuf>) -> Result<DeadLetterQueue, StoreError> {
        self.validate()?;
        self.open(SqliteStore::open(path).await?).await
    }

    /// Opens a queue in the Redis at `url`. For more than an address see [`DeadLetterQueue::from_settings`].
    ///
    /// If there is a [`spill`](DeadLetterQueueBuilder::spill), a Redis that cannot be reached is not an error: letters
    /// go to the spill until it can be.
    ///
    /// # Errors
    /// When a setting is out of its range or names a store, or Redis cannot be used: see [`RedisStore::open`].
    #[cfg(feature = "redis")]
    #[cfg_attr(docsrs, doc(cfg(feature = "redis")))]
    pub async fn redis(self, url: impl Into<String>) -> Result<DeadLetterQueue, StoreError> {
        self.open_redis(RedisSettings { url: url.into(), ..RedisSettings::default() }).await
    }

    #[cfg(feature = "redis")]
    async fn open_redis(self, redis: RedisSettings) -> Result<DeadLetterQueue, StoreError> {
        self.validate()?;
        let store = RedisStore::unconnected(&redis).map_err(|error| error.of(QUEUE, &self.name))?;
        match store.connect().await {
            Err(error) if error.is_unreachable() && self.settings.spill.is_some() => {
                tracing::warn!(
                    queue = &*self.name,
                    "Redis cannot be reached, so dead letters go to the spill until it answers: {error}"
                );
            }
            connected => connected?,
        }
        self.open(store).await
    }

    fn validate(&self) -> Result<LetterRedactor, ConfigError> {
        let of_queue = |error: ConfigError| error.of(QUEUE, &self.name);
        self.settings.validate(&self.name).map_err(of_queue)?;
        if self.settings.store != StoreSettings::Memory {
            let reason = "a builder does not open the store of its settings; call `DeadLetterQueue::from_settings`, or \
                          leave `store` out of the settings";
            let store = format_args!("{:?}", self.settings.store);
            return Err(of_queue(ConfigError::because("store", store, reason)));
        }
        LetterRedactor::new(&self.settings).map_err(of_queue)
    }

    fn finish(self, redactor: LetterRedactor, store: impl Store) -> DeadLetterQueue {
        DeadLetterQueue::new(self.name, self.settings, redactor, Arc::new(store))
    }
}
