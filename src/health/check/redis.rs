//! Checks of Redis.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use redis::RedisError;
use redis::aio::ConnectionLike;

use super::check_trait::Check;
use super::finding::Finding;
use super::text::error_chain;
use super::timeouts;
use crate::base::error::ConfigError;
use crate::base::outcome::within;
use crate::store::{Ping, RedisSettings, answered};

/// Sends `PING` to a Redis server or cluster.
///
/// Each run opens a new connection and closes it, so that it tests users, passwords and the limit of clients too. A cluster
/// must report that it serves all keys. A server that loads its data, or cannot write it, answers with an error, which is a
/// failure.
///
/// # Example
/// ```
/// use campanile::health::RedisCheck;
/// use campanile::store::RedisSettings;
/// use std::time::Duration;
///
/// # fn main() -> Result<(), campanile::ConfigError> {
/// let simple = RedisCheck::builder("redis://shop:secret@cache.internal/").build()?;
/// let mut settings = RedisSettings::default();
/// settings.url = "redis://cache.internal/".to_owned();
/// settings.cluster = true;
/// settings.response_timeout = Duration::from_secs(1);
/// let cluster = RedisCheck::from_settings(&settings)?;
/// assert!(!format!("{simple:?}").contains("secret"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RedisCheck {
    target: Target,
    timeout: Duration,
}

#[derive(Clone)]
enum Target {
    /// A new connection in each run.
    Address(Arc<Ping>),
    Connection(SendPing),
}

type SendPing = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), RedisError>> + Send>> + Send + Sync>;

/// Makes a [`RedisCheck`]: see [`RedisCheck::builder`] and [`RedisCheck::over`].
#[must_use]
pub struct RedisCheckBuilder {
    target: BuilderTarget,
    timeout: Duration,
}

enum BuilderTarget {
    Url(String),
    Connection(SendPing),
}

impl RedisCheck {
    /// Starts a check of the Redis at `url`: `redis://user:password@host:port/database`, or `rediss://` for TLS. For a
    /// cluster or your own certificates, see [`from_settings`](Self::from_settings).
    pub fn builder(url: impl Into<String>) -> RedisCheckBuilder {
        RedisCheckBuilder { target: BuilderTarget::Url(url.into()), timeout: timeouts::DEFAULT }
    }

    /// Starts a check over an existing connection: a `MultiplexedConnection`, a `ConnectionManager` or a
    /// `ClusterConnection`. It tests whether your own calls get through.
    pub fn over<C>(connection: C) -> RedisCheckBuilder
    where
        C: ConnectionLike + Clone + Send + Sync + 'static,
    {
        let ping: SendPing = Arc::new(move || {
            let mut connection = connection.clone();
            Box::pin(async move { answered(connection.req_packed_command(&redis::cmd("PING")).await) })
        });
        RedisCheckBuilder { target: BuilderTarget::Connection(ping), timeout: timeouts::DEFAULT }
    }

    /// Makes the check that `settings` describe, with [`response_timeout`](RedisSettings::response_timeout) as its timeout.
    /// [`wait_for_replicas`](RedisSettings::wait_for_replicas) does not matter here.
    ///
    /// # Errors
    /// When a setting is out of its range, or a file cannot be read. The error names the setting, and shows no URL: it may
    /// hold a password.
    pub fn from_settings(settings: &RedisSettings) -> Result<Self, ConfigError> {
        let ping = Ping::new(settings)?;
        let timeout = ping.timeout();
        Ok(Self { target: Target::Address(Arc::new(ping)), timeout })
    }
}

impl RedisCheckBuilder {
    setters! {
        /// Sets the longest time that a run may take: 10 ms to 30 s; over an existing connection, up to an hour. Default:
        /// 4 s.
        pub fn timeout(timeout: Duration) { timeout = timeout; }
    }

    /// Makes the check.
    ///
    /// # Errors
    /// As [`RedisCheck::from_settings`].
    pub fn build(self) -> Result<RedisCheck, ConfigError> {
        match self.target {
            BuilderTarget::Url(url) => {
                let mut settings = RedisSettings::default();
                (settings.url, settings.response_timeout) = (url, self.timeout);
                RedisCheck::from_settings(&settings)
            }
            BuilderTarget::Connection(ping) => {
                timeouts::validate(self.timeout)?;
                Ok(RedisCheck { target: Target::Connection(ping), timeout: self.timeout })
            }
        }
    }
}

impl Check for RedisCheck {
    async fn check(&self) -> Finding {
        let limit = self.timeout;
        let (server, answer) = match &self.target {
            Target::Address(ping) => {
                (format!("Redis at {}", ping.address()), within(limit, ping.ask()).await)
            }
            Target::Connection(ping) => ("Redis".to_owned(), within(limit, ping()).await),
        };
        match answer {
            Ok(Ok(())) => Finding::Pass,
            Ok(Err(error)) if error.is_timeout() => Finding::Fail(format!("{server} did not answer in time")),
            Ok(Err(error)) => Finding::Fail(format!("{server}: {}", error_chain(&error))),
            Err(_) => Finding::Fail(format!("{server} did not answer within {limit:?}")),
        }
    }
}

impl fmt::Debug for RedisCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("RedisCheck");
        if let Target::Address(ping) = &self.target {
            debug.field("address", &ping.address());
        }
        debug.field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

impl fmt::Debug for RedisCheckBuilder {
    /// Omits the URL, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisCheckBuilder").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}
