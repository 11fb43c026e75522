//! Finding the letters that a filter means without looking at all of them.
//!
//! Every way to look gives letters in the order of their ids: one for each lane, or one for each lane and cause. The
//! first few of each, put in order, are the first few of all.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};

use super::columns;
use super::rows::{AGAIN, ASIDE, COLUMNS, DUE, FRESH, Found, SLACK, first_at, last_at, micros, number};
use crate::store::{Claim, Filter, LetterId};

/// So few letters that are due are put in order rather than looked for among those that are not.
const FEW_DUE: i64 = 1_024;

/// Which letters of one queue are looked for.
pub(super) struct Search<'a> {
    queue: i64,
    filter: &'a Filter,
    /// Only those that can be claimed.
    claim: Option<Claim>,
}

/// What made letters fail, and how many of them wait.
struct Cause {
    id: i64,
    letters: u64,
}

/// The index that a look goes by.
#[derive(Clone, Copy)]
enum By {
    Id,
    Cause(i64),
    Due,
}

impl<'a> Search<'a> {
    /// None when there is no queue called `name`.
    pub(super) fn new(
        connection: &Connection,
        name: &str,
        filter: &'a Filter,
    ) -> rusqlite::Result<Option<Self>> {
        Ok(number(connection, name)?.map(|queue| Self { queue, filter, claim: None }))
    }

    /// Only letters that are free.
    pub(super) fn for_claim(queue: i64, filter: &'a Filter, claim: Claim) -> Self {
        Self { queue, filter, claim: Some(claim) }
    }

    pub(super) fn within(queue: i64, filter: &'a Filter) -> Self {
        Self { queue, filter, claim: None }
    }

    /// The oldest `limit` letters that are meant.
    pub(super) fn find(&self, connection: &Connection, limit: usize) -> rusqlite::Result<Vec<Found>> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let causes = self.causes(connection)?;
        let mut found = Vec::new();
        let mut looks = 0;
        let mut look = |lane, by, only: Option<&BTreeSet<i64>>| {
            looks += 1;
            let end = found.len().saturating_add(limit);
            // Where the rows are picked here, nobody knows how many it takes.
            let most = if only.is_some() { usize::MAX } else { limit };
            self.rows(connection, lane, by, most, |row| {
                let row = Found::read(lane, row)?;
                if only.is_none_or(|only| only.contains(&row.cause)) {
                    found.push(row);
                }
                Ok(if found.len() < end { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
            })
        };
        match causes {
            Some(causes) if self.is_walked(connection, &causes, limit)? => {
                let causes: BTreeSet<i64> = causes.iter().map(|cause| cause.id).collect();
                for &lane in self.lanes() {
                    look(lane, By::Id, Some(&causes))?;
                }
            }
            Some(causes) => {
                for cause in causes {
                    for &lane in self.lanes() {
                        look(lane, By::Cause(cause.id), None)?;
                    }
                }
            }
            None => {
                for &lane in self.lanes() {
                    let by = if lane == DUE { self.by_due(connection)? } else { By::Id };
                    look(lane, by, None)?;
                }
            }
        }
        if found.is_empty()
            && let (Some(id), None) = (self.filter.id, self.claim)
        {
            self.find_odd(connection, id, &mut found)?;
        }
        if looks > 1 {
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
        let all = match self.causes(connection)? {
            Some(causes) if self.is_by_cause_alone() => causes.iter().map(|cause| cause.letters).sum(),
            Some(causes) => {
                let mut count = 0;
                for cause in causes {
                    for &lane in self.lanes() {
                        count += self.count_rows(connection, lane, By::Cause(cause.id))?;
                    }
                }
                count
            }
            None if self.is_by_cause_alone() => {
                let mut statement = connection.prepare_cached("SELECT letters FROM queues WHERE id = ?1")?;
                statement.query_row([self.queue], |row| row.get::<_, i64>(0))?.cast_unsigned()
            }
            None => {
                let mut count = 0;
                for &lane in self.lanes() {
                    count += self.count_rows(connection, lane, By::Id)?;
                }
                count
            }
        };
        Ok(self.filter.limit.map_or(all, |limit| all.min(limit as u64)))
    }

    /// The letters that are meant by cause: how many, and the newest.
    pub(super) fn by_cause(
        &self,
        connection: &Connection,
    ) -> rusqlite::Result<BTreeMap<i64, (u64, LetterId)>> {
        let only: Option<BTreeSet<i64>> =
            self.causes(connection)?.map(|causes| causes.iter().map(|cause| cause.id).collect());
        let mut groups = BTreeMap::new();
        for &lane in self.lanes() {
            let (condition, values) = self.condition(lane, By::Id);
            // SQLite would sort them to group them; there are few groups and many letters.
            let mut statement =
                connection.prepare_cached(&format!("SELECT cause, id FROM letters WHERE {condition}"))?;
            let mut rows = statement.query(params_from_iter(values))?;
            while let Some(row) = rows.next()? {
                let cause = columns::number(row, 0)?.unwrap_or_default();
                let (id, _) = columns::id(row, 1)?;
                if only.as_ref().is_none_or(|only| only.contains(&cause)) {
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
        let Filter { id, older_than, newer_than, set_aside, after, up_to, .. } = self.filter;
        id.is_none()
            && older_than.is_none()
            && newer_than.is_none()
            && set_aside.is_none()
            && after.is_none()
            && up_to.is_none()
            && self.claim.is_none()
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

    /// The causes that are meant; none when all are.
    fn causes(&self, connection: &Connection) -> rusqlite::Result<Option<Vec<Cause>>> {
        let Filter { component, kind, fingerprint, .. } = self.filter;
        if component.is_none() && kind.is_none() && fingerprint.is_none() {
            return Ok(None);
        }
        let mut statement = connection.prepare_cached(
            "SELECT id, letters FROM causes WHERE queue = ?1 AND (?2 IS NULL OR component = ?2)
             AND (?3 IS NULL OR kind = ?3)",
        )?;
        let mut by_fingerprint = connection.prepare_cached(
            "SELECT id, letters FROM causes WHERE queue = ?1 AND (?2 IS NULL OR component = ?2)
             AND (?3 IS NULL OR kind = ?3) AND fingerprint = ?4",
        )?;
        let kind = kind.map(|kind| kind.as_str());
        let read = |row: &Row<'_>| {
            let letters = columns::number(row, 1)?.unwrap_or_default().cast_unsigned();
            Ok(Cause { id: row.get(0)?, letters })
        };
        let causes: rusqlite::Result<Vec<Cause>> = match fingerprint {
            Some(fingerprint) => by_fingerprint
                .query_map((self.queue, component, kind, fingerprint.to_bits().cast_signed()), read)?
                .collect(),
            None => statement.query_map((self.queue, component, kind), read)?.collect(),
        };
        causes.map(Some)
    }

    /// Whether it takes less to walk through all letters and pick than to look under each cause.
    fn is_walked(&self, connection: &Connection, causes: &[Cause], limit: usize) -> rusqlite::Result<bool> {
        if self.filter.id.is_some() {
            return Ok(true);
        }
        let mut statement = connection.prepare_cached("SELECT letters FROM queues WHERE id = ?1")?;
        let all = statement.query_row([self.queue], |row| row.get::<_, i64>(0))?.cast_unsigned();
        let limit = limit as u64;
        let meant: u64 = causes.iter().map(|cause| cause.letters).sum();
        // A look is worth a few rows.
        let looks = causes.iter().map(|cause| 8 + cause.letters.min(limit)).sum::<u64>();
        let meant = meant.max(1);
        let walk = all.saturating_mul(limit.min(meant)) / meant;
        Ok(walk < looks)
    }

    /// How the letters with a set time are looked for.
    fn by_due(&self, connection: &Connection) -> rusqlite::Result<By> {
        let Some(due_by) = self.claim.and_then(|claim| claim.due_by) else {
            return Ok(By::Id);
        };
        let mut statement = connection.prepare_cached(
            "SELECT count(*) FROM (SELECT 1 FROM letters INDEXED BY letters_by_due
             WHERE queue = ?1 AND lane = 2 AND due <= ?2 LIMIT ?3)",
        )?;
        let due: i64 = statement.query_row((self.queue, micros(due_by), FEW_DUE), |row| row.get(0))?;
        Ok(if due < FEW_DUE { By::Due } else { By::Id })
    }

    fn count_rows(&self, connection: &Connection, lane: i64, by: By) -> rusqlite::Result<u64> {
        let (condition, values) = self.condition(lane, by);
        let mut statement = connection
            .prepare_cached(&format!("SELECT count(*) FROM letters {} WHERE {condition}", by.index()))?;
        Ok(statement.query_row(params_from_iter(values), |row| row.get::<_, i64>(0))?.cast_unsigned())
    }

    /// Shows the rows of one look in the order of their ids.
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
            "SELECT {COLUMNS} FROM letters {} WHERE {condition} ORDER BY id LIMIT ?",
            by.index()
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
        let (latest, earliest) = (filter.latest(), filter.earliest());
        // A fresh letter failed about when its id says: only a part of them needs to be looked at.
        let (mut from, mut to) = (None, filter.up_to);
        if lane == FRESH {
            let stamp = |moment| crate::moment::micros(moment) / 1_000;
            from = earliest.map(|earliest| first_at(stamp(earliest).saturating_sub(SLACK)));
            let last = latest.map(|latest| last_at(stamp(latest).saturating_add(SLACK)));
            to = to.into_iter().chain(last).min();
        }

        // The number of the lane is written out: only then the index of one lane is considered.
        let mut sql = format!("queue = ? AND lane = {lane}");
        if self.claim.is_some() {
            // What becomes of a letter is written down by its id.
            sql.push_str(" AND typeof(id) = 'blob' AND length(id) = 16");
        }
        let mut values = vec![Value::Integer(self.queue)];
        let mut and = |part: &str, value: Option<Value>| {
            if let Some(value) = value {
                sql.push_str(part);
                values.push(value);
            }
        };
        if let By::Cause(cause) = by {
            and(" AND cause = ?", Some(Value::Integer(cause)));
        }
        and(" AND id = ?", filter.id.map(blob));
        and(" AND id > ?", filter.after.map(blob));
        and(" AND id >= ?", from.map(blob));
        and(" AND id <= ?", to.map(blob));
        and(" AND last_failed <= ?", latest.map(time));
        and(" AND last_failed > ?", earliest.map(time));
        if let Some(claim) = self.claim {
            let due = if matches!(by, By::Due) { " AND due <= ?" } else { " AND (due IS NULL OR due <= ?)" };
            and(due, claim.due_by.map(time));
            and(" AND (expires IS NULL OR expires > ?)", Some(time(claim.now)));
            and(" AND (held_until IS NULL OR held_until <= ?)", Some(time(claim.now)));
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
            Self::Due => "INDEXED BY letters_by_due",
        }
    }
}
