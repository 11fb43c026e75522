//! The changes of one transaction.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::SystemTime;

use rusqlite::{Connection, OptionalExtension, params};

use super::rows::{self, Found, micros};
use super::search::{Claimable, Search};
use super::tally::Tally;
use crate::store::purge::PURGES_KEPT;
use crate::store::{
    Depth, Entry, LetterFilter, LetterId, Limits, Owner, PurgeRecord, Put, Settled, WhenFull,
};

/// A transaction and the sums that it changes.
pub(super) struct Change<'c> {
    connection: &'c Connection,
    tally: Tally,
    /// The letters that this transaction has put.
    put: BTreeSet<(i64, LetterId)>,
}

/// The owner of a lease and its end, converted by `Reading::lease_from_wall`.
#[derive(Clone, Copy)]
pub(super) struct Lease {
    pub(super) owner: Owner,
    pub(super) until: i64,
}

/// The current time: for letters, and to compare with the ends of leases.
#[derive(Clone, Copy)]
pub(super) struct Times {
    pub(super) now: SystemTime,
    pub(super) lease_now: i64,
}

/// The result of one batch of a purge.
pub(super) struct PurgeBatch {
    /// The row of the purge's record.
    pub(super) record: i64,
    pub(super) purged: u64,
    /// The newest letter that the purge may remove.
    pub(super) up_to: Option<LetterId>,
}

impl<'c> Change<'c> {
    pub(super) fn new(connection: &'c Connection) -> Self {
        Self { connection, tally: Tally::default(), put: BTreeSet::new() }
    }

    /// Writes the sums. Returns the depth of each queue.
    pub(super) fn finish(self) -> rusqlite::Result<Vec<(Arc<str>, Depth)>> {
        self.tally.finish(self.connection)
    }

    pub(super) fn put(&mut self, entry: &Entry, limits: Limits, now: SystemTime) -> rusqlite::Result<Put> {
        let state = self.tally.queue_or_new(self.connection, &entry.queue)?;
        let (queue, newest) = (state.number, state.newest(self.connection)?);
        // An id that is larger than all others is new. That holds for most letters and saves a lookup.
        let is_new = newest.is_none_or(|newest| entry.id > newest) & self.put.insert((queue, entry.id));
        if !is_new && rows::location(self.connection, queue, entry.id)?.is_some() {
            // The letter was put before.
            return Ok(Put::Kept { evicted: 0 });
        }
        let size = entry.size();
        let mut evicted = 0;
        while !self.has_room(entry, limits)? {
            // A letter that is larger than the limit does not fit even into an empty queue.
            let drops = limits.when_full == WhenFull::DropOldest && size <= limits.bytes;
            if !drops || !self.remove_oldest(queue)? {
                return Ok(Put::Full);
            }
            evicted += 1;
        }
        let cause = self.tally.add_letter(self.connection, queue, entry)?;
        self.tally.count_failure(queue, entry, now);
        let content = rows::insert_content(self.connection, entry)?;
        rows::insert(self.connection, queue, cause, content, entry)?;
        Ok(Put::Kept { evicted })
    }

    fn has_room(&mut self, entry: &Entry, limits: Limits) -> rusqlite::Result<bool> {
        let queue = self.tally.queue_or_new(self.connection, &entry.queue)?;
        let (letters, bytes) = (queue.letters.max(0).cast_unsigned(), queue.bytes.max(0).cast_unsigned());
        Ok(letters < limits.capacity && bytes.saturating_add(entry.size()) <= limits.bytes)
    }

    fn remove_oldest(&mut self, queue: i64) -> rusqlite::Result<bool> {
        let oldest = rows::first_arrived(self.connection, queue)?;
        self.remove(queue, oldest.as_slice())?;
        Ok(oldest.is_some())
    }

    fn remove(&mut self, queue: i64, found: &[Found]) -> rusqlite::Result<()> {
        for found in found {
            rows::delete(self.connection, queue, found.lane, &found.key())?;
            rows::delete_content(self.connection, found.content)?;
            self.tally.remove_letter(self.connection, queue, found.cause, found.size)?;
        }
        Ok(())
    }

    /// Claims letters. Their contents are read later by a reader, so that they do not delay the writer.
    pub(super) fn claim(
        &mut self,
        queue: &str,
        filter: &LetterFilter,
        claim: Claimable,
        lease: Lease,
        bytes: u64,
    ) -> rusqlite::Result<Vec<Found>> {
        let Some(queue) = rows::number(self.connection, queue)? else {
            return Ok(Vec::new());
        };
        let limit = filter.limit.unwrap_or(usize::MAX);
        let mut found = Search::for_claim(queue, filter, claim).find(self.connection, limit)?;
        let mut taken = 0_u64;
        found.retain(|found| {
            let room = taken < bytes;
            taken = taken.saturating_add(found.size.max(0).cast_unsigned());
            room
        });
        let mut hold = self.connection.prepare_cached(
            "UPDATE letters SET holder = ?4, held_until = ?5 WHERE queue = ?1 AND lane = ?2 AND id = ?3",
        )?;
        for found in &found {
            hold.execute(params![
                queue,
                found.lane,
                found.id.to_bytes(),
                lease.owner.to_bytes(),
                lease.until
            ])?;
        }
        Ok(found)
    }

    pub(super) fn renew(
        &mut self,
        queue: &str,
        ids: &[LetterId],
        lease: Lease,
    ) -> rusqlite::Result<Vec<LetterId>> {
        let Some(queue) = rows::number(self.connection, queue)? else {
            return Ok(Vec::new());
        };
        let mut hold = self.connection.prepare_cached(
            "UPDATE letters SET held_until = ?4
             WHERE queue = ?1 AND lane IN (0, 1, 2, 3) AND id = ?2 AND holder = ?3",
        )?;
        let mut held = Vec::with_capacity(ids.len());
        for id in ids {
            if hold.execute(params![queue, id.to_bytes(), lease.owner.to_bytes(), lease.until])? > 0 {
                held.push(*id);
            }
        }
        Ok(held)
    }

    pub(super) fn settle(
        &mut self,
        queue: &str,
        owner: Owner,
        settled: &[Settled],
        times: Times,
    ) -> rusqlite::Result<Vec<bool>> {
        let Some(queue) = self.tally.queue(self.connection, queue)?.map(|queue| queue.number) else {
            return Ok(vec![false; settled.len()]);
        };
        settled.iter().map(|settled| self.settle_one(queue, owner, settled, times)).collect()
    }

    fn settle_one(
        &mut self,
        queue: i64,
        owner: Owner,
        settled: &Settled,
        times: Times,
    ) -> rusqlite::Result<bool> {
        let id = settled.id();
        let Some(location) = rows::location(self.connection, queue, id)? else {
            return Ok(false);
        };
        let is_held = location.holder.is_some_and(|holder| holder != owner.to_bytes())
            && location.held_until.is_some_and(|until| until > times.lease_now);
        match settled {
            Settled::Delivered(_) => {
                rows::delete(self.connection, queue, location.lane, &rows::key(id))?;
                rows::delete_content(self.connection, location.content)?;
                self.tally.remove_letter(self.connection, queue, location.cause, location.size)?;
            }
            _ if is_held => return Ok(false),
            Settled::Failed(entry) | Settled::Changed(entry) => {
                // Added before it is removed, so that a group with no other letter is never empty.
                let cause = self.tally.add_letter(self.connection, queue, entry)?;
                self.tally.remove_letter(self.connection, queue, location.cause, location.size)?;
                if matches!(settled, Settled::Failed(_)) {
                    self.tally.count_failure(queue, entry, times.now);
                }
                rows::delete(self.connection, queue, location.lane, &rows::key(id))?;
                rows::update_content(self.connection, location.content, entry)?;
                rows::insert(self.connection, queue, cause, location.content, entry)?;
            }
            Settled::Released(_) => {
                let mut release = self.connection.prepare_cached(
                    "UPDATE letters SET holder = NULL, held_until = NULL
                     WHERE queue = ?1 AND lane = ?2 AND id = ?3",
                )?;
                release.execute(params![queue, location.lane, id.to_bytes()])?;
                return Ok(location.holder.is_some());
            }
        }
        Ok(true)
    }

    /// Removes up to `most` letters that match `filter`, and counts them in the record of the purge. The first batch
    /// passes the record and inserts it (`Err`); further batches pass its row (`Ok`).
    pub(super) fn purge(
        &mut self,
        queue: &str,
        filter: &LetterFilter,
        most: usize,
        of: Result<i64, &PurgeRecord>,
        now: SystemTime,
    ) -> rusqlite::Result<PurgeBatch> {
        let number = self.tally.queue_or_new(self.connection, queue)?.number;
        let mut filter = filter.clone();
        let record = match of {
            Ok(record) => record,
            Err(record) => {
                // The purge ignores letters that are parked from now on; otherwise it might never end.
                let newest = rows::newest(self.connection, number)?;
                filter.up_to = filter.up_to.into_iter().chain(newest).min();
                self.record(number, record)?
            }
        };
        let limit = filter.limit.unwrap_or(usize::MAX).min(most);
        let found = Search::within(number, &filter, now).find(self.connection, limit)?;
        self.remove(number, &found)?;
        let purged = found.len() as u64;
        self.connection
            .prepare_cached("UPDATE purges SET purged = purged + ?2 WHERE id = ?1")?
            .execute((record, purged.cast_signed()))?;
        Ok(PurgeBatch { record, purged, up_to: filter.up_to })
    }

    fn record(&self, queue: i64, record: &PurgeRecord) -> rusqlite::Result<i64> {
        let text = serde_json::to_string(record)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        let number = self
            .connection
            .prepare_cached("INSERT INTO purges (queue, record, purged) VALUES (?1, ?2, 0)")?
            .insert((queue, text))?;
        let oldest = self
            .connection
            .prepare_cached("SELECT id FROM purges WHERE queue = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2")?
            .query_row((queue, PURGES_KEPT.cast_signed()), |row| row.get::<_, i64>(0))
            .optional()?;
        if let Some(oldest) = oldest {
            self.connection.execute("DELETE FROM purges WHERE queue = ?1 AND id <= ?2", (queue, oldest))?;
        }
        Ok(number)
    }

    /// Removes up to `most` letters that have expired.
    pub(super) fn expire(&mut self, queue: &str, now: SystemTime, most: usize) -> rusqlite::Result<u64> {
        let Some(queue) = self.tally.queue(self.connection, queue)?.map(|queue| queue.number) else {
            return Ok(0);
        };
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT {}, lane FROM letters INDEXED BY letters_by_expiry
             WHERE queue = ?1 AND expires IS NOT NULL AND expires <= ?2 LIMIT ?3",
            rows::COLUMNS
        ))?;
        let expired = statement
            .query_map(params![queue, micros(now), i64::try_from(most).unwrap_or(-1)], |row| {
                Found::read(row.get(8)?, row)
            })?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        self.remove(queue, &expired)?;
        Ok(expired.len() as u64)
    }
}
