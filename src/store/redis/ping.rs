//! `PING`, for health checks. It does not access letters.

use std::time::Duration;

use redis::{ErrorKind, RedisError, ServerErrorKind, from_redis_value};

use super::keys;
use super::settings::RedisSettings;
use super::target::{Connection, Target};
use crate::base::error::ConfigError;

/// Connects to a Redis server or cluster and sends `PING`.
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

    /// The hosts and ports, for messages.
    pub(crate) fn address(&self) -> &str {
        self.target.address()
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Opens a new connection and sends `PING`. A cluster must also serve all slots.
    pub(crate) async fn ask(&self) -> Result<(), RedisError> {
        let mut connection = self.target.connect().await?;
        answered(connection.send(&redis::cmd("PING")).await)?;
        if matches!(connection, Connection::Cluster(_)) {
            serves_all_slots(&mut connection).await
        } else {
            Ok(())
        }
    }
}

/// Fails if a cluster does not serve all slots. `PING` does not show this: it is not sent to a master that is down.
async fn serves_all_slots(connection: &mut Connection) -> Result<(), RedisError> {
    let mut command = redis::cmd("CLUSTER");
    command.arg("INFO");
    let answer = connection.send_to(&keys::tag(""), command).await;
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

/// Success if the server answered, even if it answered that the user lacks the permission.
pub(crate) fn answered<T>(answer: Result<T, RedisError>) -> Result<(), RedisError> {
    match answer {
        Err(error) if !matches!(error.kind(), ErrorKind::Server(ServerErrorKind::NoPerm)) => Err(error),
        _ => Ok(()),
    }
}
