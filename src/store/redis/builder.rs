//! Making a store.

use std::time::Duration;

use super::client::Client;
use super::settings::RedisSettings;
use super::store::RedisStore;
use super::target::Target;
use crate::base::tls::TlsSettings;
use crate::store::StoreError;

/// Makes a [`RedisStore`]: see [`RedisStore::builder`].
#[derive(Clone, Debug)]
#[must_use]
pub struct RedisStoreBuilder {
    settings: RedisSettings,
}

impl RedisStore {
    /// Connects to the Redis at `url`: `redis://user:password@host:port/database`, or `rediss://` for TLS.
    ///
    /// # Errors
    /// The errors of [`RedisStore::from_settings`].
    pub async fn open(url: impl Into<String>) -> Result<Self, StoreError> {
        Self::builder(url).open().await
    }

    /// Sets up a store for the Redis at `url`.
    pub fn builder(url: impl Into<String>) -> RedisStoreBuilder {
        RedisStoreBuilder { settings: RedisSettings { url: url.into(), ..RedisSettings::default() } }
    }

    /// Connects to the Redis of `settings`.
    ///
    /// # Errors
    /// When a setting is invalid ([`StoreError::is_setting`]), when Redis cannot be reached
    /// ([`StoreError::is_unreachable`]) or refuses the user ([`StoreError::is_denied`]), and when Redis is older than
    /// 7.0.
    pub async fn from_settings(settings: &RedisSettings) -> Result<Self, StoreError> {
        let store = Self::unconnected(settings)?;
        store.connect().await?;
        Ok(store)
    }

    /// Makes a store that connects with its first call.
    pub(crate) fn unconnected(settings: &RedisSettings) -> Result<Self, StoreError> {
        settings.validate()?;
        Ok(Self { client: Client::new(Target::new(settings)?, settings) })
    }

    /// Connects now, to report at once what is wrong.
    pub(crate) async fn connect(&self) -> Result<(), StoreError> {
        self.client.connect().await
    }
}

impl RedisStoreBuilder {
    /// Connects to a cluster. `nodes` are URLs of further nodes, in case that the first one is down.
    pub fn cluster<N: Into<String>>(mut self, nodes: impl IntoIterator<Item = N>) -> Self {
        self.settings.cluster = true;
        self.settings.nodes = nodes.into_iter().map(Into::into).collect();
        self
    }

    setters! {
        /// Sets the longest time for one call, from 10 ms to 30 s. Default: 400 ms.
        pub fn response_timeout(timeout: Duration) { settings.response_timeout = timeout; }
        /// Sets the number of replicas that must have a change before the call succeeds, at most 16. Default: 0. When too
        /// few have it in time, the call fails, although Redis may have made the change.
        pub fn wait_for_replicas(replicas: u32) { settings.wait_for_replicas = replicas; }
        /// Sets up TLS, for `rediss://`.
        pub fn tls(tls: TlsSettings) { settings.tls = tls; }
    }

    /// Makes the store and connects.
    ///
    /// # Errors
    /// The errors of [`RedisStore::from_settings`].
    pub async fn open(self) -> Result<RedisStore, StoreError> {
        RedisStore::from_settings(&self.settings).await
    }

    /// Makes a store that connects with its first call. A service with a spill can then start while Redis is down.
    ///
    /// # Errors
    /// When a setting is invalid, or a file of the TLS settings cannot be read.
    pub fn lazy(self) -> Result<RedisStore, StoreError> {
        RedisStore::unconnected(&self.settings)
    }
}
