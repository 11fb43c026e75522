//! Last good answers, by key, within bounds of count, bytes and age.
//!
//! Keys are fingerprints of 128 bits by two keyed hashers, so that no code of a user runs under the lock, and no key, which may
//! hold a secret, is kept.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::kinds::NotKept;
use super::policy::Policy;
use crate::base::clock::{self, Tick};
use crate::base::sync::Mutex;

/// The bytes that an answer takes besides its own.
const OVERHEAD: usize = 128;

/// The fingerprint of a key.
pub(super) type Fingerprint = u128;

pub(super) struct Store<V> {
    answers: Mutex<Answers<V>>,
    hashers: [RandomState; 2],
    /// What counts the answers.
    policy: OnceLock<Arc<Policy>>,
}

struct Answers<V> {
    by_key: HashMap<Fingerprint, Entry<V>>,
    /// The keys by the time of their answers, oldest first.
    by_age: BTreeMap<u64, Fingerprint>,
    bytes: usize,
    next: u64,
}

struct Entry<V> {
    answer: Arc<V>,
    at: Tick,
    bytes: usize,
    number: u64,
}

impl<V> Answers<V> {
    fn remove(&mut self, key: Fingerprint) -> Option<Entry<V>> {
        let entry = self.by_key.remove(&key)?;
        self.by_age.remove(&entry.number);
        self.bytes -= entry.bytes;
        Some(entry)
    }

    fn oldest(&self) -> Option<(Fingerprint, Tick)> {
        let key = *self.by_age.first_key_value()?.1;
        Some((key, self.by_key.get(&key)?.at))
    }
}

impl<V> Store<V> {
    pub(super) fn new() -> Self {
        let answers = Answers { by_key: HashMap::new(), by_age: BTreeMap::new(), bytes: 0, next: 0 };
        let hashers = [RandomState::new(), RandomState::new()];
        Self { answers: Mutex::new(answers), hashers, policy: OnceLock::new() }
    }

    pub(super) fn fingerprint(&self, key: &impl Hash) -> Fingerprint {
        let [low, high] = self.hashers.each_ref().map(|hasher| u128::from(hasher.hash_one(key)));
        high << 64 | low
    }

    /// Keeps an answer of this size, and drops the oldest ones that exceed the bounds.
    pub(super) fn put(&self, policy: &Arc<Policy>, key: Fingerprint, answer: V, size: usize) {
        let settings = &policy.settings;
        let counters = &self.policy.get_or_init(|| Arc::clone(policy)).counters;
        let bytes = size.saturating_add(OVERHEAD);
        if bytes > settings.max_bytes {
            counters.not_kept(NotKept::TooLarge);
            return;
        }
        let answer = Arc::new(answer);
        let now = clock::now();
        // Dropped without the lock.
        let mut dropped = Vec::new();
        let mut answers = self.answers.lock();
        if let Some(entry) = answers.remove(key) {
            counters.removed(entry.bytes);
            dropped.push(entry);
        }
        while let Some((oldest, at)) = answers.oldest() {
            let is_full =
                answers.by_key.len() >= settings.max_answers || answers.bytes + bytes > settings.max_bytes;
            if !is_full && now.since(at) <= settings.max_age {
                break;
            }
            let Some(entry) = answers.remove(oldest) else { break };
            counters.evicted(entry.bytes);
            dropped.push(entry);
        }
        let number = answers.next;
        answers.next += 1;
        answers.bytes += bytes;
        answers.by_age.insert(number, key);
        answers.by_key.insert(key, Entry { answer, at: now, bytes, number });
        counters.kept(bytes);
        drop(answers);
        drop(dropped);
    }

    /// The answer to this key and its age, unless it is too old.
    pub(super) fn get(&self, policy: &Policy, key: Fingerprint) -> Option<(Arc<V>, Duration)> {
        let now = clock::now();
        let mut answers = self.answers.lock();
        let entry = answers.by_key.get(&key)?;
        let age = now.since(entry.at);
        if age <= policy.settings.max_age {
            return Some((Arc::clone(&entry.answer), age));
        }
        let expired = answers.remove(key);
        drop(answers);
        if let Some(entry) = &expired {
            policy.counters.evicted(entry.bytes);
        }
        None
    }
}

impl<V> Drop for Store<V> {
    fn drop(&mut self) {
        if let Some(policy) = self.policy.get() {
            for entry in self.answers.lock().by_key.values() {
                policy.counters.removed(entry.bytes);
            }
        }
    }
}

impl<V> fmt::Debug for Store<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}
