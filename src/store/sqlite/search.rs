//! Finding the letters that match a filter without visiting all letters.
//!
//! A search reads several index ranges, each sorted by id: one for each lane, or one for each lane and cause, or for each
//! lane and component and kind. It merges the first letters of each range. So the cost of a page depends on its length, not
//! on the number of letters and causes. One exception: in the lane of letters that failed again, a filter by age visits the
//! letters that it leaves out.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::SystemTime;

use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};

use super::columns;
use super::rows::{
    self, COLUMNS, DUE, FAILED_AGAIN, FRESH, Found, SET_ASIDE, TOLERANCE, first_at, last_at, micros, number,
};
use crate::store::{LetterFilter, LetterId};

/// The number of due letters that are sorted by id. If more are due, those that have been due for longest come first.
const DUE_AT_ONCE: usize = 1_024;

/// A search for letters of one queue.
pub(super) struct Search<'a> {
    queue: i64,
    filter: &'a LetterFilter,
    /// By the clock of the file.
    now: SystemTime,
    /// Finds only letters that can be claimed.
    claim: Option<Claimable>,
}

/// The conditions under which a letter can be claimed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claimable {
    pub(super) now: SystemTime,
    pub(super) due_by: Option<SystemTime>,
    /// The current time, converted as the end of a lease is.
    pub(super) lease_now: i64,
}

/// An index, with the value of its first column.
#[derive(Clone, Copy)]
enum Index {
    Id,
    Cause(i64),
    Origin(i64),
    Due(i64),
}

impl<'a> Search<'a> {
    /// `None` if the queue `name` does not exist.
    pub(super) fn new(
        connection: &Connection,
        name: &str,
        filter: &'a LetterFilter,
        now: SystemTime,
    ) -> rusqlite::Result<Option<Self>> {
        Ok(number(connection, name)?.map(|queue| Self::within(queue, filter, now)))
    }

    /// A search for letters that can be claimed.
    pub(super) fn for_claim(queue: i64, filter: &'a LetterFilter, claim: Claimable) -> Self {
        Self { queue, filter, now: claim.now, claim: Some(claim) }
    }

    pub(super) fn within(queue: i64, filter: &'a LetterFilter, now: SystemTime) -> Self {
        Self { queue, filter, now, claim: None }
    }

    /// The oldest `limit` letters that match.
    pub(super) fn find(&self, connection: &Connection, limit: usize) -> rusqlite::Result<Vec<Found>> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        let mut ranges = 0;
        for index in self.indexes(connection)? {
            for &lane in self.lanes() {
                for index in self.indexes_of_lane(connection, index, lane)? {
                    ranges += 1;
                    let most = if let Index::Due(_) = index { DUE_AT_ONCE } else { limit };
                    self.rows(connection, lane, index, most, |row| {
                        found.push(Found::read(lane, row)?);
                        Ok(ControlFlow::Continue(()))
                    })?;
                }
            }
        }
        if found.is_empty()
            && let (Some(id), None) = (self.filter.id, self.claim)
        {
            self.find_invalid_id(connection, id, &mut found)?;
        }
        // The index of due letters is not sorted by id.
        if ranges > 1 || self.claim.is_some_and(|claim| claim.due_by.is_some()) {
            found.sort_unstable_by_key(|found| found.id);
            found.truncate(limit);
        }
        Ok(found)
    }

    /// Finds letters with a damaged id by the id that is shown instead.
    fn find_invalid_id(
        &self,
        connection: &Connection,
        id: LetterId,
        found: &mut Vec<Found>,
    ) -> rusqlite::Result<()> {
        for &lane in self.lanes() {
            for (condition, values) in columns::conditions_for_shown(id) {
                let mut statement = connection.prepare_cached(&format!(
                    "SELECT {COLUMNS} FROM letters WHERE queue = ? AND lane = {lane} AND {condition} ORDER BY id",
                ))?;
                let values = std::iter::once(Value::Integer(self.queue)).chain(values);
                let mut rows = statement.query(params_from_iter(values))?;
                while let Some(row) = rows.next()? {
                    found.extend(Some(Found::read(lane, row)?).filter(|row| row.id == id));
                }
            }
        }
        Ok(())
    }

    /// The number of letters that match.
    pub(super) fn count(&self, connection: &Connection) -> rusqlite::Result<u64> {
        let mut all: i64 = 0;
        for index in self.indexes(connection)? {
            if self.is_by_cause_alone() {
                let (sql, of) = match index {
                    Index::Id => ("SELECT letters FROM queues WHERE id = ?1", self.queue),
                    Index::Cause(cause) => ("SELECT letters FROM known_causes WHERE id = ?1", cause),
                    Index::Origin(origin) | Index::Due(origin) => {
                        ("SELECT coalesce(sum(letters), 0) FROM known_causes WHERE origin = ?1", origin)
                    }
                };
                let letters =
                    connection.prepare_cached(sql)?.query_row([of], |row| columns::number(row, 0))?;
                all = all.saturating_add(letters.unwrap_or_default());
            } else {
                for &lane in self.lanes() {
                    all += self.count_rows(connection, lane, index)?;
                }
            }
        }
        let all = all.cast_unsigned();
        Ok(self.filter.limit.map_or(all, |limit| all.min(limit as u64)))
    }

    /// The letters that match, by cause: their number and the newest one.
    pub(super) fn by_cause(
        &self,
        connection: &Connection,
    ) -> rusqlite::Result<BTreeMap<i64, (u64, LetterId)>> {
        let mut groups = BTreeMap::new();
        for index in self.indexes(connection)? {
            for &lane in self.lanes() {
                let (condition, values) = self.condition(lane, index);
                // For `GROUP BY`, SQLite would sort the letters, of which there are many more than groups.
                let mut statement = connection.prepare_cached(&format!(
                    "SELECT cause, id FROM letters {} WHERE {condition}",
                    index.clause()
                ))?;
                let mut rows = statement.query(params_from_iter(values))?;
                while let Some(row) = rows.next()? {
                    let cause = columns::number(row, 0)?.unwrap_or_default();
                    let (id, _) = columns::id(row, 1)?;
                    let group = groups.entry(cause).or_insert((0, id));
                    group.0 += 1;
                    group.1 = id.max(group.1);
                }
            }
        }
        Ok(groups)
    }

    /// Whether only the component, kind and fingerprint of a letter decide, so that the sums have the answer.
    pub(super) fn is_by_cause_alone(&self) -> bool {
        self.filter.is_by_cause_alone() && self.claim.is_none()
    }

    fn lanes(&self) -> &'static [i64] {
        // A claim leaves out letters that are set aside, unless the filter asks for them.
        let set_aside = self.filter.set_aside.or(self.claim.map(|_| false));
        match set_aside {
            None => &[FRESH, FAILED_AGAIN, DUE, SET_ASIDE],
            Some(false) => &[FRESH, FAILED_AGAIN, DUE],
            Some(true) => &[SET_ASIDE],
        }
    }

    /// The indexes that find all letters of the matching causes.
    fn indexes(&self, connection: &Connection) -> rusqlite::Result<Vec<Index>> {
        let LetterFilter { component, kind, fingerprint, .. } = self.filter;
        let Some(fingerprint) = fingerprint else {
            if component.is_none() && kind.is_none() {
                return Ok(vec![Index::Id]);
            }
            let origins = rows::origins(connection, self.queue, component.as_deref(), *kind)?;
            return Ok(origins.into_iter().map(Index::Origin).collect());
        };
        let mut statement = connection.prepare_cached(
            "SELECT id FROM known_causes WHERE queue = ?1 AND fingerprint = ?2 AND (?3 IS NULL OR component = ?3)
             AND (?4 IS NULL OR kind = ?4)",
        )?;
        let kind = kind.map(|kind| kind.as_str());
        let values = (self.queue, fingerprint.to_bits().cast_signed(), component, kind);
        statement.query_map(values, |row| row.get(0).map(Index::Cause))?.collect()
    }

    /// The indexes for one lane. A claim of due letters uses the index of due times.
    fn indexes_of_lane(
        &self,
        connection: &Connection,
        index: Index,
        lane: i64,
    ) -> rusqlite::Result<Vec<Index>> {
        let by_time =
            lane == DUE && self.filter.id.is_none() && self.claim.is_some_and(|claim| claim.due_by.is_some());
        match index {
            Index::Id if by_time => {
                let origins = rows::origins(connection, self.queue, None, None)?;
                Ok(origins.into_iter().map(Index::Due).collect())
            }
            Index::Origin(origin) if by_time => Ok(vec![Index::Due(origin)]),
            index => Ok(vec![index]),
        }
    }

    fn count_rows(&self, connection: &Connection, lane: i64, index: Index) -> rusqlite::Result<i64> {
        let (condition, values) = self.condition(lane, index);
        let mut statement = connection
            .prepare_cached(&format!("SELECT count(*) FROM letters {} WHERE {condition}", index.clause()))?;
        statement.query_row(params_from_iter(values), |row| row.get(0))
    }

    /// Visits the rows of one range in the order of its index.
    fn rows(
        &self,
        connection: &Connection,
        lane: i64,
        index: Index,
        most: usize,
        mut visit: impl FnMut(&Row<'_>) -> rusqlite::Result<ControlFlow<()>>,
    ) -> rusqlite::Result<()> {
        let (condition, mut values) = self.condition(lane, index);
        values.push(Value::Integer(i64::try_from(most).unwrap_or(-1)));
        let mut statement = connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM letters {} WHERE {condition} ORDER BY {} LIMIT ?",
            index.clause(),
            if let Index::Due(_) = index { "due" } else { "id" }
        ))?;
        let mut rows = statement.query(params_from_iter(values))?;
        while let Some(row) = rows.next()? {
            if visit(row)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// The condition for rows of `lane`, and its values.
    fn condition(&self, lane: i64, index: Index) -> (String, Vec<Value>) {
        let filter = self.filter;
        let blob = |id: LetterId| Value::Blob(id.to_bytes().to_vec());
        let time = |moment| Value::Integer(micros(moment));
        let (latest, earliest) = (filter.latest(self.now), filter.earliest(self.now));
        // The last failure of a fresh letter is close to the time of its id, so an age limits the range of ids.
        let (mut from, mut to) = (None, filter.up_to);
        if lane == FRESH {
            let stamp = |moment| crate::base::moment::micros(moment) / 1_000;
            from = earliest.map(|earliest| first_at(stamp(earliest).saturating_sub(TOLERANCE)));
            let last = latest.map(|latest| last_at(stamp(latest).saturating_add(TOLERANCE)));
            to = to.into_iter().chain(last).min();
        }

        // The lane is a literal: SQLite uses a partial index for a literal only.
        let (of, number) = match index {
            Index::Id => ("queue", self.queue),
            Index::Cause(cause) => ("cause", cause),
            Index::Origin(origin) | Index::Due(origin) => ("origin", origin),
        };
        let mut sql = format!("{of} = ? AND lane = {lane}");
        if self.claim.is_some() {
            // A letter with a damaged id cannot be settled, so it must not be claimed.
            sql.push_str(" AND typeof(id) = 'blob' AND length(id) = 16");
        }
        let mut values = vec![Value::Integer(number)];
        let mut and = |part: &str, value: Option<Value>| {
            if let Some(value) = value {
                sql.push_str(part);
                values.push(value);
            }
        };
        and(" AND id = ?", filter.id.map(blob));
        and(" AND id > ?", filter.after.map(blob));
        and(" AND id >= ?", from.map(blob));
        and(" AND id <= ?", to.map(blob));
        and(" AND last_failed <= ?", latest.map(time));
        and(" AND last_failed > ?", earliest.map(time));
        if let Some(claim) = self.claim {
            let due = if matches!(index, Index::Due(_)) {
                " AND due <= ?"
            } else {
                " AND (due IS NULL OR due <= ?)"
            };
            and(due, claim.due_by.map(time));
            and(" AND (expires IS NULL OR expires > ?)", Some(time(claim.now)));
            and(" AND (held_until IS NULL OR held_until <= ?)", Some(Value::Integer(claim.lease_now)));
        }
        (sql, values)
    }
}

impl Index {
    /// The clause that names the index. SQLite has no statistics of the file to choose an index by.
    fn clause(self) -> &'static str {
        match self {
            Self::Id => "INDEXED BY sqlite_autoindex_letters_1",
            Self::Cause(_) => "INDEXED BY letters_by_cause",
            Self::Origin(_) => "INDEXED BY letters_by_origin",
            Self::Due(_) => "INDEXED BY letters_by_due",
        }
    }
}
