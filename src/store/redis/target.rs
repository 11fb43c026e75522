//! The address of Redis, and one connection to it.

use std::fmt;
#[cfg(feature = "tls")]
use std::path::Path;
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr};
use redis::{AsyncConnectionConfig, Client, Cmd, ConnectionInfo, IntoConnectionInfo, RedisResult, Value};

use super::settings::RedisSettings;
use crate::base::error::ConfigError;

/// A Redis server or cluster to connect to.
pub(super) struct Target {
    client: ClientKind,
    /// Hosts and ports, for messages. It contains no password.
    address: String,
    timeout: Duration,
}

enum ClientKind {
    Single(Box<Client>),
    Cluster(Box<ClusterClient>),
}

/// A multiplexed connection. Clones share it, and commands that are sent at the same time share one write.
#[derive(Clone)]
pub(super) enum Connection {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Target {
    pub(super) fn new(settings: &RedisSettings) -> Result<Self, ConfigError> {
        let mut infos = Vec::new();
        for (setting, url) in
            std::iter::once(("url", &settings.url)).chain(settings.nodes.iter().map(|url| ("nodes", url)))
        {
            infos.push(info(setting, url)?);
        }
        let address = infos.iter().map(|info| info.addr().to_string()).collect::<Vec<_>>().join(", ");
        let refused = |error: redis::RedisError| {
            ConfigError::new("url", &address, format!("the address of a Redis server ({error})"))
        };
        let client = client(settings, infos, refused)?;
        Ok(Self { client, address, timeout: settings.response_timeout })
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) async fn connect(&self) -> RedisResult<Connection> {
        match &self.client {
            ClientKind::Single(client) => {
                let config = AsyncConnectionConfig::new()
                    .set_connection_timeout(Some(self.timeout))
                    .set_response_timeout(Some(self.timeout));
                client.get_multiplexed_async_connection_with_config(&config).await.map(Connection::Single)
            }
            ClientKind::Cluster(client) => client.get_async_connection().await.map(Connection::Cluster),
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Parses a URL. Errors do not show it, because it may contain a password.
fn info(setting: &'static str, url: &str) -> Result<ConnectionInfo, ConfigError> {
    let refused = |allowed: &'static str| ConfigError::new(setting, "(not shown)", allowed);
    let scheme = url.split("://").next().unwrap_or_default();
    if !cfg!(feature = "tls") && matches!(scheme, "rediss" | "valkeys") {
        return Err(refused(
            "a `redis://` address; `rediss://` needs the feature `tls` of campanile, which is off",
        ));
    }
    let info = url
        .into_connection_info()
        .map_err(|_| refused("an address such as `redis://user:password@host:6379/`"))?;
    // Older servers answer `CLIENT SETINFO` with an error, and the user may lack the permission for it.
    let settings = info.redis_settings().clone().set_skip_set_lib_name();
    Ok(info.set_redis_settings(settings))
}

#[cfg(not(feature = "tls"))]
fn client(
    settings: &RedisSettings,
    infos: Vec<ConnectionInfo>,
    refused: impl Fn(redis::RedisError) -> ConfigError,
) -> Result<ClientKind, ConfigError> {
    for (setting, file) in
        [("tls.ca_file", &settings.tls.ca_file), ("tls.client_certificate", &settings.tls.client_certificate)]
    {
        if let Some(file) = file {
            return Err(ConfigError::new(
                setting,
                file.display(),
                "no file, because the feature `tls` of campanile is off",
            ));
        }
    }
    without_tls(settings, infos, refused)
}

#[cfg(feature = "tls")]
fn client(
    settings: &RedisSettings,
    infos: Vec<ConnectionInfo>,
    refused: impl Fn(redis::RedisError) -> ConfigError,
) -> Result<ClientKind, ConfigError> {
    use redis::{ClientTlsConfig, ConnectionAddr, TlsCertificates};

    if !infos.iter().any(|info| matches!(info.addr(), ConnectionAddr::TcpTls { .. })) {
        return without_tls(settings, infos, refused);
    }
    // The Redis client uses the default provider of the process. If several are compiled in, there may be none.
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // This fails if another thread installed one first, which is fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    let root_cert = settings.tls.ca_file.as_deref().map(|path| read("tls.ca_file", path)).transpose()?;
    let client_tls = match (&settings.tls.client_certificate, &settings.tls.client_key) {
        (Some(certificate), Some(key)) => Some(ClientTlsConfig {
            client_cert: read("tls.client_certificate", certificate)?,
            client_key: read("tls.client_key", key)?,
        }),
        _ => None,
    };
    let certificates = TlsCertificates { client_tls, root_cert };
    if settings.cluster {
        let client = cluster(settings, infos).certs(certificates).build().map_err(refused)?;
        return Ok(ClientKind::Cluster(Box::new(client)));
    }
    match infos.into_iter().next() {
        Some(info) => Client::build_with_tls(info, certificates)
            .map(|client| ClientKind::Single(Box::new(client)))
            .map_err(refused),
        None => without_tls(settings, Vec::new(), refused),
    }
}

fn without_tls(
    settings: &RedisSettings,
    mut infos: Vec<ConnectionInfo>,
    refused: impl Fn(redis::RedisError) -> ConfigError,
) -> Result<ClientKind, ConfigError> {
    if settings.cluster {
        cluster(settings, infos).build().map(|client| ClientKind::Cluster(Box::new(client))).map_err(refused)
    } else {
        Client::open(infos.swap_remove(0)).map(|client| ClientKind::Single(Box::new(client))).map_err(refused)
    }
}

fn cluster(settings: &RedisSettings, infos: Vec<ConnectionInfo>) -> ClusterClientBuilder {
    // The cluster client follows slots that move to another node. `SharedConnection` repeats all other failed calls.
    ClusterClientBuilder::new(infos)
        .connection_timeout(settings.response_timeout)
        .response_timeout(settings.response_timeout)
        .retries(3)
        .min_retry_wait(5)
        .max_retry_wait(50)
}

#[cfg(feature = "tls")]
fn read(setting: &'static str, path: &Path) -> Result<Vec<u8>, ConfigError> {
    std::fs::read(path).map_err(|error| {
        ConfigError::new(setting, path.display(), format!("a file that can be read ({error})"))
    })
}

impl Connection {
    pub(super) async fn send(&mut self, command: &Cmd) -> RedisResult<Value> {
        let answer = match self {
            Self::Single(connection) => connection.req_packed_command(command).await,
            Self::Cluster(connection) => connection.req_packed_command(command).await,
        };
        answer.and_then(Value::extract_error)
    }

    /// Sends a command that names no key to the cluster node that holds `key`.
    pub(super) async fn send_to(&mut self, key: &str, command: Cmd) -> RedisResult<Value> {
        let answer = match self {
            Self::Single(connection) => connection.req_packed_command(&command).await,
            Self::Cluster(connection) => {
                let node = SingleNodeRoutingInfo::SpecificNode(Route::with_key(key, SlotAddr::Master));
                connection.route_command(command, RoutingInfo::SingleNode(node)).await
            }
        };
        answer.and_then(Value::extract_error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_of_an_address_is_read_or_refused() {
        for (url, address, db, user) in [
            ("redis://h", "h:6379", 0, None),
            ("redis://h/", "h:6379", 0, None),
            ("redis://h:1/2", "h:1", 2, None),
            ("redis://me:pw@h:1/2?protocol=resp3", "h:1", 2, Some("me")),
            ("redis://me:p%40w@[::1]:1/2", "::1:1", 2, Some("me")),
            ("redis://h/1/", "h:6379", 1, None),
            ("redis://h/3#part", "h:6379", 3, None),
        ] {
            let info = info("url", url).unwrap();
            let redis = info.redis_settings();
            assert_eq!(
                (info.addr().to_string().as_str(), redis.db(), redis.username()),
                (address, db, user),
                "{url}"
            );
        }
        for url in ["redis://h/one", "http://hunter2@h", "redis://h:hunter2", "redis:///", "hunter2"] {
            let error = info("url", url).unwrap_err().to_string();
            assert!(error.contains("an address such as") && !error.contains("hunter2"), "{url}: {error}");
        }
    }
}
