//! The calls of [`Store`] on a SQLite file.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rusqlite::Connection;

use super::change::{Change, Lease, Times};
use super::job::Task;
use super::search::{Claimable, Search};
use super::store::SqliteStore;
use super::{report, rows};
use crate::base::moment;
use crate::store::clock::Reading;
use crate::store::error::Kind;
use crate::store::group::first_minute;
use crate::store::{
    Claim, Depth, Entry, Frequency, Group, LetterFilter, LetterId, Limits, Owner, Pending, PurgeRecord, Put,
    Settled, Store, StoreError,
};

/// The maximum number of letters that one transaction removes, so that other callers get their turn in between.
const BATCH: usize = 1_000;

/// The maximum number of letters that one transaction removes when the disk is full, because its log needs room.
const SMALL_BATCH: usize = 16;

/// This many bytes cost a commit about as much as one more letter.
const BYTES_PER_WEIGHT: u64 = 4_096;

fn to_wall(mut entries: Vec<Entry>, reading: Reading) -> Vec<Entry> {
    entries.iter_mut().for_each(|entry| reading.entry_to_wall(entry));
    entries
}

fn lease(reading: Reading, claim: &Claim) -> Lease {
    let until = moment::later(reading.lease_to_store(claim.now), claim.lease);
    Lease { owner: claim.owner, until: rows::micros(until) }
}

impl Store for SqliteStore {
    fn put(&self, mut entry: Entry, limits: Limits) -> Pending<'_, Put> {
        Box::pin(async move {
            if self.file().is_moving(entry.id) {
                let message = format!(
                    "the spill `{}` is also the file of its store; give the spill its own file (`spill.path`)",
                    self.path().display()
                );
                return Err(StoreError::new(Kind::Setting, message));
            }
            let reading = self.reading();
            reading.entry_to_store(&mut entry);
            let now = reading.now();
            let weight = 1 + usize::try_from(entry.size() / BYTES_PER_WEIGHT).unwrap_or(0);
            let set = |task: Task<_, _>| task.optional().growing();
            self.write(weight, move |change| change.put(&entry, limits, now), set).await
        })
    }

    fn get<'a>(&'a self, queue: &'a str, id: LetterId) -> Pending<'a, Option<Entry>> {
        Box::pin(async move { Ok(self.list(queue, &LetterFilter::id(id)).await?.pop()) })
    }

    fn list<'a>(&'a self, queue: &'a str, filter: &'a LetterFilter) -> Pending<'a, Vec<Entry>> {
        let (queue, filter): (Arc<str>, LetterFilter) = (queue.into(), filter.clone());
        let reading = self.reading();
        let list = self.read(move |connection| {
            let Some(search) = Search::new(connection, &queue, &filter, reading.now())? else {
                return Ok(Vec::new());
            };
            let found = search.find(connection, filter.limit.unwrap_or(usize::MAX))?;
            rows::entries(connection, &queue, &found)
        });
        Box::pin(async move { Ok(to_wall(list.await?, reading)) })
    }

    fn count<'a>(&'a self, queue: &'a str, filter: &'a LetterFilter) -> Pending<'a, u64> {
        let (queue, filter): (Arc<str>, LetterFilter) = (queue.into(), filter.clone());
        let now = self.reading().now();
        Box::pin(self.read(move |connection| report::count(connection, &queue, &filter, now)))
    }

    fn groups<'a>(&'a self, queue: &'a str, filter: &'a LetterFilter) -> Pending<'a, Vec<Group>> {
        let (queue, filter): (Arc<str>, LetterFilter) = (queue.into(), filter.clone());
        let reading = self.reading();
        let groups = self.read(move |connection| report::groups(connection, &queue, &filter, reading.now()));
        Box::pin(async move {
            let mut groups = groups.await?;
            for Group { example, first_seen, last_seen, .. } in &mut groups {
                reading.entry_to_wall(example);
                (*first_seen, *last_seen) = (reading.to_wall(*first_seen), reading.to_wall(*last_seen));
            }
            Ok(groups)
        })
    }

    fn frequencies<'a>(&'a self, queue: &'a str, last: Duration) -> Pending<'a, Vec<Frequency>> {
        let (queue, from): (Arc<str>, u64) = (queue.into(), first_minute(self.reading().now(), last));
        Box::pin(self.read(move |connection| report::frequencies(connection, &queue, from)))
    }

    fn claim<'a>(
        &'a self,
        queue: &'a str,
        filter: &'a LetterFilter,
        claim: Claim,
    ) -> Pending<'a, Vec<Entry>> {
        let (name, mut filter): (Arc<str>, LetterFilter) = (queue.into(), filter.clone());
        let reading = self.reading();
        let lease_now = rows::micros(reading.lease_to_store(claim.now));
        let due_by = claim.due_by.map(|by| reading.to_store(by));
        let claimable = Claimable { now: reading.to_store(claim.now), due_by, lease_now };
        let (lease, mut bytes) = (lease(reading, &claim), claim.bytes);
        Box::pin(async move {
            let mut entries = Vec::new();
            loop {
                let (queue, page_filter) = (Arc::clone(&name), filter.clone());
                let weight = filter.limit.unwrap_or(BATCH);
                let work = move |change: &mut Change<'_>| {
                    change.claim(&queue, &page_filter, claimable, lease, bytes)
                };
                let found = self.write(weight, work, |task| task.not_durable().optional()).await?;
                let Some(last) = found.last().map(|last| last.id) else {
                    break;
                };
                let (queue, claimed) = (Arc::clone(&name), found.len());
                // Letters may have been purged since.
                let read = move |connection: &Connection| {
                    let found = rows::still_existing(connection, &queue, found)?;
                    rows::entries(connection, &queue, &found)
                };
                let existing = self.read(read).await?;
                let is_complete = existing.len() == claimed;
                bytes = bytes.saturating_sub(existing.iter().map(Entry::size).sum());
                filter.limit = filter.limit.map(|limit| limit.saturating_sub(existing.len()));
                filter.after = Some(last);
                entries.extend(existing);
                // The caller takes a short result for the end of the queue, so purged letters are made up for.
                if is_complete || bytes == 0 || filter.limit == Some(0) {
                    break;
                }
            }
            Ok(to_wall(entries, reading))
        })
    }

    fn renew<'a>(&'a self, queue: &'a str, ids: &'a [LetterId], claim: Claim) -> Pending<'a, Vec<LetterId>> {
        let (queue, ids): (Arc<str>, Arc<[LetterId]>) = (queue.into(), ids.into());
        let (weight, lease) = (ids.len(), lease(self.reading(), &claim));
        Box::pin(self.write(weight, move |change| change.renew(&queue, &ids, lease), Task::not_durable))
    }

    fn settle<'a>(
        &'a self,
        queue: &'a str,
        owner: Owner,
        mut settled: Vec<Settled>,
    ) -> Pending<'a, Vec<bool>> {
        let (queue, reading): (Arc<str>, _) = (queue.into(), self.reading());
        for settled in &mut settled {
            if let Settled::Failed(entry) | Settled::Changed(entry) = settled {
                reading.entry_to_store(entry);
            }
        }
        let lease_now = rows::micros(reading.lease_to_store(moment::now()));
        let times = Times { now: reading.now(), lease_now };
        let (letters, settled): (usize, Arc<[Settled]>) = (settled.len(), settled.into());
        let settle = move |range: Range<usize>| {
            let (queue, settled, weight) = (Arc::clone(&queue), Arc::clone(&settled), range.len());
            let work = move |change: &mut Change<'_>| {
                change.settle(&queue, owner, settled.get(range.clone()).unwrap_or_default(), times)
            };
            self.write(weight, work, |task| task)
        };
        Box::pin(async move {
            match settle(0..letters).await {
                Err(error) if error.is_disk_full() && letters > SMALL_BATCH => {}
                done => return done,
            }
            // Small batches may fit into the space that is left.
            let mut done = Vec::with_capacity(letters);
            for from in (0..letters).step_by(SMALL_BATCH) {
                done.extend(settle(from..letters.min(from + SMALL_BATCH)).await?);
            }
            Ok(done)
        })
    }

    fn purge<'a>(&'a self, queue: &'a str, mut record: PurgeRecord) -> Pending<'a, PurgeRecord> {
        let queue: Arc<str> = queue.into();
        Box::pin(async move {
            let mut remaining = record.filter.clone();
            let (mut row, mut most) = (Err(record.clone()), BATCH);
            loop {
                let (queue, filter, known) = (Arc::clone(&queue), remaining.clone(), row.clone());
                let now = self.reading().now();
                let work = move |change: &mut Change<'_>| {
                    change.purge(&queue, &filter, most, known.as_ref().copied(), now)
                };
                let batch = match self.write(most, work, |task| task).await {
                    Err(error) if error.is_disk_full() && most > SMALL_BATCH => {
                        most = SMALL_BATCH;
                        continue;
                    }
                    batch => batch?,
                };
                record.purged += batch.purged;
                let purged = usize::try_from(batch.purged).unwrap_or(usize::MAX);
                remaining.limit = remaining.limit.map(|limit| limit.saturating_sub(purged));
                remaining.up_to = batch.up_to;
                row = Ok(batch.record);
                if purged < most {
                    return Ok(record);
                }
            }
        })
    }

    fn purges<'a>(&'a self, queue: &'a str) -> Pending<'a, Vec<PurgeRecord>> {
        let queue: Arc<str> = queue.into();
        Box::pin(self.read(move |connection| report::purges(connection, &queue)))
    }

    fn expire<'a>(&'a self, queue: &'a str, now: SystemTime) -> Pending<'a, u64> {
        let (queue, now): (Arc<str>, _) = (queue.into(), self.reading().to_store(now));
        Box::pin(async move {
            let (mut expired, mut most) = (0, BATCH);
            loop {
                let queue = Arc::clone(&queue);
                let work = move |change: &mut Change<'_>| change.expire(&queue, now, most);
                let removed = match self.write(most, work, |task| task).await {
                    Err(error) if error.is_disk_full() && most > SMALL_BATCH => {
                        most = SMALL_BATCH;
                        continue;
                    }
                    removed => removed?,
                };
                expired += removed;
                if removed < most as u64 {
                    return Ok(expired);
                }
            }
        })
    }

    fn depth(&self, queue: &str) -> Depth {
        self.file().shared.depths.get(queue)
    }
}
