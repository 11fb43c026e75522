//! The errors of the store, each with what to do about it.

use std::time::Duration;

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::store::StoreError;
use crate::store::error::Kind;

/// The error code of a script for a queue whose format is newer. The format and the latest known one follow.
const FORMAT: &str = "FORMAT";

/// Redis did not answer within `timeout`. `last` says what the call was waiting for.
pub(super) fn timed_out(address: &str, timeout: Duration, last: Option<String>) -> StoreError {
    let error = StoreError::new(
        Kind::Unreachable,
        format!(
            "Redis at {address} cannot be reached: it did not answer within {timeout:?} (`response_timeout`); check that it \
             runs and that its address is right"
        ),
    );
    match last {
        Some(last) => error.with_source(last),
        None => error,
    }
}

pub(super) fn too_few_replicas(address: &str, replicas: u32, wanted: u32) -> StoreError {
    let message = format!(
        "only {replicas} replicas of Redis at {address} confirmed the change in time, and `wait_for_replicas` is {wanted}; \
         the change may have been made; check the replicas or lower `wait_for_replicas`"
    );
    StoreError::new(Kind::Unreachable, message)
}

/// Explains an error of Redis.
pub(super) fn explain(address: &str, error: RedisError) -> StoreError {
    if error.code() == Some(FORMAT) {
        return newer_format(address, error.detail().unwrap_or_default());
    }
    let denied =
        matches!(error.kind(), ErrorKind::AuthenticationFailed | ErrorKind::Server(ServerErrorKind::NoPerm))
            || matches!(error.code(), Some("NOAUTH" | "WRONGPASS"));
    let moved =
        matches!(error.kind(), ErrorKind::Server(ServerErrorKind::Moved | ServerErrorKind::CrossSlot));
    let unreachable = matches!(
        error.kind(),
        ErrorKind::Io
            | ErrorKind::ClusterConnectionNotFound
            | ErrorKind::Server(
                ServerErrorKind::BusyLoading
                    | ServerErrorKind::TryAgain
                    | ServerErrorKind::ClusterDown
                    | ServerErrorKind::MasterDown
                    | ServerErrorKind::ReadOnly
            )
    );
    if error.code() == Some("OOM") {
        let message = format!(
            "the memory of Redis at {address} is full; redrive or purge letters, or raise `maxmemory`"
        );
        return StoreError::new(Kind::DiskFull, message).with_source(error);
    }
    if error.code() == Some("WRONGTYPE") {
        let key = error.detail().unwrap_or("a key of the queue");
        let message = format!(
            "the key `{key}` in Redis at {address} has the wrong type: another program wrote to it; delete that key, \
             then the queue is repaired from its other keys"
        );
        return StoreError::new(Kind::Foreign, message);
    }
    let (kind, message) = match () {
        () if denied => (
            Kind::Denied,
            format!(
                "Redis at {address} refused the user or a command; check user and password in the URL, and allow the \
                 user to run scripts on keys that begin with `{{campanile:` (the documentation of `RedisStore` lists \
                 the commands)"
            ),
        ),
        () if moved => {
            (Kind::Other, format!("Redis at {address} is part of a cluster; set `cluster` to `true`"))
        }
        () if unreachable => (
            Kind::Unreachable,
            format!(
                "Redis at {address} cannot be reached; check that it runs and that address and TLS settings are right"
            ),
        ),
        () => (Kind::Other, format!("Redis at {address} answered with an error")),
    };
    StoreError::new(kind, message).with_source(error)
}

fn newer_format(address: &str, versions: &str) -> StoreError {
    let mut versions = versions.split(' ');
    let (found, known) = (versions.next().unwrap_or("?"), versions.next().unwrap_or("?"));
    let message = format!(
        "the queue in Redis at {address} has format {found}, and this version of campanile supports formats up to \
         {known}; update campanile, or use another queue name or database"
    );
    StoreError::new(Kind::NewerSchema, message)
}
