//! Finding the letters that a filter means without looking at all of them.
//!
//! Every way to look gives letters in the order of their ids: one for each lane, or one for each lane and cause, or
//! component and kind. The first few of each, put in order, are the first few of all. So a page costs what it shows,
//! however many letters and causes there are; an age leaves out what it looks at, of letters that failed again.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::SystemTime;

use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};

use super::columns;
use super::rows::{self, AGAIN, ASIDE, COLUMNS, DUE, FRESH, Found, SLACK, first_at, last_at, micros, number};
use crate::store::{LetterFilter, LetterId};

/// So many letters that are due are put in order at once; of more, those that have been due for longest come first.
const FEW_DUE: usize = 1_024;

/// Which letters of one queue are looked for.
pub(super) struct Search<'a> {
    queue: i64,
    filter: &'a LetterFilter,
    /// By the clock of the file.
    now: SystemTime,
    /// Only those that can be claimed.
    claim: Option<Free>,
}

/// What a letter must be like to be claimed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Free {
    pub(super) now: SystemTime,
    pub(super) due_by: Option<SystemTime>,
    /// Now, by the clock of leases.
    pub(super) leased: i64,
}

/// The index that a look goes by.
#[derive(Clone, Copy)]
enum By {
    Id,
    Cause(i64),
    Origin(i64),
    Due(i64),
}

impl<'a> Search<'a> {
    /// None when there is no queue called `name`.
    pub(super) fn new(
        connection: &Connection,
        name: &str,
        filter: &'a LetterFilter,
        now: SystemTime,
    ) -> rusqlite::Result<Option<Self>> {
        Ok(number(connection, name)?.map(|queue| Self::within(queue, filter, now)))
    }

    /// Only letters that are free.
    pub(super) fn for_claim(queue: i64, filter: &'a LetterFilter, claim: Free) -> Self {
        Self { queue, filter, now: claim.now, claim: Some(claim) }
    }

    pub(super) fn within(queue: i64, filter: &'a LetterFilter, now: SystemTime) -> Self {
        Self { queue, filter, now, claim: None }
    }

    /// The oldest `limit` letters that are meant.
    pub(super) fn find(&self, connection: &Connection, limit: usize) -> rusqlite::Result<Vec<Found>> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        let mut looks = 0;
        for by in self.ways(connection)? {
            for &lane in self.lanes() {
                for by in self.through(connection, by, lane)? {
                    looks += 1;
                    let most = if let By::Due(_) = by { FEW_DUE } else { limit };
                    self.rows(connection, lane, by, most, |row| {
                        found.push(Found::read(lane, row)?);
                        Ok(ControlFlow::Continue(()))
                    })?;
                }
            }
        }
        if found.is_empty()
            && let (Some(id), None) = (self.filter.id, self.claim)
        {
            self.find_odd(connection, id, &mut found)?;
        }
        // Those that are due come in another order.
        if looks > 1 || self.claim.is_some_and(|claim| claim.due_by.is_some()) {
            found.sort_unstable_by_key(|found| found.id);
            found.truncate(limit);
        }
        Ok(found)
    }

    /// Letters whose id is damaged, by what is shown in its place. They are found by that alone.
    fn find_odd(
        &self,
        connection: &Connection,
        id: LetterId,
        found: &mut Vec<Found>,
    ) -> rusqlite::Result<()> {
        for &lane in self.lanes() {
            for (place, values) in columns::places_of(id) {
                let mut statement = connection.prepare_cached(&format!(
                    "SELECT {COLUMNS} FROM letters WHERE queue = ? AND lane = {lane} AND {place} ORDER BY id",
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

    /// How many letters are meant.
    pub(super) fn count(&self, connection: &Connection) -> rusqlite::Result<u64> {
        let mut all: i64 = 0;
        for by in self.ways(connection)? {
            if self.is_by_cause_alone() {
                let (sql, of) = match by {
                    By::Id => ("SELECT letters FROM queues WHERE id = ?1", self.queue),
                    By::Cause(cause) => ("SELECT letters FROM known_causes WHERE id = ?1", cause),
                    By::Origin(origin) | By::Due(origin) => {
                        ("SELECT coalesce(sum(letters), 0) FROM known_causes WHERE origin = ?1", origin)
                    }
                };
                let letters =
                    connection.prepare_cached(sql)?.query_row([of], |row| columns::number(row, 0))?;
                all = all.saturating_add(letters.unwrap_or_default());
            } else {
                for &lane in self.lanes() {
                    all += self.count_rows(connection, lane, by)?;
                }
            }
        }
        let all = all.cast_unsigned();
        Ok(self.filter.limit.map_or(all, |limit| all.min(limit as u64)))
    }

    /// The letters that are meant by cause: how many, and the newest.
    pub(super) fn by_cause(
        &self,
        connection: &Connection,
    ) -> rusqlite::Result<BTreeMap<i64, (u64, LetterId)>> {
        let mut groups = BTreeMap::new();
        for by in self.ways(connection)? {
            for &lane in self.lanes() {
                let (condition, values) = self.condition(lane, by);
                // SQLite would sort them to group them; there are few groups and many letters.
                let mut statement = connection.prepare_cached(&format!(
                    "SELECT cause, id FROM letters {} WHERE {condition}",
                    by.index()
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

    /// Whether nothing but the cause of a letter decides: then the sums know the answer.
    pub(super) fn is_by_cause_alone(&self) -> bool {
        self.filter.is_by_cause_alone() && self.claim.is_none()
    }

    fn lanes(&self) -> &'static [i64] {
        // Nobody claims what is set aside without saying so.
        let set_aside = self.filter.set_aside.or(self.claim.map(|_| false));
        match set_aside {
            None => &[FRESH, AGAIN, DUE, ASIDE],
            Some(false) => &[FRESH, AGAIN, DUE],
            Some(true) => &[ASIDE],
        }
    }

    /// The indexes that lead to all letters of the causes that are meant.
    fn ways(&self, connection: &Connection) -> rusqlite::Result<Vec<By>> {
        let LetterFilter { component, kind, fingerprint, .. } = self.filter;
        let Some(fingerprint) = fingerprint else {
            if component.is_none() && kind.is_none() {
                return Ok(vec![By::Id]);
            }
            let origins = rows::origins(connection, self.queue, component.as_deref(), *kind)?;
            return Ok(origins.into_iter().map(By::Origin).collect());
        };
        let mut statement = connection.prepare_cached(
            "SELECT id FROM known_causes WHERE queue = ?1 AND fingerprint = ?2 AND (?3 IS NULL OR component = ?3)
             AND (?4 IS NULL OR kind = ?4)",
        )?;
        let kind = kind.map(|kind| kind.as_str());
        let values = (self.queue, fingerprint.to_bits().cast_signed(), component, kind);
        statement.query_map(values, |row| row.get(0).map(By::Cause))?.collect()
    }

    /// How one lane is looked through: letters with a set time by that time, where it decides.
    fn through(&self, connection: &Connection, by: By, lane: i64) -> rusqlite::Result<Vec<By>> {
        let by_time =
            lane == DUE && self.filter.id.is_none() && self.claim.is_some_and(|claim| claim.due_by.is_some());
        match by {
            By::Id if by_time => {
                let origins = rows::origins(connection, self.queue, None, None)?;
                Ok(origins.into_iter().map(By::Due).collect())
            }
            By::Origin(origin) if by_time => Ok(vec![By::Due(origin)]),
            by => Ok(vec![by]),
        }
    }

    fn count_rows(&self, connection: &Connection, lane: i64, by: By) -> rusqlite::Result<i64> {
        let (condition, values) = self.condition(lane, by);
        let mut statement = connection
            .prepare_cached(&format!("SELECT count(*) FROM letters {} WHERE {condition}", by.index()))?;
        statement.query_row(params_from_iter(values), |row| row.get(0))
    }

    /// Shows the rows of one look in the order of its index.
    fn rows(
        &self,
        connection: &Connection,
        lane: i64,
        by: By,
        most: usize,
        mut each: impl FnMut(&Row<'_>) -> rusqlite::Result<ControlFlow<()>>,
    ) -> rusqlite::Result<()> {
        let (condition, mut values) = self.condition(lane, by);
        values.push(Value::Integer(i64::try_from(most).unwrap_or(-1)));
        let mut statement = connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM letters {} WHERE {condition} ORDER BY {} LIMIT ?",
            by.index(),
            if let By::Due(_) = by { "due" } else { "id" }
        ))?;
        let mut rows = statement.query(params_from_iter(values))?;
        while let Some(row) = rows.next()? {
            if each(row)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// What a row of `lane` must be like, and the values of it.
    fn condition(&self, lane: i64, by: By) -> (String, Vec<Value>) {
        let filter = self.filter;
        let blob = |id: LetterId| Value::Blob(id.to_bytes().to_vec());
        let time = |moment| Value::Integer(micros(moment));
        let (latest, earliest) = (filter.latest(self.now), filter.earliest(self.now));
        // A fresh letter failed about when its id says: only a part of them needs to be looked at.
        let (mut from, mut to) = (None, filter.up_to);
        if lane == FRESH {
            let stamp = |moment| crate::base::moment::micros(moment) / 1_000;
            from = earliest.map(|earliest| first_at(stamp(earliest).saturating_sub(SLACK)));
            let last = latest.map(|latest| last_at(stamp(latest).saturating_add(SLACK)));
            to = to.into_iter().chain(last).min();
        }

        // The number of the lane is written out: only then the index of one lane is considered.
        let (of, number) = match by {
            By::Id => ("queue", self.queue),
            By::Cause(cause) => ("cause", cause),
            By::Origin(origin) | By::Due(origin) => ("origin", origin),
        };
        let mut sql = format!("{of} = ? AND lane = {lane}");
        if self.claim.is_some() {
            // What becomes of a letter is written down by its id.
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
            let due =
                if matches!(by, By::Due(_)) { " AND due <= ?" } else { " AND (due IS NULL OR due <= ?)" };
            and(due, claim.due_by.map(time));
            and(" AND (expires IS NULL OR expires > ?)", Some(time(claim.now)));
            and(" AND (held_until IS NULL OR held_until <= ?)", Some(Value::Integer(claim.leased)));
        }
        (sql, values)
    }
}

impl By {
    /// SQLite has no figures to choose by, so it is told.
    fn index(self) -> &'static str {
        match self {
            Self::Id => "INDEXED BY sqlite_autoindex_letters_1",
            Self::Cause(_) => "INDEXED BY letters_by_cause",
            Self::Origin(_) => "INDEXED BY letters_by_origin",
            Self::Due(_) => "INDEXED BY letters_by_due",
        }
    }
}
