//! Letters that live as long as the process.

use std::collections::BTreeMap;
use std::future::ready;
use std::ops::Bound;
use std::sync::Arc;

use super::{Depth, Entry, Filter, LetterId, Limits, Pending, Put, Store, WhenFull};
use crate::sync::Mutex;

/// Keeps letters in memory: for tests, and for tools that end with their work.
#[derive(Debug, Default)]
pub struct MemoryStore {
    queues: Mutex<BTreeMap<Arc<str>, BTreeMap<LetterId, Entry>>>,
}

impl MemoryStore {
    fn with<T>(&self, queue: &str, f: impl FnOnce(&mut BTreeMap<LetterId, Entry>) -> T) -> T {
        let mut queues = self.queues.lock();
        match queues.get_mut(queue) {
            Some(entries) => f(entries),
            None => f(queues.entry(queue.into()).or_default()),
        }
    }
}

fn done<'a, T: Send + 'a>(value: T) -> Pending<'a, T> {
    Box::pin(ready(Ok(value)))
}

impl Store for MemoryStore {
    fn put(&self, entry: Entry, limits: Limits) -> Pending<'_, Put> {
        let queue = Arc::clone(&entry.queue);
        done(self.with(&queue, |entries| {
            let mut evicted = 0;
            while entries.len() as u64 >= limits.capacity {
                if limits.when_full == WhenFull::RefuseNew || entries.pop_first().is_none() {
                    return Put::Full;
                }
                evicted += 1;
            }
            entries.insert(entry.id, entry);
            Put::Kept { evicted }
        }))
    }

    fn get<'a>(&'a self, queue: &'a str, id: LetterId) -> Pending<'a, Option<Entry>> {
        done(self.with(queue, |entries| entries.get(&id).cloned()))
    }

    fn list<'a>(&'a self, queue: &'a str, filter: &'a Filter) -> Pending<'a, Vec<Entry>> {
        done(self.with(queue, |entries| {
            let start = filter.after.map_or(Bound::Unbounded, Bound::Excluded);
            let found = entries.range((start, Bound::Unbounded)).map(|(_, entry)| entry);
            found
                .filter(|entry| filter.matches(entry))
                .take(filter.limit.unwrap_or(usize::MAX))
                .cloned()
                .collect()
        }))
    }

    fn replace(&self, entry: Entry) -> Pending<'_, bool> {
        let queue = Arc::clone(&entry.queue);
        done(self.with(&queue, |entries| match entries.get_mut(&entry.id) {
            Some(place) => {
                *place = entry;
                true
            }
            None => false,
        }))
    }

    fn remove<'a>(&'a self, queue: &'a str, id: LetterId) -> Pending<'a, bool> {
        done(self.with(queue, |entries| entries.remove(&id).is_some()))
    }

    fn purge<'a>(&'a self, queue: &'a str, filter: &'a Filter) -> Pending<'a, u64> {
        done(self.with(queue, |entries| {
            let mut left = filter.limit.unwrap_or(usize::MAX);
            let before = entries.len();
            entries.retain(|_, entry| {
                let goes = left > 0 && filter.matches(entry);
                left -= usize::from(goes);
                !goes
            });
            (before - entries.len()) as u64
        }))
    }

    fn count<'a>(&'a self, queue: &'a str) -> Pending<'a, u64> {
        done(self.with(queue, |entries| entries.len() as u64))
    }

    fn depth(&self, queue: &str) -> Depth {
        self.with(queue, |entries| Depth {
            waiting: entries.len() as u64,
            oldest: entries.first_key_value().map(|(id, _)| id.made_at()),
        })
    }
}
