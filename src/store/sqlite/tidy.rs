//! Returning free space to the disk.
//!
//! New letters reuse the pages of letters that were removed. While the writer is idle, it returns further free pages to the
//! disk in small steps, and then the log.

use std::time::Duration;

use rusqlite::Connection;

use super::log::Log;

/// How long the writer must be idle before a step.
pub(super) const QUIET: Duration = Duration::from_millis(50);

/// How long the writer must be idle before a small log is emptied, and the time between attempts while it is being read.
/// Most files get a letter now and then, and writing to an existing log is faster.
const LATER: Duration = Duration::from_secs(1);

/// The size in bytes from which a log is not small.
const LARGE: u64 = 1024 * 1024;

/// The free pages that stay in the file for the next letters.
const KEPT_PAGES: i64 = 16;

/// The pages that one step returns. A step delays the next job by a few milliseconds.
const STEP: i64 = 256;

/// The result of a step.
pub(super) enum Tidy {
    Done,
    /// There is more to do.
    More,
    /// It is too early, or the log is being read.
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

/// One step, after the writer was idle for `quiet`.
pub(super) fn step(connection: &Connection, log: &Log, quiet: Duration) -> rusqlite::Result<Tidy> {
    let free = number(connection, "PRAGMA freelist_count")?;
    if free > KEPT_PAGES {
        vacuum(connection, (free - KEPT_PAGES).min(STEP))?;
        return Ok(Tidy::More);
    }
    if quiet < LATER && log.size() < LARGE {
        return Ok(Tidy::Later);
    }
    Ok(if truncate(connection)? { Tidy::Done } else { Tidy::Later })
}

/// Runs a step if most of the file is free; for a writer that is never idle.
pub(super) fn if_mostly_free(connection: &Connection) -> rusqlite::Result<()> {
    let free = number(connection, "PRAGMA freelist_count")?;
    let pages = number(connection, "PRAGMA page_count")?;
    if free > KEPT_PAGES && free > pages / 2 { vacuum(connection, STEP) } else { Ok(()) }
}

fn vacuum(connection: &Connection, pages: i64) -> rusqlite::Result<()> {
    // The statement returns a row for each page, and must be run to its end.
    let mut statement = connection.prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
    let mut freed = statement.query([])?;
    while freed.next()?.is_some() {}
    Ok(())
}

/// Empties the log. Returns `false` if it is being read.
pub(super) fn truncate(connection: &Connection) -> rusqlite::Result<bool> {
    let timeout = number(connection, "PRAGMA busy_timeout")?;
    connection.busy_timeout(Duration::ZERO)?;
    let busy = number(connection, "PRAGMA wal_checkpoint(TRUNCATE)");
    connection.busy_timeout(Duration::from_millis(timeout.unsigned_abs()))?;
    Ok(busy? == 0)
}

/// Empties the log after waiting for reads. Returns `false` if they take longer than the busy timeout.
pub(super) fn empty(connection: &Connection) -> rusqlite::Result<bool> {
    Ok(number(connection, "PRAGMA wal_checkpoint(TRUNCATE)")? == 0)
}

fn number(connection: &Connection, sql: &str) -> rusqlite::Result<i64> {
    connection.query_row(sql, [], |row| row.get(0))
}
