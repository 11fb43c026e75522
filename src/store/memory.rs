//! Letters that live as long as the process.

use std::collections::{BTreeMap, VecDeque};
use std::future::ready;
use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::group::{self, CAUSES, by_frequency, by_size, first_minute, minute};
use super::{
    Claim, Depth, Entry, Filter, Fingerprint, Frequency, Group, LONGEST_LOOK_BACK, LetterId, Limits, Owner,
    PURGES_KEPT, Pending, PurgeRecord, Put, Settled, Store, WhenFull,
};
use crate::moment;
use crate::outcome::FailureKind;
use crate::sync::Mutex;

/// What is known of failures by cause and minute, of which letters are not the only ones: those of letters that are gone
/// count too. Beyond this many the oldest are forgotten.
const FAILURES: usize = 50_000;

/// Keeps letters in memory: for tests, and for tools that end with their work.
///
/// [`frequencies`](Store::frequencies) knows up to 50,000 causes and minutes of the last day.
#[derive(Debug, Default)]
pub struct MemoryStore {
    queues: Mutex<BTreeMap<Arc<str>, Queue>>,
}

#[derive(Debug, Default)]
struct Queue {
    entries: BTreeMap<LetterId, Entry>,
    bytes: u64,
    /// Who holds an entry, and until when.
    held: BTreeMap<LetterId, (Owner, SystemTime)>,
    /// When the causes of those that wait were seen first and last.
    seen: BTreeMap<Fingerprint, Seen>,
    failures: BTreeMap<(u64, Fingerprint), Failures>,
    purges: VecDeque<PurgeRecord>,
}

#[derive(Debug)]
struct Seen {
    letters: u64,
    first: SystemTime,
    last: SystemTime,
}

/// What failed within one minute.
#[derive(Debug)]
struct Failures {
    component: Arc<str>,
    kind: FailureKind,
    count: u64,
}

impl Queue {
    fn insert(&mut self, entry: Entry) {
        self.bytes += entry.size();
        let seen = self.seen.entry(entry.fingerprint).or_insert(Seen {
            letters: 0,
            first: entry.first_failed,
            last: entry.last_failed,
        });
        seen.letters += 1;
        seen.first = seen.first.min(entry.first_failed);
        seen.last = seen.last.max(entry.last_failed);
        self.entries.insert(entry.id, entry);
    }

    fn remove(&mut self, id: LetterId) -> Option<Entry> {
        let entry = self.entries.remove(&id)?;
        self.held.remove(&id);
        self.bytes = self.bytes.saturating_sub(entry.size());
        if let Some(seen) = self.seen.get_mut(&entry.fingerprint) {
            seen.letters -= 1;
            if seen.letters == 0 {
                self.seen.remove(&entry.fingerprint);
            }
        }
        Some(entry)
    }

    /// Puts `entry` in the place of the one with its id, unless that is gone or somebody else holds it.
    fn replace(&mut self, entry: Entry, owner: Owner, now: SystemTime, failed: bool) -> bool {
        let print = entry.fingerprint;
        let before = self.seen.get(&print).map(|seen| (seen.first, seen.last));
        if self.is_held(entry.id, owner, now) || self.remove(entry.id).is_none() {
            return false;
        }
        if failed {
            self.count_failure(&entry);
        }
        self.insert(entry);
        // Its group was never empty, even if it is alone in it.
        if let (Some(seen), Some((first, last))) = (self.seen.get_mut(&print), before) {
            seen.first = seen.first.min(first);
            seen.last = seen.last.max(last);
        }
        true
    }

    fn count_failure(&mut self, entry: &Entry) {
        let now = minute(entry.last_failed);
        let oldest = now.saturating_sub(LONGEST_LOOK_BACK.as_secs() / 60);
        while self.failures.first_key_value().is_some_and(|((minute, _), _)| *minute < oldest) {
            self.failures.pop_first();
        }
        let mut cause = entry.fingerprint;
        if !self.failures.contains_key(&(now, cause))
            && self
                .failures
                .range((now, Fingerprint::from_bits(0))..=(now, Fingerprint::from_bits(u64::MAX)))
                .count()
                >= CAUSES
        {
            cause = Fingerprint::OTHER;
        }
        let failures = self.failures.entry((now, cause)).or_insert_with(|| Failures {
            component: Arc::clone(&entry.component),
            kind: entry.kind,
            count: 0,
        });
        failures.count += 1;
        while self.failures.len() > FAILURES {
            self.failures.pop_first();
        }
    }

    /// Whether somebody else than `owner` holds an entry.
    fn is_held(&self, id: LetterId, owner: Owner, now: SystemTime) -> bool {
        self.held.get(&id).is_some_and(|(holder, until)| *holder != owner && *until > now)
    }

    fn matching<'a>(&'a self, filter: &'a Filter) -> impl Iterator<Item = &'a Entry> {
        let start = filter.after.map_or(Bound::Unbounded, Bound::Excluded);
        let entries = self.entries.range((start, Bound::Unbounded)).map(|(_, entry)| entry);
        entries.filter(|entry| filter.matches(entry)).take(filter.limit.unwrap_or(usize::MAX))
    }

    fn remove_all(&mut self, ids: Vec<LetterId>) -> u64 {
        ids.into_iter().filter(|id| self.remove(*id).is_some()).count() as u64
    }
}

impl MemoryStore {
    fn with<T>(&self, queue: &str, f: impl FnOnce(&mut Queue) -> T) -> T {
        let mut queues = self.queues.lock();
        match queues.get_mut(queue) {
            Some(queue) => f(queue),
            None => f(queues.entry(queue.into()).or_default()),
        }
    }
}

fn done<'a, T: Send + 'a>(value: T) -> Pending<'a, T> {
    Box::pin(ready(Ok(value)))
}

impl Store for MemoryStore {
    fn put(&self, entry: Entry, limits: Limits) -> Pending<'_, Put> {
        let name = Arc::clone(&entry.queue);
        done(self.with(&name, |queue| {
            if queue.entries.contains_key(&entry.id) {
                return Put::Kept { evicted: 0 };
            }
            let size = entry.size();
            let mut evicted = 0;
            while queue.entries.len() as u64 >= limits.capacity
                || queue.bytes.saturating_add(size) > limits.bytes
            {
                let oldest = queue.entries.first_key_value().map(|(id, _)| *id);
                // Dropping all others would not make room for one that is larger than all there is.
                match oldest {
                    Some(oldest) if limits.when_full == WhenFull::DropOldest && size <= limits.bytes => {
                        queue.remove(oldest);
                        evicted += 1;
                    }
                    _ => return Put::Full,
                }
            }
            queue.count_failure(&entry);
            queue.insert(entry);
            Put::Kept { evicted }
        }))
    }

    fn get<'a>(&'a self, queue: &'a str, id: LetterId) -> Pending<'a, Option<Entry>> {
        done(self.with(queue, |queue| queue.entries.get(&id).cloned()))
    }

    fn list<'a>(&'a self, queue: &'a str, filter: &'a Filter) -> Pending<'a, Vec<Entry>> {
        done(self.with(queue, |queue| queue.matching(filter).cloned().collect()))
    }

    fn count<'a>(&'a self, queue: &'a str, filter: &'a Filter) -> Pending<'a, u64> {
        done(self.with(queue, |queue| queue.matching(filter).count() as u64))
    }

    fn groups<'a>(&'a self, queue: &'a str, filter: &'a Filter) -> Pending<'a, Vec<Group>> {
        let all = Filter { limit: None, ..filter.clone() };
        done(self.with(queue, |queue| {
            let mut groups = group::of_entries(queue.matching(&all).cloned());
            for group in &mut groups {
                if let Some(seen) = queue.seen.get(&group.fingerprint) {
                    (group.first_seen, group.last_seen) = (seen.first, seen.last);
                }
            }
            by_size(groups, filter.limit)
        }))
    }

    fn frequencies<'a>(&'a self, queue: &'a str, last: Duration) -> Pending<'a, Vec<Frequency>> {
        let from = first_minute(moment::now(), last);
        done(self.with(queue, |queue| {
            let mut all: BTreeMap<Fingerprint, Frequency> = BTreeMap::new();
            for ((_, fingerprint), failures) in queue.failures.range((from, Fingerprint::from_bits(0))..) {
                let frequency = all.entry(*fingerprint).or_insert_with(|| Frequency {
                    fingerprint: *fingerprint,
                    component: Arc::clone(&failures.component),
                    kind: failures.kind,
                    failures: 0,
                });
                frequency.failures += failures.count;
            }
            by_frequency(all.into_values().collect())
        }))
    }

    fn claim<'a>(&'a self, queue: &'a str, filter: &'a Filter, claim: Claim) -> Pending<'a, Vec<Entry>> {
        let all =
            Filter { limit: None, set_aside: Some(filter.set_aside.unwrap_or(false)), ..filter.clone() };
        done(self.with(queue, |queue| {
            let free = queue.matching(&all).filter(|entry| {
                !entry.has_expired(claim.now)
                    && claim.due_by.is_none_or(|by| entry.due.is_none_or(|due| due <= by))
                    && queue.held.get(&entry.id).is_none_or(|(_, until)| *until <= claim.now)
            });
            let mut bytes = 0;
            let few = free.take(filter.limit.unwrap_or(usize::MAX)).take_while(|entry| {
                let room = bytes < claim.bytes;
                bytes = bytes.saturating_add(entry.size());
                room
            });
            let claimed: Vec<Entry> = few.cloned().collect();
            let until = moment::later(claim.now, claim.lease);
            queue.held.extend(claimed.iter().map(|entry| (entry.id, (claim.owner, until))));
            claimed
        }))
    }

    fn renew<'a>(&'a self, queue: &'a str, ids: &'a [LetterId], claim: Claim) -> Pending<'a, Vec<LetterId>> {
        let until = moment::later(claim.now, claim.lease);
        done(self.with(queue, |queue| {
            let still_held = |id: &&LetterId| match queue.held.get_mut(id) {
                Some((owner, lease)) if *owner == claim.owner => {
                    *lease = until;
                    true
                }
                _ => false,
            };
            ids.iter().filter(still_held).copied().collect()
        }))
    }

    fn settle<'a>(&'a self, queue: &'a str, owner: Owner, settled: Vec<Settled>) -> Pending<'a, Vec<bool>> {
        let now = moment::now();
        done(self.with(queue, |queue| {
            let mut settle = |settled: Settled| match settled {
                Settled::Delivered(id) => queue.remove(id).is_some(),
                Settled::Failed(entry) => queue.replace(entry, owner, now, true),
                Settled::Changed(entry) => queue.replace(entry, owner, now, false),
                Settled::Released(id) => {
                    queue.entries.contains_key(&id)
                        && !queue.is_held(id, owner, now)
                        && queue.held.remove(&id).is_some()
                }
            };
            settled.into_iter().map(&mut settle).collect()
        }))
    }

    fn purge<'a>(&'a self, queue: &'a str, mut record: PurgeRecord) -> Pending<'a, PurgeRecord> {
        done(self.with(queue, |queue| {
            let ids = queue.matching(&record.filter).map(|entry| entry.id).collect();
            record.purged = queue.remove_all(ids);
            queue.purges.push_front(record.clone());
            queue.purges.truncate(PURGES_KEPT);
            record
        }))
    }

    fn purges<'a>(&'a self, queue: &'a str) -> Pending<'a, Vec<PurgeRecord>> {
        done(self.with(queue, |queue| queue.purges.iter().cloned().collect()))
    }

    fn expire<'a>(&'a self, queue: &'a str, now: SystemTime) -> Pending<'a, u64> {
        done(self.with(queue, |queue| {
            let expired = queue.entries.values().filter(|entry| entry.has_expired(now));
            let ids = expired.map(|entry| entry.id).collect();
            queue.remove_all(ids)
        }))
    }

    fn depth(&self, queue: &str) -> Depth {
        self.with(queue, |queue| Depth {
            waiting: queue.entries.len() as u64,
            oldest: queue.entries.first_key_value().map(|(id, _)| id.made_at()),
            bytes: queue.bytes,
            ..Depth::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_of_failures_is_bounded_however_they_differ() {
        let mut queue = Queue::default();
        let now = SystemTime::now();
        let mut entry = Entry {
            id: LetterId::new(),
            queue: "orders".into(),
            component: "orders".into(),
            kind: FailureKind::Error,
            fingerprint: Fingerprint::from_bits(0),
            first_failed: now,
            last_failed: now - Duration::from_secs(3_600),
            due: None,
            expires: None,
            set_aside: false,
            head: Vec::new(),
            body: Vec::new(),
        };
        queue.count_failure(&entry);
        let causes = CAUSES as u64;
        for minute in 0..FAILURES as u64 / causes + 1 {
            entry.last_failed = now + Duration::from_secs(60 * minute);
            for cause in 1..=causes {
                entry.fingerprint = Fingerprint::from_bits(cause);
                queue.count_failure(&entry);
            }
        }
        assert_eq!(queue.failures.len(), FAILURES);
        assert!(queue.failures.keys().all(|(at, _)| *at >= minute(now)), "the oldest goes first");
    }
}
