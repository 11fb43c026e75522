//! Redis.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redis::RedisError;
use redis::aio::ConnectionLike;
use tokio::time::timeout;

use super::words::causes;
use super::{Check, Finding, patience};
use crate::base::error::ConfigError;
use crate::base::outcome::within;
use crate::store::{Ping, RedisSettings, answered};

/// Connects to a Redis, or to a cluster of it, and asks it by `PING`.
///
/// Every run makes a new connection and closes it, so that users, passwords and the limit of clients are seen too. A
/// cluster has to serve all keys, by its own word. One that loads its data, or cannot write it, says so in its answer, which is a failure.
///
/// # Example
/// ```
/// use campanile::health::RedisCheck;
/// use campanile::store::RedisSettings;
/// use std::time::Duration;
///
/// # fn main() -> Result<(), campanile::ConfigError> {
/// let simple = RedisCheck::new("redis://shop:secret@cache.internal/")?;
/// let mut settings = RedisSettings::default();
/// settings.url = "redis://cache.internal/".to_owned();
/// settings.cluster = true;
/// settings.response_timeout = Duration::from_secs(1);
/// let cluster = RedisCheck::with_settings(&settings)?;
/// assert!(!format!("{simple:?}").contains("secret"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct RedisCheck {
    ping: Arc<Ping>,
}

impl RedisCheck {
    /// Asks the Redis at `url`, `redis://user:password@host:port/database` or `rediss://` for TLS, and waits 4 s for it.
    ///
    /// # Errors
    /// When it is no such URL. It is not shown: it may hold a password.
    pub fn new(url: impl Into<String>) -> Result<Self, ConfigError> {
        Self::with_settings(&RedisSettings {
            url: url.into(),
            response_timeout: patience::DEFAULT,
            ..RedisSettings::default()
        })
    }

    /// Asks the Redis that `settings` name, and waits for its [`response_timeout`](RedisSettings::response_timeout). How
    /// many replicas to wait for means nothing here.
    ///
    /// # Errors
    /// When a setting is out of its range, or a file cannot be read.
    pub fn with_settings(settings: &RedisSettings) -> Result<Self, ConfigError> {
        Ok(Self { ping: Arc::new(Ping::new(settings)?) })
    }

    /// Asks by a connection that there is: a `MultiplexedConnection`, a `ConnectionManager`, a `ClusterConnection`.
    /// What it says is whether your own calls get through. It waits 4 s.
    pub fn over<C>(connection: C) -> RedisConnectionCheck<C>
    where
        C: ConnectionLike + Clone + Send + Sync + 'static,
    {
        RedisConnectionCheck { connection, timeout: patience::DEFAULT }
    }
}

impl Check for RedisCheck {
    async fn check(&self) -> Finding {
        let (limit, address) = (self.ping.timeout(), self.ping.address());
        told(&format!("Redis at {address}"), limit, timeout(limit, self.ping.ask()).await)
    }
}

/// Asks Redis by `PING` over a connection that there is: see [`RedisCheck::over`].
#[derive(Clone)]
pub struct RedisConnectionCheck<C> {
    connection: C,
    timeout: Duration,
}

impl<C> RedisConnectionCheck<C> {
    /// How long to wait for an answer: more than zero and at most an hour.
    ///
    /// # Errors
    /// When it is out of that range.
    pub fn timeout(mut self, timeout: Duration) -> Result<Self, ConfigError> {
        patience::validate(timeout)?;
        self.timeout = timeout;
        Ok(self)
    }
}

impl<C> Check for RedisConnectionCheck<C>
where
    C: ConnectionLike + Clone + Send + Sync + 'static,
{
    async fn check(&self) -> Finding {
        let mut connection = self.connection.clone();
        let ping = async { answered(connection.req_packed_command(&redis::cmd("PING")).await) };
        told("Redis", self.timeout, within(self.timeout, ping).await)
    }
}

impl<C> fmt::Debug for RedisConnectionCheck<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConnectionCheck").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

fn told<E>(who: &str, limit: Duration, asked: Result<Result<(), RedisError>, E>) -> Finding {
    match asked {
        Ok(Ok(())) => Finding::Pass,
        Ok(Err(error)) if error.is_timeout() => Finding::Fail(format!("{who} did not answer in time")),
        Ok(Err(error)) => Finding::Fail(format!("{who}: {}", causes(&error))),
        Err(_) => Finding::Fail(format!("{who} did not answer within {limit:?}")),
    }
}
