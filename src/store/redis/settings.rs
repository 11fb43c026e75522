//! What can be set, and what is allowed.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::RedisStore;
use super::target::Target;
use crate::base::error::ConfigError;
use crate::base::tls::TlsSettings;
use crate::store::StoreError;

/// The settings of a [`RedisStore`], as a file can hold them. Unknown keys are refused.
///
/// # Example
/// ```
/// use campanile::store::RedisSettings;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let settings: RedisSettings =
///     serde_json::from_str(r#"{ "url": "redis://letters:secret@cache.internal:6380/", "wait_for_replicas": 1 }"#)?;
/// assert!(!format!("{settings:?}").contains("secret"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RedisSettings {
    /// Where Redis is: `redis://user:password@host:port/database`, or `rediss://` for TLS (feature `tls`). Default
    /// `redis://127.0.0.1/`.
    pub url: String,
    /// Whether it is a cluster. Default: no.
    pub cluster: bool,
    /// More nodes of the cluster, to find the others by. Default: none.
    pub nodes: Vec<String>,
    /// How long one call may take, a new connection included: 10 ms to 30 s. Default 400 ms, so that a letter can
    /// still be spilled within the time that its caller waits.
    #[serde(with = "crate::base::duration")]
    pub response_timeout: Duration,
    /// How many replicas must have a change before it is told to be done, at most 16. Default 0.
    pub wait_for_replicas: u32,
    /// TLS of the connection, for `rediss://`.
    pub tls: TlsSettings,
}

impl Default for RedisSettings {
    fn default() -> Self {
        Self {
            url: "redis://127.0.0.1/".to_owned(),
            cluster: false,
            nodes: Vec::new(),
            response_timeout: Duration::from_millis(400),
            wait_for_replicas: 0,
            tls: TlsSettings::default(),
        }
    }
}

impl RedisSettings {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        ConfigError::check(
            (Duration::from_millis(10)..=Duration::from_secs(30)).contains(&self.response_timeout),
            "response_timeout",
            self.response_timeout,
            "10 ms to 30 s",
        )?;
        ConfigError::check(
            self.wait_for_replicas <= 16,
            "wait_for_replicas",
            self.wait_for_replicas,
            "at most 16",
        )?;
        ConfigError::check(
            self.cluster || self.nodes.is_empty(),
            "nodes",
            self.nodes.len(),
            "none, unless `cluster` is set",
        )?;
        ConfigError::check(
            self.tls.client_certificate.is_some() == self.tls.client_key.is_some(),
            "tls.client_certificate",
            &self.tls.client_certificate,
            "set together with `tls.client_key`",
        )
    }
}

impl std::fmt::Debug for RedisSettings {
    /// Without the URLs, which may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisSettings")
            .field("cluster", &self.cluster)
            .field("response_timeout", &self.response_timeout)
            .field("wait_for_replicas", &self.wait_for_replicas)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

/// Makes a [`RedisStore`]: see [`RedisStore::builder`].
#[derive(Clone, Debug)]
#[must_use]
pub struct RedisStoreBuilder {
    settings: RedisSettings,
}

impl RedisStoreBuilder {
    pub(super) fn new(url: String) -> Self {
        Self { settings: RedisSettings { url, ..RedisSettings::default() } }
    }

    /// Takes all settings from `settings`.
    pub fn settings(mut self, settings: RedisSettings) -> Self {
        self.settings = settings;
        self
    }

    /// It is a cluster, and these are more nodes of it to find the others by.
    pub fn cluster<N: Into<String>>(mut self, nodes: impl IntoIterator<Item = N>) -> Self {
        self.settings.cluster = true;
        self.settings.nodes = nodes.into_iter().map(Into::into).collect();
        self
    }

    setters! {
        /// How long one call may take, 10 ms to 30 s; 400 ms unless set.
        pub fn response_timeout(timeout: Duration) { settings.response_timeout = timeout; }
        /// How many replicas must have a change before it is told to be done; none unless set. A change that too few
        /// have in time is an error, although Redis may have made it.
        pub fn wait_for_replicas(replicas: u32) { settings.wait_for_replicas = replicas; }
        /// Sets up TLS, for `rediss://`.
        pub fn tls(tls: TlsSettings) { settings.tls = tls; }
    }

    /// The store, connected.
    ///
    /// # Errors
    /// When a setting is out of its range, Redis cannot be reached ([`StoreError::is_unreachable`]), lets nobody in
    /// ([`StoreError::is_denied`]), or is older than 7.0.
    pub async fn open(self) -> Result<RedisStore, StoreError> {
        let store = self.lazy()?;
        store.connect().await?;
        Ok(store)
    }

    /// The store, which connects when it is first needed: a service can start while Redis is away, and spill.
    ///
    /// # Errors
    /// When a setting is out of its range, or a file cannot be read.
    pub fn lazy(self) -> Result<RedisStore, StoreError> {
        self.settings.validate()?;
        Ok(RedisStore::new(Target::new(&self.settings)?, &self.settings))
    }
}
