//! Entries as rows.

use std::sync::Arc;
use std::time::SystemTime;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use crate::outcome::FailureKind;
use crate::store::{Depth, Entry, Filter, Fingerprint, LetterId};

/// The number of the queue called `name`, if it ever held a letter.
fn number(connection: &Connection, name: &str) -> rusqlite::Result<Option<i64>> {
    let mut statement = connection.prepare_cached("SELECT id FROM queues WHERE name = ?1")?;
    statement.query_row([name], |row| row.get(0)).optional()
}

/// The number of the queue called `name`; makes it when there is none.
pub(super) fn number_or_new(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    if let Some(number) = number(connection, name)? {
        return Ok(number);
    }
    connection.execute("INSERT INTO queues (name) VALUES (?1)", [name])?;
    Ok(connection.last_insert_rowid())
}

pub(super) fn count(connection: &Connection, name: &str) -> rusqlite::Result<u64> {
    let mut statement = connection.prepare_cached("SELECT letters FROM queues WHERE name = ?1")?;
    let letters: Option<i64> = statement.query_row([name], |row| row.get(0)).optional()?;
    Ok(letters.and_then(|letters| u64::try_from(letters).ok()).unwrap_or(0))
}

pub(super) fn depth(connection: &Connection, name: &str) -> rusqlite::Result<Depth> {
    let mut statement = connection.prepare_cached(
        "SELECT min(letters.id) FROM letters WHERE queue = (SELECT id FROM queues WHERE name = ?1)",
    )?;
    let oldest: Option<[u8; 16]> = statement.query_row([name], |row| row.get(0))?;
    Ok(Depth {
        waiting: count(connection, name)?,
        oldest: oldest.map(|bytes| LetterId::from_bytes(bytes).made_at()),
        ..Depth::default()
    })
}

/// The names of all queues.
pub(super) fn names(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    connection.prepare("SELECT name FROM queues")?.query_map([], |row| row.get(0))?.collect()
}

pub(super) fn insert(connection: &Connection, queue: i64, entry: &Entry) -> rusqlite::Result<()> {
    // An id that is there already is the same letter, put twice.
    let mut statement = connection.prepare_cached(
        "INSERT INTO letters (id, queue, component, kind, fingerprint, first_failed, last_failed, head, body)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (queue, id) DO NOTHING",
    )?;
    statement.execute(params![
        entry.id.to_bytes(),
        queue,
        &*entry.component,
        entry.kind.as_str(),
        entry.fingerprint.to_bits().cast_signed(),
        micros(entry.first_failed),
        micros(entry.last_failed),
        entry.head,
        entry.body,
    ])?;
    Ok(())
}

pub(super) fn replace(connection: &Connection, entry: &Entry) -> rusqlite::Result<bool> {
    let Some(queue) = number(connection, &entry.queue)? else {
        return Ok(false);
    };
    let mut statement = connection.prepare_cached(
        "UPDATE letters SET component = ?3, kind = ?4, fingerprint = ?5, first_failed = ?6, last_failed = ?7,
         head = ?8, body = ?9 WHERE queue = ?2 AND id = ?1",
    )?;
    let changed = statement.execute(params![
        entry.id.to_bytes(),
        queue,
        &*entry.component,
        entry.kind.as_str(),
        entry.fingerprint.to_bits().cast_signed(),
        micros(entry.first_failed),
        micros(entry.last_failed),
        entry.head,
        entry.body,
    ])?;
    Ok(changed > 0)
}

/// Removes the oldest entry of a queue; `false` when it is empty.
pub(super) fn remove_oldest(connection: &Connection, queue: i64) -> rusqlite::Result<bool> {
    let mut statement = connection.prepare_cached(
        "DELETE FROM letters WHERE queue = ?1 AND id = (SELECT min(id) FROM letters WHERE queue = ?1)",
    )?;
    Ok(statement.execute([queue])? > 0)
}

pub(super) fn list(connection: &Connection, name: &str, filter: &Filter) -> rusqlite::Result<Vec<Entry>> {
    let Some(queue) = number(connection, name)? else {
        return Ok(Vec::new());
    };
    let name: Arc<str> = name.into();
    let (condition, values) = condition(queue, filter);
    let mut statement = connection.prepare_cached(&format!(
        "SELECT id, component, kind, fingerprint, first_failed, last_failed, head, body
         FROM letters WHERE {condition}"
    ))?;
    statement.query_map(params_from_iter(values), |row| entry(&name, row))?.collect()
}

pub(super) fn purge(connection: &Connection, name: &str, filter: &Filter) -> rusqlite::Result<u64> {
    let Some(queue) = number(connection, name)? else {
        return Ok(0);
    };
    let (condition, values) = condition(queue, filter);
    let mut statement = connection.prepare_cached(&format!(
        "DELETE FROM letters WHERE rowid IN (SELECT rowid FROM letters WHERE {condition})"
    ))?;
    Ok(statement.execute(params_from_iter(values))? as u64)
}

/// A filter as the end of a query, and its values.
fn condition(queue: i64, filter: &Filter) -> (String, Vec<Value>) {
    let bytes = |id: LetterId| Value::Blob(id.to_bytes().to_vec());
    let mut sql = "queue = ?".to_owned();
    let mut values = vec![Value::Integer(queue)];
    let mut and = |part: &str, value: Option<Value>| {
        if let Some(value) = value {
            sql.push_str(part);
            values.push(value);
        }
    };
    and(" AND id = ?", filter.id.map(bytes));
    and(" AND id > ?", filter.after.map(bytes));
    and(" AND id <= ?", filter.up_to.map(bytes));
    and(" AND component = ?", filter.component.clone().map(Value::Text));
    and(" AND kind = ?", filter.kind.map(|kind| Value::Text(kind.as_str().to_owned())));
    and(
        " AND fingerprint = ?",
        filter.fingerprint.map(|print| Value::Integer(print.to_bits().cast_signed())),
    );
    and(" AND last_failed <= ?", filter.latest().map(|latest| Value::Integer(micros(latest))));
    and(" AND last_failed > ?", filter.earliest().map(|earliest| Value::Integer(micros(earliest))));
    and(
        " ORDER BY id LIMIT ?",
        Some(Value::Integer(filter.limit.and_then(|limit| i64::try_from(limit).ok()).unwrap_or(-1))),
    );
    (sql, values)
}

fn entry(queue: &Arc<str>, row: &Row<'_>) -> rusqlite::Result<Entry> {
    let kind: String = row.get(2)?;
    Ok(Entry {
        id: LetterId::from_bytes(row.get(0)?),
        queue: Arc::clone(queue),
        component: row.get::<_, String>(1)?.into(),
        // A later version may know more kinds.
        kind: FailureKind::ALL.into_iter().find(|known| known.as_str() == kind).unwrap_or(FailureKind::Error),
        fingerprint: Fingerprint::from_bits(row.get::<_, i64>(3)?.cast_unsigned()),
        first_failed: moment(row.get(4)?),
        last_failed: moment(row.get(5)?),
        due: None,
        expires: None,
        set_aside: false,
        head: row.get(6)?,
        body: row.get(7)?,
    })
}

fn micros(moment: SystemTime) -> i64 {
    i64::try_from(crate::moment::micros(moment)).unwrap_or(i64::MAX)
}

fn moment(micros: i64) -> SystemTime {
    crate::moment::from_micros(u64::try_from(micros).unwrap_or(0))
}
