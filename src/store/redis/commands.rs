//! The calls of a store that write. Each takes as many scripts as it needs, so that no script blocks Redis for long.

use std::sync::Arc;
use std::time::SystemTime;

use redis::Value;

use super::client::Client;
use super::scripts::{self, texts};
use super::search::Search;
use super::{keys, rows};
use crate::base::moment::micros;
use crate::store::error::Kind;
use crate::store::purge::PURGES_KEPT;
use crate::store::{
    Claim, Entry, LetterFilter, LetterId, Limits, Owner, PurgeRecord, Put, Settled, StoreError, WhenFull,
};

/// The maximum number of outcomes or renewals in one script, and about how many bytes.
const LETTERS: usize = 100;
const BYTES: usize = 1024 * 1024;

/// The longest lease, in milliseconds. The scripts use the same number.
const LONGEST_LEASE: u128 = 2_592_000_000;

fn lease(claim: &Claim) -> String {
    claim.lease.as_millis().clamp(1, LONGEST_LEASE).to_string()
}

impl Client {
    pub(super) async fn put_entry(&self, entry: Entry, limits: Limits) -> Result<Put, StoreError> {
        let (mut entry, reading) = (entry, self.reading().await?);
        reading.entry_to_store(&mut entry);
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
                // One script removes a limited number of old letters; a large letter may need room from more.
                _ => {}
            }
        }
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
        let store_micros = |moment| micros(reading.to_store(moment)).to_string();
        let (owner, lease, now) = (claim.owner.to_string(), lease(&claim), store_micros(claim.now));
        let due_by = claim.due_by.map(store_micros).unwrap_or_default();
        let mut entries = Vec::new();
        // One script returns up to 1 MiB and one letter more.
        let mut bytes = 0_u64;
        let mut more = search.limit > 0;
        while more {
            let args = texts([&owner, &lease, &now, &due_by]).into_iter().chain(search.args()).collect();
            let page: Result<(String, Vec<Vec<u8>>), _> =
                self.run(&scripts::CLAIM, &queue, Vec::new(), args).await;
            let (cursor, rows) = match page {
                Ok(page) => page,
                // The letters of earlier pages are claimed, so the caller must get them.
                Err(_) if !entries.is_empty() => break,
                Err(error) => return Err(error),
            };
            let page = rows::entries(&queue, rows, reading);
            bytes = page.iter().fold(bytes, |bytes, entry| bytes.saturating_add(entry.size()));
            more = search.advance(cursor, page.len()) && bytes < claim.bytes;
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
        for chunk in ids.chunks(LETTERS) {
            let ids = chunk.iter().map(|id| id.to_string().into_bytes());
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
                        reading.entry_to_store(&mut entry);
                        let (key, field, until) = keys::failure(&entry, reading.now());
                        let place = minutes.iter().position(|minute| *minute == key).unwrap_or_else(|| {
                            minutes.push(key);
                            minutes.len() - 1
                        });
                        args.extend(texts([what, &id, &rows::meta(&entry)]));
                        bytes += entry.head.len() + entry.body.len();
                        args.extend([entry.head, entry.body]);
                        // Lua counts from one, and the keys that every script gets come first.
                        let place = (keys::COUNT + 1 + place).to_string();
                        args.extend(texts([&place, &field, &until.to_string()]));
                    }
                }
                if bytes >= BYTES {
                    break;
                }
            }
            let (results,): (Vec<u8>,) = self.run(&scripts::SETTLE, queue, minutes, args).await?;
            done.extend(results.into_iter().map(|done| done == 1));
        }
        Ok(done)
    }

    pub(super) async fn purge_entries(
        &self,
        queue: &str,
        mut record: PurgeRecord,
    ) -> Result<PurgeRecord, StoreError> {
        let written = serde_json::to_string(&record).map_err(|error| {
            let message = format!("the record of the purge of queue `{queue}` cannot be written as JSON");
            StoreError::new(Kind::Other, message).with_source(error)
        })?;
        // Identifies the record of this purge among those of others that run at the same time.
        let name = LetterId::new().to_string().replace('-', "");
        let kept = PURGES_KEPT.to_string();
        let mut search = Search::new(&record.filter, self.reading().await?.now());
        loop {
            let mut args = texts([&name, &written]);
            args.extend(search.args());
            args.extend(texts([&kept]));
            let (cursor, purged): (String, u64) = self.run(&scripts::PURGE, queue, Vec::new(), args).await?;
            record.purged = purged;
            // The script subtracts the purged letters from the limit itself.
            if !search.advance(cursor, 0) {
                return Ok(record);
            }
        }
    }

    pub(super) async fn expire_entries(&self, queue: &str, now: SystemTime) -> Result<u64, StoreError> {
        let now = micros(self.reading().await?.to_store(now)).to_string();
        let mut expired = 0;
        loop {
            let checked_to = self.repairs().expiry_checked_to(queue);
            let (removed, more, checked_to): (u64, Value, String) =
                self.run(&scripts::EXPIRE, queue, Vec::new(), texts([&now, &checked_to])).await?;
            self.repairs().set_expiry_checked_to(queue, checked_to);
            expired += removed;
            if more != Value::Int(1) {
                return Ok(expired);
            }
        }
    }
}
