//! The clock of the file.
//!
//! All processes that have the file open must agree when a lease ends, even if the wall clock is changed. While the
//! machine is up, they count from one row of the file, by the uptime of the machine with sleep included. After a
//! reboot only the wall clock shows how long the machine was off. The clock then continues with the wall clock, but
//! never goes back behind the last time that the file knows.

use std::time::SystemTime;

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::columns;
use super::rows::{micros, moment};
use crate::base::moment;
use crate::store::clock::uptime;

/// The row of the file. The first process after a boot of the machine writes it.
struct Row {
    boot: String,
    up: i64,
    moment: i64,
}

/// The current time of the file's clock.
pub(super) fn now(connection: &mut Connection) -> rusqlite::Result<SystemTime> {
    let change = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let known = change
        .query_row("SELECT boot, up, moment FROM clock", [], |row| {
            let number = |column| columns::number(row, column);
            let (boot, up, moment) = (columns::text(row, 0)?.into_owned(), number(1)?, number(2)?);
            // A damaged row is replaced.
            let boot = if up.is_some() && moment.is_some() { boot } else { String::new() };
            Ok(Row { boot, up: up.unwrap_or(0), moment: moment.unwrap_or(0) })
        })
        .optional()?;
    let (boot, up) = (boot().unwrap_or_default(), uptime().map(|up| up.as_micros()));
    let up = up.and_then(|up| i64::try_from(up).ok());
    let now = match (&known, up) {
        (Some(known), Some(up)) if !boot.is_empty() && known.boot == boot && up >= known.up => {
            moment(known.moment.saturating_add(up - known.up))
        }
        _ => {
            // Files from before schema version 3 have no such row, but may have failures that are dated ahead.
            let last = match known {
                Some(known) => known.moment.max(last_failure(&change)?),
                None => 0,
            };
            let now = micros(moment::now()).max(last);
            change.execute(
                "INSERT INTO clock (id, boot, up, moment) VALUES (1, ?1, ?2, ?3)
                 ON CONFLICT (id) DO UPDATE SET boot = ?1, up = ?2, moment = ?3",
                params![boot, up.unwrap_or(0), now],
            )?;
            moment(now)
        }
    };
    change.commit()?;
    Ok(now)
}

/// The minute of the last failure. The clock must not be behind it.
fn last_failure(change: &Transaction<'_>) -> rusqlite::Result<i64> {
    // One index lookup for each queue.
    let newest: Option<i64> = change.query_row(
        "SELECT max((SELECT max(minute) FROM failures WHERE queue = queues.id)) FROM queues",
        [],
        |row| columns::number(row, 0),
    )?;
    Ok(newest.unwrap_or(0).saturating_mul(60_000_000))
}

/// Identifies the boot of the machine, and the time namespace, which has its own uptime.
#[cfg(target_os = "linux")]
fn boot() -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = std::fs::read_link("/proc/self/ns/time").unwrap_or_default();
    Some(format!("{} {}", boot.trim(), namespace.display()))
}

#[cfg(not(target_os = "linux"))]
fn boot() -> Option<String> {
    None
}
