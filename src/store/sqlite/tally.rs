//! Sums of letters, for each queue and cause.
//!
//! They change in the same transaction as the letters. A transaction changes many letters of few queues and causes, so each
//! sum is read once, changed in memory and written once.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::sync::Arc;
use std::time::SystemTime;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::columns;
use super::rows::{self, fingerprint, kind, micros, newest, oldest};
use crate::base::outcome::FailureKind;
use crate::store::group::{CAUSES, LONGEST_LOOK_BACK, minute};
use crate::store::{Depth, Entry, Fingerprint, LetterId};

/// The sums that one transaction changes.
#[derive(Default)]
pub(super) struct Tally {
    queues: Vec<Queue>,
    groups: BTreeMap<Key, Vec<Cause>>,
    /// The group of each cause that was looked up.
    keys: BTreeMap<i64, Key>,
    failures: BTreeMap<(i64, u64, Fingerprint), Failures>,
    /// The current minute, if a failure was counted.
    minute: u64,
}

/// The queue and the fingerprint of a group.
type Key = (i64, Fingerprint);

#[derive(Clone)]
pub(super) struct Queue {
    name: Arc<str>,
    pub(super) number: i64,
    pub(super) letters: i64,
    pub(super) bytes: i64,
    /// The largest id at the start of the transaction, after it was looked up.
    newest: Option<Option<LetterId>>,
}

/// The letters of a group with the same component and kind.
struct Cause {
    id: i64,
    origin: i64,
    component: Arc<str>,
    kind: FailureKind,
    letters: i64,
    /// The first and last failure since the group was last empty.
    seen: Option<(i64, i64)>,
    changed: bool,
}

struct Failures {
    component: Arc<str>,
    kind: FailureKind,
    count: i64,
}

impl Tally {
    /// The queue `name`, if it ever held a letter.
    pub(super) fn queue(
        &mut self,
        connection: &Connection,
        name: &str,
    ) -> rusqlite::Result<Option<&mut Queue>> {
        if let Some(at) = self.queues.iter().position(|queue| *queue.name == *name) {
            return Ok(self.queues.get_mut(at));
        }
        let mut statement =
            connection.prepare_cached("SELECT id, letters, bytes FROM queues WHERE name = ?1")?;
        let read = |row: &Row<'_>| {
            Ok(Queue {
                name: name.into(),
                number: row.get(0)?,
                letters: row.get(1)?,
                bytes: row.get(2)?,
                newest: None,
            })
        };
        let Some(queue) = statement.query_row([name], read).optional()? else { return Ok(None) };
        self.queues.push(queue);
        Ok(self.queues.last_mut())
    }

    /// The queue `name`. Inserts it if it does not exist.
    pub(super) fn queue_or_new(
        &mut self,
        connection: &Connection,
        name: &str,
    ) -> rusqlite::Result<&mut Queue> {
        if self.queue(connection, name)?.is_none() {
            connection.execute("INSERT INTO queues (name) VALUES (?1)", [name])?;
            let number = connection.last_insert_rowid();
            self.queues.push(Queue { name: name.into(), number, letters: 0, bytes: 0, newest: Some(None) });
        }
        let at = self.queues.iter().position(|queue| *queue.name == *name);
        at.and_then(|at| self.queues.get_mut(at)).ok_or(rusqlite::Error::QueryReturnedNoRows)
    }

    /// Adds a letter to the sums. Returns its cause.
    pub(super) fn add_letter(
        &mut self,
        connection: &Connection,
        queue: i64,
        entry: &Entry,
    ) -> rusqlite::Result<rows::Cause> {
        let group = self.group(connection, (queue, entry.fingerprint))?;
        let known = |cause: &Cause| cause.kind == entry.kind && *cause.component == *entry.component;
        let at = match group.iter().position(known) {
            Some(at) => at,
            None => {
                let origin = origin(connection, queue, entry)?;
                let print = entry.fingerprint.to_bits().cast_signed();
                let mut insert = connection.prepare_cached(
                    "INSERT INTO known_causes
                     (queue, fingerprint, component, kind, letters, first_seen, last_seen, origin)
                     VALUES (?1, ?2, ?3, ?4, 0, 0, 0, ?5)",
                )?;
                let id =
                    insert.insert(params![queue, print, &*entry.component, entry.kind.as_str(), origin])?;
                if !group.is_empty() {
                    connection
                        .prepare_cached(
                            "UPDATE known_causes SET mixed = 1 WHERE queue = ?1 AND fingerprint = ?2",
                        )?
                        .execute((queue, print))?;
                }
                group.push(Cause {
                    id,
                    origin,
                    component: Arc::clone(&entry.component),
                    kind: entry.kind,
                    letters: 0,
                    seen: None,
                    changed: true,
                });
                group.len() - 1
            }
        };
        let cause = &mut group[at];
        let (first, last) = (micros(entry.first_failed), micros(entry.last_failed));
        cause.seen = Some(cause.seen.map_or((first, last), |seen| (seen.0.min(first), seen.1.max(last))));
        cause.letters += 1;
        cause.changed = true;
        let cause = rows::Cause { id: cause.id, origin: cause.origin };
        self.keys.insert(cause.id, (queue, entry.fingerprint));
        self.resize(queue, 1, entry.size().cast_signed());
        Ok(cause)
    }

    /// Removes a letter from the sums.
    pub(super) fn remove_letter(
        &mut self,
        connection: &Connection,
        queue: i64,
        id: i64,
        size: i64,
    ) -> rusqlite::Result<()> {
        let key = match self.keys.get(&id) {
            Some(key) => *key,
            None => {
                let mut statement =
                    connection.prepare_cached("SELECT fingerprint FROM known_causes WHERE id = ?1")?;
                let found = statement.query_row([id], |row| fingerprint(row, 0)).optional()?;
                let Some(found) = found else {
                    // The row of the cause is damaged. The letter can be removed nevertheless.
                    self.resize(queue, -1, -size);
                    return Ok(());
                };
                self.keys.insert(id, (queue, found));
                (queue, found)
            }
        };
        let group = self.group(connection, key)?;
        if let Some(cause) = group.iter_mut().find(|cause| cause.id == id) {
            cause.letters -= 1;
            cause.changed = true;
        }
        if group.iter().all(|cause| cause.letters == 0) {
            // The next letter begins a new group.
            for cause in group {
                cause.seen = None;
                cause.changed = true;
            }
        }
        self.resize(queue, -1, -size);
        Ok(())
    }

    /// Counts a failure in its minute. An entry may be dated by a clock that is ahead; the minute is now at the latest.
    pub(super) fn count_failure(&mut self, queue: i64, entry: &Entry, now: SystemTime) {
        self.minute = self.minute.max(minute(now));
        let at = minute(entry.last_failed).min(self.minute);
        let failures = self.failures.entry((queue, at, entry.fingerprint)).or_insert_with(|| Failures {
            component: Arc::clone(&entry.component),
            kind: entry.kind,
            count: 0,
        });
        failures.count += 1;
    }

    fn resize(&mut self, number: i64, letters: i64, bytes: i64) {
        if let Some(queue) = self.queues.iter_mut().find(|queue| queue.number == number) {
            queue.letters += letters;
            queue.bytes += bytes;
        }
    }

    fn group(&mut self, connection: &Connection, key: Key) -> rusqlite::Result<&mut Vec<Cause>> {
        Ok(match self.groups.entry(key) {
            Slot::Occupied(group) => group.into_mut(),
            Slot::Vacant(slot) => slot.insert(causes(connection, key)?),
        })
    }

    /// Writes the sums. Returns the depth of each queue.
    pub(super) fn finish(self, connection: &Connection) -> rusqlite::Result<Vec<(Arc<str>, Depth)>> {
        let mut change = connection.prepare_cached(
            "UPDATE known_causes SET letters = ?2, first_seen = ?3, last_seen = ?4 WHERE id = ?1",
        )?;
        let mut delete = connection.prepare_cached("DELETE FROM known_causes WHERE id = ?1")?;
        for cause in self.groups.into_values().flatten().filter(|cause| cause.changed) {
            match cause.seen {
                Some((first, last)) => change.execute((cause.id, cause.letters, first, last))?,
                None => delete.execute([cause.id])?,
            };
        }
        let mut add = connection.prepare_cached(
            "UPDATE failures SET failures = failures + ?4 WHERE queue = ?1 AND minute = ?2 AND fingerprint = ?3",
        )?;
        let mut causes =
            connection.prepare_cached("SELECT count(*) FROM failures WHERE queue = ?1 AND minute = ?2")?;
        let mut insert = connection.prepare_cached(
            "INSERT INTO failures (queue, minute, fingerprint, component, kind, failures)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (queue, minute, fingerprint) DO UPDATE SET failures = failures + ?6",
        )?;
        let mut prune = connection.prepare_cached("DELETE FROM failures WHERE queue = ?1 AND minute < ?2")?;
        let oldest = self.minute.cast_signed() - LONGEST_LOOK_BACK.as_secs().cast_signed() / 60;
        for ((queue, minute, fingerprint), Failures { component, kind, count }) in self.failures {
            let minute = minute.cast_signed();
            let mut cause = fingerprint.to_bits().cast_signed();
            if add.execute((queue, minute, cause, count))? > 0 {
                continue;
            }
            if causes.query_row((queue, minute), |row| row.get::<_, i64>(0))? >= CAUSES as i64 {
                cause = Fingerprint::OTHER.to_bits().cast_signed();
            }
            insert.execute(params![queue, minute, cause, &*component, kind.as_str(), count])?;
            prune.execute((queue, oldest))?;
        }
        let mut resize =
            connection.prepare_cached("UPDATE queues SET letters = ?2, bytes = ?3 WHERE id = ?1")?;
        let mut depths = Vec::with_capacity(self.queues.len());
        for queue in self.queues {
            resize.execute((queue.number, queue.letters, queue.bytes))?;
            depths.push((Arc::clone(&queue.name), queue.depth(connection)?));
        }
        Ok(depths)
    }
}

impl Queue {
    /// The largest id at the start of the transaction.
    pub(super) fn newest(&mut self, connection: &Connection) -> rusqlite::Result<Option<LetterId>> {
        if self.newest.is_none() {
            self.newest = Some(newest(connection, self.number)?);
        }
        Ok(self.newest.flatten())
    }

    pub(super) fn depth(&self, connection: &Connection) -> rusqlite::Result<Depth> {
        Ok(Depth {
            waiting: u64::try_from(self.letters).unwrap_or(0),
            oldest: oldest_of(connection, self)?,
            bytes: u64::try_from(self.bytes).unwrap_or(0),
            ..Depth::default()
        })
    }
}

fn causes(connection: &Connection, key: Key) -> rusqlite::Result<Vec<Cause>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, component, kind, letters, first_seen, last_seen, origin FROM known_causes
         WHERE queue = ?1 AND fingerprint = ?2",
    )?;
    let read = |row: &Row<'_>| {
        let number = |column| columns::number(row, column).map(Option::unwrap_or_default);
        Ok(Cause {
            id: row.get(0)?,
            component: columns::text(row, 1)?.into(),
            kind: kind(row, 2)?,
            letters: number(3)?,
            seen: Some((number(4)?, number(5)?)),
            origin: number(6)?,
            changed: false,
        })
    };
    statement.query_map((key.0, key.1.to_bits().cast_signed()), read)?.collect()
}

fn origin(connection: &Connection, queue: i64, entry: &Entry) -> rusqlite::Result<i64> {
    let values = params![queue, &*entry.component, entry.kind.as_str()];
    let known = connection
        .prepare_cached("SELECT id FROM origins WHERE queue = ?1 AND component = ?2 AND kind = ?3")?
        .query_row(values, |row| row.get(0))
        .optional()?;
    match known {
        Some(origin) => Ok(origin),
        None => connection
            .prepare_cached("INSERT INTO origins (queue, component, kind) VALUES (?1, ?2, ?3)")?
            .insert(values),
    }
}

fn oldest_of(connection: &Connection, queue: &Queue) -> rusqlite::Result<Option<SystemTime>> {
    if queue.letters == 0 { Ok(None) } else { oldest(connection, queue.number) }
}
