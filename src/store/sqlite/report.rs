//! Queries about many letters: counts, groups, frequencies and purges.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use rusqlite::{Connection, Row};

use super::columns;
use super::rows::{self, fingerprint, kind, moment};
use super::search::Search;
use crate::store::group::{by_frequency, by_size};
use crate::store::{Fingerprint, Frequency, Group, LetterFilter, LetterId, PurgeRecord};

/// A group without its example.
struct Sum {
    fingerprint: Fingerprint,
    first_seen: i64,
    last_seen: i64,
    letters: u64,
    newest: Option<LetterId>,
}

pub(super) fn count(
    connection: &Connection,
    queue: &str,
    filter: &LetterFilter,
    now: SystemTime,
) -> rusqlite::Result<u64> {
    match Search::new(connection, queue, filter, now)? {
        Some(search) => search.count(connection),
        None => Ok(0),
    }
}

pub(super) fn groups(
    connection: &Connection,
    queue: &Arc<str>,
    filter: &LetterFilter,
    now: SystemTime,
) -> rusqlite::Result<Vec<Group>> {
    let Some(number) = rows::number(connection, queue)? else {
        return Ok(Vec::new());
    };
    let search = Search::within(number, filter, now);
    let mut sums = match search.is_by_cause_alone() && !is_mixed(connection, number)? {
        true => largest(connection, number, filter)?,
        false => sums(connection, number, filter, &search)?,
    };
    // Examples are read only for the groups that are returned.
    sums.sort_by(|a, b| b.letters.cmp(&a.letters).then(a.fingerprint.cmp(&b.fingerprint)));
    sums.truncate(filter.limit.unwrap_or(usize::MAX));
    let mut groups = Vec::with_capacity(sums.len());
    for sum in sums {
        let newest = match sum.newest {
            Some(newest) => Some(newest),
            None => newest(connection, number, filter, sum.fingerprint)?,
        };
        let Some(newest) = newest else { continue };
        let one = LetterFilter::id(newest);
        let found = Search::within(number, &one, now).find(connection, 1)?;
        if let Some(example) = rows::entries(connection, queue, &found)?.pop() {
            groups.push(Group {
                fingerprint: sum.fingerprint,
                letters: sum.letters,
                first_seen: moment(sum.first_seen),
                last_seen: moment(sum.last_seen),
                example,
            });
        }
    }
    Ok(by_size(groups, None))
}

/// Whether letters of one fingerprint have different components or kinds. Letters that a queue parks never do.
fn is_mixed(connection: &Connection, queue: i64) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM known_causes INDEXED BY causes_mixed WHERE mixed = 1 AND queue = ?1)")?
        .query_row([queue], |row| row.get(0))
}

/// The largest groups, for a filter by cause alone in a queue where each fingerprint has one cause.
fn largest(connection: &Connection, queue: i64, filter: &LetterFilter) -> rusqlite::Result<Vec<Sum>> {
    let mut sums = Vec::new();
    let read = |row: &Row<'_>| {
        let number = |column| columns::number(row, column).map(Option::unwrap_or_default);
        Ok(Sum {
            fingerprint: fingerprint(row, 0)?,
            letters: number(1)?.cast_unsigned(),
            first_seen: number(2)?,
            last_seen: number(3)?,
            newest: None,
        })
    };
    if let Some(fingerprint) = filter.fingerprint {
        let mut statement = connection.prepare_cached(
            "SELECT fingerprint, letters, first_seen, last_seen FROM known_causes WHERE queue = ?1 AND fingerprint = ?2
             AND letters > 0 AND (?3 IS NULL OR component = ?3) AND (?4 IS NULL OR kind = ?4)",
        )?;
        let kind = filter.kind.map(|kind| kind.as_str());
        let values = (queue, fingerprint.to_bits().cast_signed(), filter.component.as_deref(), kind);
        return statement.query_map(values, read)?.collect();
    }
    // Groups of equal size are sorted by fingerprint, which is unsigned.
    let mut statement = connection.prepare_cached(
        "SELECT fingerprint, letters, first_seen, last_seen FROM known_causes INDEXED BY causes_by_size
         WHERE origin = ?1 AND letters > 0 ORDER BY letters DESC, fingerprint < 0, fingerprint LIMIT ?2",
    )?;
    let limit = filter.limit.map_or(-1, |limit| i64::try_from(limit).unwrap_or(-1));
    for origin in rows::origins(connection, queue, filter.component.as_deref(), filter.kind)? {
        for sum in statement.query_map((origin, limit), read)? {
            sums.push(sum?);
        }
    }
    Ok(sums)
}

/// The groups of the letters that match.
fn sums(
    connection: &Connection,
    queue: i64,
    filter: &LetterFilter,
    search: &Search<'_>,
) -> rusqlite::Result<Vec<Sum>> {
    struct Cause {
        fingerprint: Fingerprint,
        matches: bool,
        letters: u64,
    }
    let mut statement = connection.prepare_cached(
        "SELECT id, fingerprint, component, kind, letters, first_seen, last_seen FROM known_causes WHERE queue = ?1",
    )?;
    let mut causes: BTreeMap<i64, Cause> = BTreeMap::new();
    let mut sums: BTreeMap<Fingerprint, Sum> = BTreeMap::new();
    let mut all = statement.query([queue])?;
    while let Some(row) = all.next()? {
        let print = fingerprint(row, 1)?;
        let component = columns::text(row, 2)?;
        let number = |column| columns::number(row, column).map(Option::unwrap_or_default);
        let matches = filter.fingerprint.is_none_or(|wanted| wanted == print)
            && filter.component.as_deref().is_none_or(|wanted| *wanted == *component)
            && filter.kind.map_or(Ok(true), |wanted| kind(row, 3).map(|kind| wanted == kind))?;
        let letters = number(4)?.cast_unsigned();
        causes.insert(row.get(0)?, Cause { fingerprint: print, matches, letters });
        let (first_seen, last_seen) = (number(5)?, number(6)?);
        let sum = sums.entry(print).or_insert(Sum {
            fingerprint: print,
            first_seen,
            last_seen,
            letters: 0,
            newest: None,
        });
        sum.first_seen = sum.first_seen.min(first_seen);
        sum.last_seen = sum.last_seen.max(last_seen);
    }
    if search.is_by_cause_alone() {
        for cause in causes.values().filter(|cause| cause.matches) {
            if let Some(sum) = sums.get_mut(&cause.fingerprint) {
                sum.letters += cause.letters;
            }
        }
    } else {
        for (id, (letters, newest)) in search.by_cause(connection)? {
            if let Some(sum) = causes.get(&id).and_then(|cause| sums.get_mut(&cause.fingerprint)) {
                sum.letters += letters;
                sum.newest = sum.newest.max(Some(newest));
            }
        }
    }
    Ok(sums.into_values().filter(|sum| sum.letters > 0).collect())
}

/// The newest letter of a group, for a filter by cause alone.
fn newest(
    connection: &Connection,
    queue: i64,
    filter: &LetterFilter,
    fingerprint: Fingerprint,
) -> rusqlite::Result<Option<LetterId>> {
    let mut statement = connection.prepare_cached(
        "SELECT (SELECT max(id) FROM letters INDEXED BY letters_by_cause WHERE cause = known_causes.id AND lane = 0),
            (SELECT max(id) FROM letters INDEXED BY letters_by_cause WHERE cause = known_causes.id AND lane = 1),
            (SELECT max(id) FROM letters INDEXED BY letters_by_cause WHERE cause = known_causes.id AND lane = 2),
            (SELECT max(id) FROM letters INDEXED BY letters_by_cause WHERE cause = known_causes.id AND lane = 3)
         FROM known_causes WHERE queue = ?1 AND fingerprint = ?2 AND (?3 IS NULL OR component = ?3)
         AND (?4 IS NULL OR kind = ?4)",
    )?;
    let kind = filter.kind.map(|kind| kind.as_str());
    let mut rows =
        statement.query((queue, fingerprint.to_bits().cast_signed(), filter.component.as_deref(), kind))?;
    let mut newest = None;
    while let Some(row) = rows.next()? {
        for lane in 0..4 {
            newest = newest.max(columns::some_id(row, lane)?);
        }
    }
    Ok(newest)
}

pub(super) fn frequencies(
    connection: &Connection,
    queue: &str,
    from: u64,
) -> rusqlite::Result<Vec<Frequency>> {
    let mut statement = connection.prepare_cached(
        "SELECT fingerprint, component, kind, sum(failures) FROM failures
         WHERE queue = (SELECT id FROM queues WHERE name = ?1) AND minute >= ?2 GROUP BY fingerprint",
    )?;
    let read = |row: &Row<'_>| {
        Ok(Frequency {
            fingerprint: fingerprint(row, 0)?,
            component: columns::text(row, 1)?.into(),
            kind: kind(row, 2)?,
            failures: columns::number(row, 3)?.unwrap_or_default().cast_unsigned(),
        })
    };
    Ok(by_frequency(statement.query_map((queue, from.cast_signed()), read)?.collect::<Result<_, _>>()?))
}

pub(super) fn purges(connection: &Connection, queue: &str) -> rusqlite::Result<Vec<PurgeRecord>> {
    let mut statement = connection.prepare_cached(
        "SELECT record, purged FROM purges WHERE queue = (SELECT id FROM queues WHERE name = ?1)
         ORDER BY id DESC",
    )?;
    // A record that cannot be read hides no other.
    let read = |row: &Row<'_>| {
        let record: Option<PurgeRecord> = serde_json::from_slice(&columns::bytes(row, 0)?).ok();
        let purged = columns::number(row, 1)?.unwrap_or_default().cast_unsigned();
        Ok(record.map(|record| PurgeRecord { purged, ..record }))
    };
    let all: Vec<Option<PurgeRecord>> = statement.query_map([queue], read)?.collect::<Result<_, _>>()?;
    Ok(all.into_iter().flatten().collect())
}
