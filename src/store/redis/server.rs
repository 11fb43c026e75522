//! Checking the version and the settings of the server.

use std::time::SystemTime;

use redis::{RedisError, Value, from_redis_value};

use super::keys;
use super::target::Connection;
use crate::base::moment::from_micros;
use crate::store::StoreError;
use crate::store::error::Kind;

/// The first major version that supports all that the scripts use.
const OLDEST: u32 = 7;

pub(super) enum Fault {
    /// The server could not be asked.
    Redis(RedisError),
    /// The server cannot be used.
    Unfit(StoreError),
}

/// Waits for any answer to `PING`.
pub(super) async fn ping(connection: &mut Connection) -> Result<(), RedisError> {
    match connection.send_to(&keys::tag(""), redis::cmd("PING")).await {
        // A missing permission is an answer too.
        Err(error) if !is_no_permission(&error) => Err(error),
        _ => Ok(()),
    }
}

/// The time of the server, if the user may ask for it.
pub(super) async fn time(connection: &mut Connection) -> Option<SystemTime> {
    let answer = connection.send_to(&keys::tag(""), redis::cmd("TIME")).await.ok()?;
    let (seconds, micros): (u64, u64) = from_redis_value(answer).ok()?;
    Some(from_micros(seconds.checked_mul(1_000_000)?.checked_add(micros)?))
}

/// Refuses a server that is too old, and warns of settings that may lose letters.
pub(super) async fn check(address: &str, connection: &mut Connection) -> Result<(), Fault> {
    let key = keys::tag("");
    let info = match connection.send_to(&key, redis::cmd("INFO")).await {
        Ok(info) => from_redis_value::<String>(info).unwrap_or_default(),
        // The user may lack the permission for `INFO`. A wrong password is another error.
        Err(error) if is_no_permission(&error) => return Ok(()),
        Err(error) => return Err(Fault::Redis(error)),
    };
    let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));

    if let Some(version) = field("redis_version")
        && version
            .split('.')
            .next()
            .and_then(|major| major.parse::<u32>().ok())
            .is_some_and(|major| major < OLDEST)
    {
        let message = format!(
            "Redis at {address} has version {version}, and the store needs {OLDEST}.0 or later; upgrade Redis"
        );
        return Err(Fault::Unfit(StoreError::new(Kind::Other, message)));
    }
    if field("aof_enabled") == Some("0") {
        if setting(&key, connection, "save").await.as_deref() == Some("") {
            tracing::warn!(
                redis = address,
                "Redis does not write to disk (`appendonly no`, `save \"\"`): all dead letters are lost when it stops; set \
                 `appendonly yes`"
            );
        } else {
            tracing::warn!(
                redis = address,
                "Redis has no append-only file (`appendonly no`): the dead letters since its last snapshot are lost when it \
                 stops; set `appendonly yes`"
            );
        }
    } else if let Some(sync) = setting(&key, connection, "appendfsync").await
        && sync != "always"
    {
        tracing::warn!(
            redis = address,
            appendfsync = sync,
            "Redis answers before its append-only file is on disk: a crash of its machine loses the dead letters of up to a \
             second (`everysec`) or of more (`no`); set `appendfsync always` to lose none"
        );
    }
    if let Some(policy) = field("maxmemory_policy")
        && policy != "noeviction"
        && field("maxmemory") != Some("0")
    {
        if policy.starts_with("volatile") {
            tracing::warn!(
                redis = address,
                policy,
                "Redis evicts keys with an expiry when its memory is full: failure counts of dead letters may be lost, and \
                 letters if another program sets an expiry on their keys; set `maxmemory-policy` to `noeviction`"
            );
        } else {
            tracing::warn!(
                redis = address,
                policy,
                "Redis evicts keys when its memory is full, which may lose dead letters; set `maxmemory-policy` to \
                 `noeviction`"
            );
        }
    }
    Ok(())
}

async fn setting(key: &str, connection: &mut Connection, name: &str) -> Option<String> {
    let mut command = redis::cmd("CONFIG");
    command.arg("GET").arg(name);
    // Hosted servers often forbid `CONFIG`. Then the settings are not checked.
    let answer: Value = connection.send_to(key, command).await.ok()?;
    from_redis_value::<Vec<String>>(answer).ok()?.into_iter().nth(1)
}

fn is_no_permission(error: &RedisError) -> bool {
    matches!(error.kind(), redis::ErrorKind::Server(redis::ServerErrorKind::NoPerm))
}
