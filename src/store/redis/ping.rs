//! Asking whether Redis is there, for health: no letters are involved.

use std::time::Duration;

use redis::{ErrorKind, RedisError, ServerErrorKind, from_redis_value};

use super::settings::RedisSettings;
use super::target::{Connection, Target};
use crate::base::error::ConfigError;

/// Connects to a Redis, or to a cluster of it, and asks for an answer.
#[derive(Debug)]
pub(crate) struct Ping {
    target: Target,
    timeout: Duration,
}

impl Ping {
    pub(crate) fn new(settings: &RedisSettings) -> Result<Self, ConfigError> {
        settings.validate()?;
        Ok(Self { target: Target::new(settings)?, timeout: settings.response_timeout })
    }

    /// Hosts and ports, for messages.
    pub(crate) fn address(&self) -> &str {
        self.target.address()
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Asks by a connection of its own; a cluster is asked whether it is whole, too.
    pub(crate) async fn ask(&self) -> Result<(), RedisError> {
        let mut connection = self.target.connect().await?;
        answered(connection.send(&redis::cmd("PING")).await)?;
        if matches!(connection, Connection::Cluster(_)) { whole(&mut connection).await } else { Ok(()) }
    }
}

/// Whether a cluster serves all keys: a master that is away is left out of what goes to all of them.
async fn whole(connection: &mut Connection) -> Result<(), RedisError> {
    let mut command = redis::cmd("CLUSTER");
    command.arg("INFO");
    let answer = connection.send_to(&super::keys::tag(""), command).await;
    let info: String = match answer {
        Ok(info) => from_redis_value(info)?,
        refused => return answered(refused),
    };
    match info.lines().find_map(|line| line.trim().strip_prefix("cluster_state:")) {
        Some("ok") | None => Ok(()),
        Some(state) => {
            let kind = ErrorKind::Server(ServerErrorKind::ClusterDown);
            Err((kind, "the cluster does not serve all keys", format!("cluster_state:{state}")).into())
        }
    }
}

/// That somebody may not ask is an answer too.
pub(crate) fn answered<T>(answer: Result<T, RedisError>) -> Result<(), RedisError> {
    match answer {
        Err(error) if !matches!(error.kind(), ErrorKind::Server(ServerErrorKind::NoPerm)) => Err(error),
        _ => Ok(()),
    }
}
