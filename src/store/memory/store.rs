//! The store itself.

use std::collections::BTreeMap;
use std::future::ready;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::queue::Queue;
use super::search::{Claimable, Search};
use crate::base::moment;
use crate::base::sync::Mutex;
use crate::store::clock::{Reading, StoreClock};
use crate::store::group::{by_frequency, first_minute};
use crate::store::purge::PURGES_KEPT;
use crate::store::{
    Claim, Depth, Entry, Fingerprint, Frequency, Group, LetterFilter, LetterId, Limits, Owner, Pending,
    PurgeRecord, Put, Settled, Store,
};

/// Keeps letters in memory: for tests, and for tools whose letters need not outlive the process.
///
/// `MemoryStore::default()` makes an empty one.
///
/// [`frequencies`](Store::frequencies) keeps up to 50,000 pairs of fingerprint and minute of the last day.
///
/// Due times, ages, expiry and leases use a monotonic clock, which changes of the wall clock do not affect.
/// [`WhenFull::DropOldest`](crate::store::WhenFull::DropOldest) removes the letter that arrived first.
#[derive(Debug, Default)]
pub struct MemoryStore {
    queues: Mutex<BTreeMap<Arc<str>, Queue>>,
    clock: StoreClock,
}

impl MemoryStore {
    fn with<T>(&self, queue: &str, f: impl FnOnce(&mut Queue) -> T) -> T {
        let mut queues = self.queues.lock();
        match queues.get_mut(queue) {
            Some(queue) => f(queue),
            None => f(queues.entry(queue.into()).or_default()),
        }
    }

    fn find(&self, queue: &str, filter: &LetterFilter) -> (Vec<Entry>, Reading) {
        let reading = self.clock.read();
        let search = Search { filter, now: reading.now(), claim: None };
        let found = self.with(queue, |queue| {
            let ids = search.find(queue, filter.limit.unwrap_or(usize::MAX));
            ids.iter().filter_map(|id| Some(queue.letters.get(id)?.entry.clone())).collect()
        });
        (found, reading)
    }
}

fn to_wall(mut entries: Vec<Entry>, reading: Reading) -> Vec<Entry> {
    entries.iter_mut().for_each(|entry| reading.entry_to_wall(entry));
    entries
}

fn ready_ok<'a, T: Send + 'a>(value: T) -> Pending<'a, T> {
    Box::pin(ready(Ok(value)))
}

impl Store for MemoryStore {
    fn put(&self, mut entry: Entry, limits: Limits) -> Pending<'_, Put> {
        let (name, reading) = (Arc::clone(&entry.queue), self.clock.read());
        reading.entry_to_store(&mut entry);
        ready_ok(self.with(&name, |queue| queue.put(entry, limits, reading.now())))
    }

    fn get<'a>(&'a self, queue: &'a str, id: LetterId) -> Pending<'a, Option<Entry>> {
        let found = self.with(queue, |queue| queue.letters.get(&id).map(|stored| stored.entry.clone()));
        ready_ok(found.map(|mut entry| {
            self.clock.read().entry_to_wall(&mut entry);
            entry
        }))
    }

    fn list<'a>(&'a self, queue: &'a str, filter: &'a LetterFilter) -> Pending<'a, Vec<Entry>> {
        let (found, reading) = self.find(queue, filter);
        ready_ok(to_wall(found, reading))
    }

    fn count<'a>(&'a self, queue: &'a str, filter: &'a LetterFilter) -> Pending<'a, u64> {
        let search = Search { filter, now: self.clock.read().now(), claim: None };
        let limit = filter.limit.unwrap_or(usize::MAX);
        ready_ok(self.with(queue, |queue| search.find(queue, limit).len() as u64))
    }

    fn groups<'a>(&'a self, queue: &'a str, filter: &'a LetterFilter) -> Pending<'a, Vec<Group>> {
        let reading = self.clock.read();
        let search = Search { filter, now: reading.now(), claim: None };
        let mut groups = self.with(queue, |queue| search.groups(queue));
        for group in &mut groups {
            reading.entry_to_wall(&mut group.example);
            (group.first_seen, group.last_seen) =
                (reading.to_wall(group.first_seen), reading.to_wall(group.last_seen));
        }
        ready_ok(groups)
    }

    fn frequencies<'a>(&'a self, queue: &'a str, last: Duration) -> Pending<'a, Vec<Frequency>> {
        let from = first_minute(self.clock.read().now(), last);
        ready_ok(self.with(queue, |queue| {
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

    fn claim<'a>(
        &'a self,
        queue: &'a str,
        filter: &'a LetterFilter,
        claim: Claim,
    ) -> Pending<'a, Vec<Entry>> {
        let reading = self.clock.read();
        let lease_now = reading.lease_to_store(claim.now);
        let claimable = Claimable {
            now: reading.to_store(claim.now),
            due_by: claim.due_by.map(|by| reading.to_store(by)),
            lease_now,
        };
        let search = Search { filter, now: reading.now(), claim: Some(claimable) };
        let until = moment::later(lease_now, claim.lease);
        let claimed = self.with(queue, |queue| {
            let ids = search.find(queue, filter.limit.unwrap_or(usize::MAX));
            let mut bytes = 0_u64;
            let hold = |id: &LetterId| {
                let stored = queue.letters.get_mut(id).filter(|_| bytes < claim.bytes)?;
                bytes = bytes.saturating_add(stored.entry.size());
                stored.held = Some((claim.owner, until));
                Some(stored.entry.clone())
            };
            ids.iter().filter_map(hold).collect()
        });
        ready_ok(to_wall(claimed, reading))
    }

    fn renew<'a>(&'a self, queue: &'a str, ids: &'a [LetterId], claim: Claim) -> Pending<'a, Vec<LetterId>> {
        let until = moment::later(self.clock.read().lease_to_store(claim.now), claim.lease);
        ready_ok(self.with(queue, |queue| {
            let still_held = |id: &&LetterId| match queue.letters.get_mut(id).map(|stored| &mut stored.held) {
                Some(Some((owner, lease))) if *owner == claim.owner => {
                    *lease = until;
                    true
                }
                _ => false,
            };
            ids.iter().filter(still_held).copied().collect()
        }))
    }

    fn settle<'a>(&'a self, queue: &'a str, owner: Owner, settled: Vec<Settled>) -> Pending<'a, Vec<bool>> {
        let reading = self.clock.read();
        let lease_now = reading.lease_to_store(moment::now());
        ready_ok(self.with(queue, |queue| {
            let mut settle = |settled: Settled| match settled {
                Settled::Delivered(id) => queue.remove(id).is_some(),
                Settled::Failed(mut entry) => {
                    reading.entry_to_store(&mut entry);
                    let failed = entry.clone();
                    let replaced = queue.replace(entry, owner, lease_now);
                    if replaced {
                        queue.count_failure(&failed, reading.now());
                    }
                    replaced
                }
                Settled::Changed(mut entry) => {
                    reading.entry_to_store(&mut entry);
                    queue.replace(entry, owner, lease_now)
                }
                Settled::Released(id) => queue.letters.get_mut(&id).is_some_and(|stored| {
                    !stored.is_held_by_other(owner, lease_now) && stored.held.take().is_some()
                }),
            };
            settled.into_iter().map(&mut settle).collect()
        }))
    }

    fn purge<'a>(&'a self, queue: &'a str, mut record: PurgeRecord) -> Pending<'a, PurgeRecord> {
        let now = self.clock.read().now();
        ready_ok(self.with(queue, |queue| {
            let search = Search { filter: &record.filter, now, claim: None };
            let ids = search.find(queue, record.filter.limit.unwrap_or(usize::MAX));
            record.purged = queue.remove_all(ids);
            queue.purges.push_front(record.clone());
            queue.purges.truncate(PURGES_KEPT);
            record
        }))
    }

    fn purges<'a>(&'a self, queue: &'a str) -> Pending<'a, Vec<PurgeRecord>> {
        ready_ok(self.with(queue, |queue| queue.purges.iter().cloned().collect()))
    }

    fn expire<'a>(&'a self, queue: &'a str, now: SystemTime) -> Pending<'a, u64> {
        let now = self.clock.read().to_store(now);
        ready_ok(self.with(queue, |queue| {
            let expired = queue.expired(now);
            queue.remove_all(expired)
        }))
    }

    fn depth(&self, queue: &str) -> Depth {
        self.with(queue, |queue| Depth {
            waiting: queue.letters.len() as u64,
            oldest: queue.letters.first_key_value().map(|(id, _)| id.made_at()),
            bytes: queue.bytes,
            ..Depth::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::queue::FAILURES;
    use super::*;
    use crate::base::outcome::FailureKind;
    use crate::store::WhenFull;
    use crate::store::group::{CAUSES, minute};

    fn entry(cause: u64) -> Entry {
        let now = moment::now();
        Entry {
            id: LetterId::new(),
            queue: "orders".into(),
            component: "orders".into(),
            kind: FailureKind::Error,
            fingerprint: Fingerprint::from_bits(cause),
            first_failed: now,
            last_failed: now,
            due: None,
            expires: None,
            set_aside: false,
            head: Vec::new(),
            body: Vec::new(),
        }
    }

    #[test]
    fn the_number_of_failure_counts_is_bounded() {
        let mut queue = Queue::default();
        let mut entry = entry(0);
        let now = entry.last_failed;
        entry.last_failed -= Duration::from_secs(3_600);
        queue.count_failure(&entry, now);
        let causes = CAUSES as u64;
        for minute in 0..FAILURES as u64 / causes + 1 {
            entry.last_failed = now + Duration::from_secs(60 * minute);
            for cause in 1..=causes {
                entry.fingerprint = Fingerprint::from_bits(cause);
                queue.count_failure(&entry, entry.last_failed);
            }
        }
        assert_eq!(queue.failures.len(), FAILURES);
        assert!(queue.failures.keys().all(|(at, _)| *at >= minute(now)), "the oldest goes first");
    }

    /// The number of visits for each page, in a queue of `letters` and half as many causes of `orders`.
    async fn visits_of(letters: u64) -> Vec<u64> {
        let store = MemoryStore::default();
        let limits = Limits { capacity: u64::MAX, bytes: u64::MAX, when_full: WhenFull::RefuseNew };
        for number in 0..letters {
            let mut entry = entry(number);
            match number % 8 {
                0..4 => entry.component = "mails".into(),
                4 => entry.due = Some(moment::later(entry.last_failed, Duration::from_secs(3_600))),
                5 => entry.set_aside = true,
                _ => {}
            }
            store.put(entry, limits).await.unwrap();
        }
        let orders = LetterFilter::all().component("orders").limit(16);
        let claim = |due_by| Claim {
            owner: Owner::new(),
            now: moment::now(),
            lease: Duration::ZERO,
            due_by,
            bytes: u64::MAX,
        };
        let now = moment::now();
        let mut visits = Vec::new();
        super::super::search::visits::take();
        for filter in [
            &orders,
            &LetterFilter::all().limit(16),
            &orders.clone().kind(FailureKind::Error).set_aside(true),
        ] {
            assert_eq!(store.claim("orders", filter, claim(Some(now))).await.unwrap().len(), 16);
            visits.push(super::super::search::visits::take());
            assert_eq!(store.list("orders", filter).await.unwrap().len(), 16);
            visits.push(super::super::search::visits::take());
        }
        for filter in [&orders, &LetterFilter::all().limit(16)] {
            assert_eq!(store.groups("orders", filter).await.unwrap().len(), 16);
            visits.push(super::super::search::visits::take());
        }
        visits
    }

    #[tokio::test]
    async fn the_cost_of_a_page_depends_on_its_length_only() {
        let (few, many) = (visits_of(1_000).await, visits_of(100_000).await);
        assert_eq!(few, many);
        assert!(many.iter().all(|visits| *visits <= 48), "{many:?}");
    }
}
