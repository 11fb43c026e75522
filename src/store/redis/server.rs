//! What kind of a server it is: too old, or one that forgets.

use std::time::SystemTime;

use redis::{RedisError, Value, from_redis_value};

use super::target::Connection;
use crate::base::moment::from_micros;
use crate::store::StoreError;
use crate::store::error::Kind;

/// The first version that has all that the scripts need.
const OLDEST: u32 = 7;

pub(super) enum Fault {
    Redis(RedisError),
    Unfit(StoreError),
}

/// Waits for any answer.
pub(super) async fn answers(connection: &mut Connection) -> Result<(), RedisError> {
    match connection.send_to(&super::keys::tag(""), redis::cmd("PING")).await {
        // That it may not be asked is an answer.
        Err(error) if !may_not(&error) => Err(error),
        _ => Ok(()),
    }
}

/// What time it is there.
pub(super) async fn time(connection: &mut Connection) -> Option<SystemTime> {
    let answer = connection.send_to(&super::keys::tag(""), redis::cmd("TIME")).await.ok()?;
    let (seconds, micros): (u64, u64) = from_redis_value(answer).ok()?;
    Some(from_micros(seconds.checked_mul(1_000_000)?.checked_add(micros)?))
}

/// Looks at a server once: refuses one that is too old, and warns of one that may lose letters.
pub(super) async fn check(address: &str, connection: &mut Connection) -> Result<(), Fault> {
    let key = super::keys::tag("");
    let info = match connection.send_to(&key, redis::cmd("INFO")).await {
        Ok(info) => from_redis_value::<String>(info).unwrap_or_default(),
        // Not everyone may ask. Without a password, nobody may do anything.
        Err(error) if may_not(&error) => return Ok(()),
        Err(error) => return Err(Fault::Redis(error)),
    };
    let of = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));

    if let Some(version) = of("redis_version")
        && version
            .split('.')
            .next()
            .and_then(|major| major.parse::<u32>().ok())
            .is_some_and(|major| major < OLDEST)
    {
        let message =
            format!("Redis at {address} is of version {version}: {OLDEST}.0 or a later one is needed");
        return Err(Fault::Unfit(StoreError::new(Kind::Other, message)));
    }
    if of("aof_enabled") == Some("0") {
        if setting(&key, connection, "save").await.as_deref() == Some("") {
            tracing::warn!(
                redis = address,
                "Redis writes nothing to its disk (`appendonly no`, `save \"\"`): when it ends, all dead letters are lost; \
                 set `appendonly yes`"
            );
        } else {
            tracing::warn!(
                redis = address,
                "Redis writes no log to its disk (`appendonly no`): when it ends, the dead letters since its last \
                 snapshot are lost; set `appendonly yes`"
            );
        }
    } else if let Some(sync) = setting(&key, connection, "appendfsync").await
        && sync != "always"
    {
        tracing::warn!(
            redis = address,
            appendfsync = sync,
            "Redis answers before its log is on its disk: when its machine ends, the dead letters of up to a second are \
             lost, or of more if it never syncs; `appendfsync always` keeps all"
        );
    }
    if let Some(policy) = of("maxmemory_policy")
        && policy != "noeviction"
        && of("maxmemory") != Some("0")
    {
        if policy.starts_with("volatile") {
            tracing::warn!(
                redis = address,
                policy,
                "Redis removes keys that expire when its memory is full: counts of failures may be missing, and letters \
                 if another program lets their keys expire; set `maxmemory-policy` to `noeviction`"
            );
        } else {
            tracing::warn!(
                redis = address,
                policy,
                "Redis removes keys when its memory is full, and dead letters may be among them: set \
                 `maxmemory-policy` to `noeviction`"
            );
        }
    }
    Ok(())
}

async fn setting(key: &str, connection: &mut Connection, name: &str) -> Option<String> {
    let mut command = redis::cmd("CONFIG");
    command.arg("GET").arg(name);
    // Where somebody else runs the server, it is theirs to know.
    let answer: Value = connection.send_to(key, command).await.ok()?;
    from_redis_value::<Vec<String>>(answer).ok()?.into_iter().nth(1)
}

fn may_not(error: &RedisError) -> bool {
    matches!(error.kind(), redis::ErrorKind::Server(redis::ServerErrorKind::NoPerm))
}
