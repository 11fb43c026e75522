//! What is asked of a queue, in as many scripts as it takes: no script keeps Redis from others for long.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use redis::Value;

use super::search::Search;
use super::{RedisStore, keys, rows, scripts};
use crate::base::moment::{from_micros, micros};
use crate::store::error::Kind;
use crate::store::group::{by_frequency, by_size};
use crate::store::steady::Reading;
use crate::store::{
    Claim, Entry, Fingerprint, Frequency, Group, LetterFilter, LetterId, Limits, Owner, PURGES_KEPT,
    PurgeRecord, Put, Settled, StoreError, WhenFull, group,
};

/// The most letters in one script that tells what became of them, or for how long they are held, and about how many
/// bytes.
const LETTERS: usize = 100;
const BYTES: usize = 1024 * 1024;

/// The most groups in one script.
const GROUPS: usize = 500;

/// The most minutes in one script.
const MINUTES: usize = 240;

/// The longest lease, in milliseconds; the scripts know it too.
const LONGEST_LEASE: u128 = 2_592_000_000;

/// How many letters each cause has, and when it was seen first and last.
type Seen = BTreeMap<Fingerprint, (u64, SystemTime, SystemTime)>;

fn read_seen(
    rows: &[String],
    reading: Reading,
) -> impl Iterator<Item = (Fingerprint, (u64, SystemTime, SystemTime))> {
    rows.chunks_exact(2).filter_map(move |row| {
        let mut numbers = row[1].split('|').map_while(|number| number.parse().ok());
        let moment = |micros| reading.wall(from_micros(micros));
        let (letters, first, last) = (numbers.next()?, numbers.next()?, numbers.next()?);
        Some((row[0].parse().ok()?, (letters, moment(first), moment(last))))
    })
}

pub(super) fn texts<const N: usize>(texts: [&str; N]) -> Vec<Vec<u8>> {
    texts.map(|text| text.as_bytes().to_vec()).into()
}

fn lease(claim: &Claim) -> String {
    claim.lease.as_millis().clamp(1, LONGEST_LEASE).to_string()
}

impl RedisStore {
    pub(super) async fn put_entry(&self, entry: Entry, limits: Limits) -> Result<Put, StoreError> {
        let (mut entry, reading) = (entry, self.reading().await?);
        reading.arrive(&mut entry);
        let (key, field, until) = keys::failure(&entry, reading.now());
        let drops = if limits.when_full == WhenFull::DropOldest { "1" } else { "0" };
        let (id, meta) = (entry.id.to_string(), rows::meta(&entry));
        let mut args = texts([&id, &meta]);
        args.extend([entry.head, entry.body]);
        let (capacity, bytes) = (limits.capacity.to_string(), limits.bytes.to_string());
        args.extend(texts([&capacity, &bytes, drops, &field, &until.to_string()]));
        let mut evicted = 0;
        loop {
            let (what, more): (String, u64) =
                self.run(&scripts::PUT, &entry.queue, vec![key.clone()], args.clone()).await?;
            evicted += more;
            match &*what {
                "kept" => return Ok(Put::Kept { evicted }),
                "full" => return Ok(Put::Full),
                // Many small ones make room for a large one, some in each script.
                _ => {}
            }
        }
    }

    /// Letters by their ids, or the newest of each fingerprint; those that are gone are left out.
    pub(super) async fn fetch(
        &self,
        queue: &Arc<str>,
        by: &str,
        mut wanted: Vec<String>,
    ) -> Result<Vec<Entry>, StoreError> {
        let reading = self.reading().await?;
        let mut entries = Vec::new();
        while !wanted.is_empty() {
            let some = wanted.iter().take(LETTERS).map(|one| one.as_bytes().to_vec());
            let args = std::iter::once(by.as_bytes().to_vec()).chain(some).collect();
            let (asked, letters): (usize, Vec<Vec<u8>>) =
                self.run(&scripts::FETCH, queue, Vec::new(), args).await?;
            entries.extend(rows::entries(queue, letters, reading));
            wanted.drain(..asked.clamp(1, wanted.len()));
        }
        Ok(entries)
    }

    pub(super) async fn list_entries(
        &self,
        queue: &str,
        filter: &LetterFilter,
    ) -> Result<Vec<Entry>, StoreError> {
        let reading = self.reading().await?;
        let (queue, mut search): (Arc<str>, _) = (queue.into(), Search::new(filter, reading.now()));
        let mut entries = Vec::new();
        let mut more = search.limit > 0;
        while more {
            let (cursor, rows): (String, Vec<Vec<u8>>) = self.walk(&queue, "letters", &search).await?;
            let page = rows::entries(&queue, rows, reading);
            more = search.go_on(cursor, page.len());
            entries.extend(page);
        }
        Ok(entries)
    }

    pub(super) async fn count_entries(&self, queue: &str, filter: &LetterFilter) -> Result<u64, StoreError> {
        let mut search = Search::new(filter, self.reading().await?.now());
        if search.exact {
            let (_, all): (String, u64) = self.walk(queue, "range", &search).await?;
            return Ok(all.min(search.limit as u64));
        }
        let mut count = 0;
        let mut more = search.limit > 0;
        while more {
            let (cursor, found): (String, usize) = self.walk(queue, "count", &search).await?;
            more = search.go_on(cursor, found);
            count += found as u64;
        }
        Ok(count)
    }

    async fn walk<T: redis::FromRedisValue>(
        &self,
        queue: &str,
        what: &str,
        search: &Search,
    ) -> Result<T, StoreError> {
        let args = texts([what]).into_iter().chain(search.args()).collect();
        self.run(&scripts::WALK, queue, Vec::new(), args).await
    }

    pub(super) async fn list_groups(
        &self,
        queue: &str,
        filter: &LetterFilter,
    ) -> Result<Vec<Group>, StoreError> {
        let (queue, reading): (Arc<str>, _) = (queue.into(), self.reading().await?);
        let all = LetterFilter { limit: None, ..filter.clone() };
        let limit = filter.limit.unwrap_or(usize::MAX);
        if all == LetterFilter::all() {
            let seen = self.largest(&queue, limit, reading).await?;
            let prints = seen.keys().map(Fingerprint::to_string).collect();
            let examples = self.fetch(&queue, "newest", prints).await?;
            let groups = examples.into_iter().filter_map(|example| {
                let (letters, first_seen, last_seen) = *seen.get(&example.fingerprint)?;
                Some(Group { fingerprint: example.fingerprint, letters, first_seen, last_seen, example })
            });
            return Ok(by_size(groups.collect(), filter.limit));
        }
        // What is known of the letters is little; their bytes are fetched of the examples only.
        let mut search = Search::new(&all, reading.now());
        let mut known = Vec::new();
        loop {
            let (cursor, rows): (String, Vec<Vec<u8>>) = self.walk(&queue, "metas", &search).await?;
            for row in rows.chunks_exact(2) {
                known.extend(rows::read_meta(&queue, &row[0], &row[1], reading));
            }
            if !search.go_on(cursor, 0) {
                break;
            }
        }
        let groups = by_size(group::of_entries(known), filter.limit);
        let mut seen = Seen::new();
        for some in groups.chunks(LETTERS) {
            let prints = some.iter().map(|group| group.fingerprint.to_string().into_bytes()).collect();
            let (rows,): (Vec<String>,) = self.run(&scripts::SEEN, &queue, Vec::new(), prints).await?;
            seen.extend(read_seen(&rows, reading));
        }
        let examples = groups.iter().map(|group| group.example.id.to_string()).collect();
        let mut examples: BTreeMap<LetterId, Entry> =
            self.fetch(&queue, "ids", examples).await?.into_iter().map(|entry| (entry.id, entry)).collect();
        Ok(groups
            .into_iter()
            .filter_map(|group| {
                let example = examples.remove(&group.example.id)?;
                let (first_seen, last_seen) = match seen.get(&group.fingerprint) {
                    Some((_, first, last)) => (*first, *last),
                    None => (group.first_seen, group.last_seen),
                };
                Some(Group { first_seen, last_seen, example, ..group })
            })
            .collect())
    }

    /// The largest groups, at most `limit`.
    async fn largest(&self, queue: &str, limit: usize, reading: Reading) -> Result<Seen, StoreError> {
        let mut seen = Seen::new();
        let mut from = 0;
        while from < limit {
            let to = from.saturating_add(GROUPS).min(limit);
            let places = texts([&from.to_string(), &(to - 1).to_string()]);
            let (rows,): (Vec<String>,) = self.run(&scripts::GROUPS, queue, Vec::new(), places).await?;
            seen.extend(read_seen(&rows, reading));
            if rows.len() / 2 < to - from {
                break;
            }
            from = to;
        }
        Ok(seen)
    }

    pub(super) async fn count_failures(
        &self,
        queue: &str,
        last: Duration,
    ) -> Result<Vec<Frequency>, StoreError> {
        let now = self.reading().await?.now();
        let minutes: Vec<String> =
            keys::minutes(now, last).map(|minute| keys::failures(queue, minute)).collect();
        let mut all: BTreeMap<Fingerprint, Frequency> = BTreeMap::new();
        for some in minutes.chunks(MINUTES) {
            let (rows,): (Vec<String>,) =
                self.run(&scripts::FREQUENCIES, queue, some.to_vec(), Vec::new()).await?;
            for row in rows.chunks_exact(2) {
                let (Some((fingerprint, kind, component)), Ok(failures)) =
                    (rows::failure(&row[0]), row[1].parse::<u64>())
                else {
                    continue;
                };
                let frequency =
                    all.entry(fingerprint).or_insert(Frequency { fingerprint, component, kind, failures: 0 });
                frequency.failures += failures;
            }
        }
        Ok(by_frequency(all.into_values().collect()))
    }

    pub(super) async fn claim_entries(
        &self,
        queue: &str,
        filter: &LetterFilter,
        claim: Claim,
    ) -> Result<Vec<Entry>, StoreError> {
        let queue: Arc<str> = queue.into();
        let reading = self.reading().await?;
        let set_aside = Some(filter.set_aside.unwrap_or(false));
        let mut search = Search::new(&LetterFilter { set_aside, ..filter.clone() }, reading.now());
        let here = |moment| micros(reading.of(moment)).to_string();
        let (owner, lease, now) = (claim.owner.to_string(), lease(&claim), here(claim.now));
        let due_by = claim.due_by.map(here).unwrap_or_default();
        let mut entries = Vec::new();
        // A page has up to 1 MiB and a letter.
        let mut bytes = 0_u64;
        let mut more = search.limit > 0;
        while more {
            let args = texts([&owner, &lease, &now, &due_by]).into_iter().chain(search.args()).collect();
            let page: Result<(String, Vec<Vec<u8>>), _> =
                self.run(&scripts::CLAIM, &queue, Vec::new(), args).await;
            let (cursor, rows) = match page {
                Ok(page) => page,
                // What was claimed before is held: whoever asked shall send it.
                Err(_) if !entries.is_empty() => break,
                Err(error) => return Err(error),
            };
            let page = rows::entries(&queue, rows, reading);
            bytes = page.iter().fold(bytes, |bytes, entry| bytes.saturating_add(entry.size()));
            more = search.go_on(cursor, page.len()) && bytes < claim.bytes;
            entries.extend(page);
        }
        Ok(entries)
    }

    pub(super) async fn renew_leases(
        &self,
        queue: &str,
        ids: &[LetterId],
        claim: Claim,
    ) -> Result<Vec<LetterId>, StoreError> {
        let (owner, lease) = (claim.owner.to_string(), lease(&claim));
        let mut held = Vec::new();
        for some in ids.chunks(LETTERS) {
            let ids = some.iter().map(|id| id.to_string().into_bytes());
            let args = texts([&owner, &lease]).into_iter().chain(ids).collect();
            let (still,): (Vec<String>,) = self.run(&scripts::RENEW, queue, Vec::new(), args).await?;
            held.extend(still.iter().filter_map(|id| id.parse::<LetterId>().ok()));
        }
        Ok(held)
    }

    pub(super) async fn settle_all(
        &self,
        queue: &str,
        owner: Owner,
        settled: Vec<Settled>,
    ) -> Result<Vec<bool>, StoreError> {
        let (owner, reading) = (owner.to_string(), self.reading().await?);
        let mut done = Vec::with_capacity(settled.len());
        let mut settled = settled.into_iter().peekable();
        while settled.peek().is_some() {
            let (mut minutes, mut args, mut bytes) = (Vec::new(), texts([&owner]), 0);
            for one in settled.by_ref().take(LETTERS) {
                let id = one.id().to_string();
                let what = if matches!(one, Settled::Failed(_)) { "failed" } else { "changed" };
                match one {
                    Settled::Delivered(_) => args.extend(texts(["delivered", &id])),
                    Settled::Released(_) => args.extend(texts(["released", &id])),
                    Settled::Failed(mut entry) | Settled::Changed(mut entry) => {
                        reading.arrive(&mut entry);
                        let (key, field, until) = keys::failure(&entry, reading.now());
                        let place = minutes.iter().position(|minute| *minute == key).unwrap_or_else(|| {
                            minutes.push(key);
                            minutes.len() - 1
                        });
                        args.extend(texts([what, &id, &rows::meta(&entry)]));
                        bytes += entry.head.len() + entry.body.len();
                        args.extend([entry.head, entry.body]);
                        // After the keys that every script has, and counted from one.
                        let place = (keys::COUNT + 1 + place).to_string();
                        args.extend(texts([&place, &field, &until.to_string()]));
                    }
                }
                if bytes >= BYTES {
                    break;
                }
            }
            let (some,): (Vec<u8>,) = self.run(&scripts::SETTLE, queue, minutes, args).await?;
            done.extend(some.into_iter().map(|done| done == 1));
        }
        Ok(done)
    }

    pub(super) async fn purge_entries(
        &self,
        queue: &str,
        mut record: PurgeRecord,
    ) -> Result<PurgeRecord, StoreError> {
        let written = serde_json::to_string(&record).map_err(|error| {
            StoreError::new(Kind::Other, "the purge cannot be written").with_source(error)
        })?;
        // Tells the record of this purge from others that may run at the same time.
        let name = LetterId::new().to_string().replace('-', "");
        let kept = PURGES_KEPT.to_string();
        let mut search = Search::new(&record.filter, self.reading().await?.now());
        loop {
            let mut args = texts([&name, &written]);
            args.extend(search.args());
            args.extend(texts([&kept]));
            let (cursor, purged): (String, u64) = self.run(&scripts::PURGE, queue, Vec::new(), args).await?;
            record.purged = purged;
            // The script itself counts what is left of the limit.
            if !search.go_on(cursor, 0) {
                return Ok(record);
            }
        }
    }

    pub(super) async fn list_purges(&self, queue: &str) -> Result<Vec<PurgeRecord>, StoreError> {
        let (lines,): (Vec<String>,) = self.run(&scripts::PURGES, queue, Vec::new(), Vec::new()).await?;
        let read = |line: &String| {
            let mut parts = line.splitn(3, '|');
            let (purged, record) = (parts.next()?.parse().ok()?, parts.nth(1)?);
            let record: PurgeRecord = serde_json::from_str(record).ok()?;
            Some(PurgeRecord { purged, ..record })
        };
        Ok(lines.iter().filter_map(read).collect())
    }

    pub(super) async fn expire_entries(&self, queue: &str, now: SystemTime) -> Result<u64, StoreError> {
        let now = micros(self.reading().await?.of(now)).to_string();
        let mut expired = 0;
        loop {
            let looked_at = self.shared.repairs.looked_at(queue);
            let (some, more, looked_at): (u64, Value, String) =
                self.run(&scripts::EXPIRE, queue, Vec::new(), texts([&now, &looked_at])).await?;
            self.shared.repairs.look_on(queue, looked_at);
            expired += some;
            if more != Value::Int(1) {
                return Ok(expired);
            }
        }
    }
}
