//! The settings of the store.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::error::ConfigError;
use crate::base::tls::TlsSettings;

/// The settings of a [`RedisStore`](super::RedisStore), as a file can hold them. Unknown keys are refused.
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
    /// The address of Redis: `redis://user:password@host:port/database`, or `rediss://` for TLS (feature `tls`).
    /// Default: `redis://127.0.0.1/`.
    pub url: String,
    /// Whether Redis is a cluster. Default: no.
    pub cluster: bool,
    /// URLs of further nodes of the cluster, in case the first one is down. Default: none.
    pub nodes: Vec<String>,
    /// The longest time for one call, including a new connection: 10 ms to 30 s. Default: 400 ms, which leaves time to
    /// spill the letter within the park timeout.
    #[serde(with = "crate::base::duration")]
    pub response_timeout: Duration,
    /// The number of replicas that must have a change before the call succeeds, at most 16. Default: 0.
    pub wait_for_replicas: u32,
    /// TLS settings of the connection, for `rediss://`.
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
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        ConfigError::check(
            (Duration::from_millis(10)..=Duration::from_secs(30)).contains(&self.response_timeout),
            "response_timeout",
            self.response_timeout,
            "from 10 ms to 30 s",
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
            "no nodes, unless `cluster` is true",
        )?;
        let (certificate, key) = (&self.tls.client_certificate, &self.tls.client_key);
        let (setting, other) = match (certificate, key) {
            (None, Some(_)) => ("tls.client_certificate", "`tls.client_key` is set; set both or neither"),
            (Some(_), None) => ("tls.client_key", "`tls.client_certificate` is set; set both or neither"),
            _ => return Ok(()),
        };
        Err(ConfigError::because(setting, "absent", other))
    }
}

impl std::fmt::Debug for RedisSettings {
    /// Leaves out the URLs, which may contain a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisSettings")
            .field("cluster", &self.cluster)
            .field("response_timeout", &self.response_timeout)
            .field("wait_for_replicas", &self.wait_for_replicas)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}
