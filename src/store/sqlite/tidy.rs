//! Giving room back to the disk.
//!
//! What letters leave behind is used for the next ones. When nobody has come for a while, the rest goes back to the
//! disk, a little at a time, and the log with it.

use std::time::Duration;

use rusqlite::Connection;

use super::log::Log;

/// How long nobody must have come.
pub(super) const QUIET: Duration = Duration::from_millis(50);

/// How long nobody must have come before a small log goes, and how long to wait for those who read it. Most files get
/// a letter now and then, and a log that is there already is written faster.
const LATER: Duration = Duration::from_secs(1);

/// A log of so many bytes is not small.
const LARGE: u64 = 1024 * 1024;

/// Free pages that are left in the file for the next letters.
const SPARE_PAGES: i64 = 16;

/// Pages that are given back in one go: a few milliseconds for the one who comes meanwhile.
const STEP: i64 = 256;

/// How it stands.
pub(super) enum Tidy {
    Done,
    More,
    /// It is too soon, or somebody reads what would have to go.
    Later,
}

impl Tidy {
    pub(super) fn pause(&self) -> Duration {
        match self {
            Self::Done => QUIET,
            Self::More => Duration::ZERO,
            Self::Later => LATER,
        }
    }
}

/// One step of it, after so much quiet.
pub(super) fn step(connection: &Connection, log: &Log, quiet: Duration) -> rusqlite::Result<Tidy> {
    let free = number(connection, "PRAGMA freelist_count")?;
    if free > SPARE_PAGES {
        vacuum(connection, (free - SPARE_PAGES).min(STEP))?;
        return Ok(Tidy::More);
    }
    if quiet < LATER && log.size() < LARGE {
        return Ok(Tidy::Later);
    }
    Ok(if truncate(connection)? { Tidy::Done } else { Tidy::Later })
}

/// For a file that is never left alone: a little, where most of it is free.
pub(super) fn if_need_be(connection: &Connection) -> rusqlite::Result<()> {
    let free = number(connection, "PRAGMA freelist_count")?;
    let pages = number(connection, "PRAGMA page_count")?;
    if free > SPARE_PAGES && free > pages / 2 { vacuum(connection, STEP) } else { Ok(()) }
}

fn vacuum(connection: &Connection, pages: i64) -> rusqlite::Result<()> {
    // One row for each page: the statement must be run to its end.
    let mut statement = connection.prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
    let mut freed = statement.query([])?;
    while freed.next()?.is_some() {}
    Ok(())
}

/// Empties the log; `false` while somebody reads from it.
pub(super) fn truncate(connection: &Connection) -> rusqlite::Result<bool> {
    let patience = number(connection, "PRAGMA busy_timeout")?;
    connection.busy_timeout(Duration::ZERO)?;
    let busy = number(connection, "PRAGMA wal_checkpoint(TRUNCATE)");
    connection.busy_timeout(Duration::from_millis(patience.unsigned_abs()))?;
    Ok(busy? == 0)
}

/// Empties the log, and waits for those who read from it; `false` when they take too long.
pub(super) fn empty(connection: &Connection) -> rusqlite::Result<bool> {
    Ok(number(connection, "PRAGMA wal_checkpoint(TRUNCATE)")? == 0)
}

fn number(connection: &Connection, sql: &str) -> rusqlite::Result<i64> {
    connection.query_row(sql, [], |row| row.get(0))
}
