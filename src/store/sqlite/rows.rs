//! Entries as rows, and the lanes of letters.
//!
//! A lane is a class of letters that a search can treat alike. It is a part of the primary key, and each lane is
//! sorted by id.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::columns::{self, Stored};
use crate::base::outcome::FailureKind;
use crate::store::{Entry, Fingerprint, LetterId};

/// Letters without a due time whose last failure is close to the time of their id: almost all letters.
pub(super) const FRESH: i64 = 0;
/// Letters without a due time that failed again later, or whose id contains no time.
pub(super) const FAILED_AGAIN: i64 = 1;
/// Letters with a due time.
pub(super) const DUE: i64 = 2;
/// Letters that are set aside.
pub(super) const SET_ASIDE: i64 = 3;

/// The largest difference between the time of a fresh letter's id and its last failure, in milliseconds.
pub(super) const TOLERANCE: u64 = 60_000;

/// The row of a letter that a search found.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) lane: i64,
    pub(super) id: LetterId,
    /// The value in the column of the id, if it is not valid.
    invalid_id: Option<Stored>,
    pub(super) cause: i64,
    pub(super) content: i64,
    pub(super) size: i64,
    first_failed: i64,
    last_failed: i64,
    due: Option<i64>,
    expires: Option<i64>,
}

/// The columns of [`Found`], without the lane.
pub(super) const COLUMNS: &str = "id, cause, content, size, first_failed, last_failed, due, expires";

impl Found {
    pub(super) fn read(lane: i64, row: &Row<'_>) -> rusqlite::Result<Self> {
        let (id, invalid_id) = columns::id(row, 0)?;
        let number = |column| columns::number(row, column).map(Option::unwrap_or_default);
        Ok(Self {
            lane,
            id,
            invalid_id,
            cause: number(1)?,
            content: number(2)?,
            size: number(3)?,
            first_failed: number(4)?,
            last_failed: number(5)?,
            due: columns::number(row, 6)?,
            expires: columns::number(row, 7)?,
        })
    }

    /// The value in the column of the id.
    pub(super) fn key(&self) -> Stored {
        self.invalid_id.clone().unwrap_or_else(|| key(self.id))
    }
}

/// An id as the column holds it.
pub(super) fn key(id: LetterId) -> Stored {
    Stored::Blob(id.to_bytes().to_vec())
}

/// The row of a cause, and that of its component and kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cause {
    pub(super) id: i64,
    pub(super) origin: i64,
}

/// The place of a letter, and its lease.
pub(super) struct Location {
    pub(super) lane: i64,
    pub(super) cause: i64,
    pub(super) content: i64,
    pub(super) size: i64,
    pub(super) holder: Option<[u8; 16]>,
    pub(super) held_until: Option<i64>,
}

/// The row of the queue `name`, if it ever held a letter.
pub(super) fn number(connection: &Connection, name: &str) -> rusqlite::Result<Option<i64>> {
    let mut statement = connection.prepare_cached("SELECT id FROM queues WHERE name = ?1")?;
    statement.query_row([name], |row| row.get(0)).optional()
}

/// The rows of a queue's components and kinds that match.
pub(super) fn origins(
    connection: &Connection,
    queue: i64,
    component: Option<&str>,
    kind: Option<FailureKind>,
) -> rusqlite::Result<Vec<i64>> {
    let mut statement = connection.prepare_cached(
        "SELECT id FROM origins WHERE queue = ?1 AND (?2 IS NULL OR component = ?2) AND (?3 IS NULL OR kind = ?3)",
    )?;
    statement.query_map(params![queue, component, kind.map(FailureKind::as_str)], |row| row.get(0))?.collect()
}

/// The letter of a queue that arrived first. Its id depends on the clock of the process that parked it.
pub(super) fn first_arrived(connection: &Connection, queue: i64) -> rusqlite::Result<Option<Found>> {
    // The index is created here because only a queue that drops the oldest letter needs it.
    connection.execute_batch("CREATE INDEX IF NOT EXISTS letters_by_arrival ON letters (queue, content)")?;
    // A new content gets a larger number than all existing ones.
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS}, lane FROM letters INDEXED BY letters_by_arrival WHERE queue = ?1 ORDER BY content LIMIT 1"
    ))?;
    statement.query_row([queue], |row| Found::read(row.get(8)?, row)).optional()
}

/// The names of all queues.
pub(super) fn names(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let read = |row: &Row<'_>| Ok(columns::text(row, 0)?.into_owned());
    connection.prepare("SELECT name FROM queues")?.query_map([], read)?.collect()
}

/// Selects the smallest or largest id of all lanes, by the index of each lane.
macro_rules! ends {
    ($end:literal) => {
        concat!(
            "SELECT ",
            $end,
            "(id) FROM (",
            "SELECT ",
            $end,
            "(id) AS id FROM letters INDEXED BY sqlite_autoindex_letters_1 WHERE queue = ?1 AND lane = 0 ",
            "UNION ALL SELECT ",
            $end,
            "(id) FROM letters INDEXED BY sqlite_autoindex_letters_1 WHERE queue = ?1 AND lane = 1 ",
            "UNION ALL SELECT ",
            $end,
            "(id) FROM letters INDEXED BY sqlite_autoindex_letters_1 WHERE queue = ?1 AND lane = 2 ",
            "UNION ALL SELECT ",
            $end,
            "(id) FROM letters INDEXED BY sqlite_autoindex_letters_1 WHERE queue = ?1 AND lane = 3)"
        )
    };
}

/// When the oldest letter of a queue was parked.
pub(super) fn oldest(connection: &Connection, queue: i64) -> rusqlite::Result<Option<SystemTime>> {
    // An invalid id contains no time.
    let made = end(connection, queue, ends!("min"))?.map(LetterId::made_at);
    Ok(made.filter(|made| *made > SystemTime::UNIX_EPOCH))
}

/// The largest id in a queue.
pub(super) fn newest(connection: &Connection, queue: i64) -> rusqlite::Result<Option<LetterId>> {
    end(connection, queue, ends!("max"))
}

fn end(connection: &Connection, queue: i64, sql: &str) -> rusqlite::Result<Option<LetterId>> {
    connection.prepare_cached(sql)?.query_row([queue], |row| columns::some_id(row, 0))
}

pub(super) fn location(
    connection: &Connection,
    queue: i64,
    id: LetterId,
) -> rusqlite::Result<Option<Location>> {
    let mut statement = connection.prepare_cached(
        "SELECT lane, cause, content, size, holder, held_until FROM letters
         WHERE queue = ?1 AND lane IN (0, 1, 2, 3) AND id = ?2",
    )?;
    let read = |row: &Row<'_>| {
        Ok(Location {
            lane: row.get(0)?,
            cause: columns::number(row, 1)?.unwrap_or_default(),
            content: columns::number(row, 2)?.unwrap_or_default(),
            size: columns::number(row, 3)?.unwrap_or_default(),
            holder: columns::owner(row, 4)?,
            held_until: columns::number(row, 5)?,
        })
    };
    statement.query_row(params![queue, id.to_bytes()], read).optional()
}

pub(super) fn insert(
    connection: &Connection,
    queue: i64,
    cause: Cause,
    content: i64,
    entry: &Entry,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO letters
         (queue, lane, id, cause, origin, content, size, first_failed, last_failed, due, expires)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )?;
    statement.execute(params![
        queue,
        lane(entry),
        entry.id.to_bytes(),
        cause.id,
        cause.origin,
        content,
        entry.size().cast_signed(),
        micros(entry.first_failed),
        micros(entry.last_failed),
        entry.due.map(micros),
        entry.expires.map(micros),
    ])?;
    Ok(())
}

pub(super) fn delete(connection: &Connection, queue: i64, lane: i64, key: &Stored) -> rusqlite::Result<()> {
    let mut statement =
        connection.prepare_cached("DELETE FROM letters WHERE queue = ?1 AND lane = ?2 AND id = ?3")?;
    statement.execute(params![queue, lane, key])?;
    Ok(())
}

/// Inserts the content of an entry. Returns its row.
pub(super) fn insert_content(connection: &Connection, entry: &Entry) -> rusqlite::Result<i64> {
    let mut statement = connection.prepare_cached("INSERT INTO contents (head, body) VALUES (?1, ?2)")?;
    statement.insert(params![entry.head, entry.body])
}

pub(super) fn update_content(connection: &Connection, content: i64, entry: &Entry) -> rusqlite::Result<()> {
    let mut statement =
        connection.prepare_cached("UPDATE contents SET head = ?2, body = ?3 WHERE id = ?1")?;
    statement.execute(params![content, entry.head, entry.body])?;
    Ok(())
}

pub(super) fn delete_content(connection: &Connection, content: i64) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM contents WHERE id = ?1")?.execute([content])?;
    Ok(())
}

/// The letters of `found` that still exist.
pub(super) fn still_existing(
    connection: &Connection,
    queue: &str,
    mut found: Vec<Found>,
) -> rusqlite::Result<Vec<Found>> {
    let Some(queue) = number(connection, queue)? else {
        return Ok(Vec::new());
    };
    let mut exists = Vec::with_capacity(found.len());
    for found in &found {
        // Another letter may have the number of a content that was deleted.
        let location = location(connection, queue, found.id)?;
        exists.push(location.is_some_and(|location| location.content == found.content));
    }
    let mut exists = exists.into_iter();
    found.retain(|_| exists.next().unwrap_or(false));
    Ok(found)
}

/// The entries of `found`, in the same order.
pub(super) fn entries(
    connection: &Connection,
    queue: &Arc<str>,
    found: &[Found],
) -> rusqlite::Result<Vec<Entry>> {
    let mut causes: BTreeMap<i64, (Fingerprint, Arc<str>, FailureKind)> = BTreeMap::new();
    let mut cause_of =
        connection.prepare_cached("SELECT fingerprint, component, kind FROM known_causes WHERE id = ?1")?;
    let mut content_of = connection.prepare_cached("SELECT head, body FROM contents WHERE id = ?1")?;
    let mut entries = Vec::with_capacity(found.len());
    for found in found {
        let (fingerprint, component, kind) = match causes.get(&found.cause) {
            Some(cause) => cause.clone(),
            None => {
                let read =
                    |row: &Row<'_>| Ok((fingerprint(row, 0)?, columns::text(row, 1)?.into(), kind(row, 2)?));
                let unknown = || (Fingerprint::from_bits(0), "".into(), FailureKind::Error);
                let cause = cause_of.query_row([found.cause], read).optional()?.unwrap_or_else(unknown);
                causes.insert(found.cause, cause.clone());
                cause
            }
        };
        let read = |row: &Row<'_>| Ok((columns::bytes(row, 0)?, columns::bytes(row, 1)?));
        let (head, body) = content_of.query_row([found.content], read).optional()?.unwrap_or_default();
        entries.push(Entry {
            id: found.id,
            queue: Arc::clone(queue),
            component,
            kind,
            fingerprint,
            first_failed: moment(found.first_failed),
            last_failed: moment(found.last_failed),
            due: found.due.map(moment),
            expires: found.expires.map(moment),
            set_aside: found.lane == SET_ASIDE,
            head,
            body,
        });
    }
    Ok(entries)
}

pub(super) fn fingerprint(row: &Row<'_>, column: usize) -> rusqlite::Result<Fingerprint> {
    Ok(Fingerprint::from_bits(columns::number(row, column)?.unwrap_or_default().cast_unsigned()))
}

pub(super) fn kind(row: &Row<'_>, column: usize) -> rusqlite::Result<FailureKind> {
    let text = columns::text(row, column)?;
    // A later version may know more kinds.
    Ok(FailureKind::ALL.into_iter().find(|known| known.as_str() == text).unwrap_or(FailureKind::Error))
}

fn lane(entry: &Entry) -> i64 {
    let failed = crate::base::moment::micros(entry.last_failed) / 1_000;
    if entry.set_aside {
        SET_ASIDE
    } else if entry.due.is_some() {
        DUE
    } else if failed.abs_diff(stamp(entry.id)) <= TOLERANCE {
        FRESH
    } else {
        FAILED_AGAIN
    }
}

/// The time in the first bytes of an id, in milliseconds since 1970.
fn stamp(id: LetterId) -> u64 {
    id.to_bytes().iter().take(6).fold(0, |stamp, byte| stamp << 8 | u64::from(*byte))
}

/// The smallest id with this stamp.
pub(super) fn first_at(stamp: u64) -> LetterId {
    stamped(stamp, 0)
}

/// The largest id with this stamp.
pub(super) fn last_at(stamp: u64) -> LetterId {
    stamped(stamp, 0xff)
}

fn stamped(stamp: u64, rest: u8) -> LetterId {
    let mut bytes = [rest; 16];
    let [_, _, first @ ..] = stamp.min((1 << 48) - 1).to_be_bytes();
    bytes[..6].copy_from_slice(&first);
    LetterId::from_bytes(bytes)
}

pub(super) fn micros(moment: SystemTime) -> i64 {
    i64::try_from(crate::base::moment::micros(moment)).unwrap_or(i64::MAX)
}

pub(super) fn moment(micros: i64) -> SystemTime {
    crate::base::moment::from_micros(u64::try_from(micros).unwrap_or(0))
}
