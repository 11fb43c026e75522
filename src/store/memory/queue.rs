//! One queue: its letters and their indexes.
//!
//! Each index yields letters in the order of their ids, so that the cost of a page depends on its length only, not on the
//! number of letters and causes.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::SystemTime;

use crate::base::outcome::FailureKind;
use crate::store::group::{CAUSES, LONGEST_LOOK_BACK, minute};
use crate::store::{Entry, Fingerprint, LetterId, Limits, Owner, PurgeRecord, Put, WhenFull};

/// The number of failure counts, one for each pair of minute and fingerprint, that a queue keeps. It drops the oldest.
pub(super) const FAILURES: usize = 50_000;

/// The smallest and the largest possible id.
pub(super) const FIRST_ID: [u8; 16] = [0; 16];
pub(super) const LAST_ID: [u8; 16] = [0xff; 16];

/// When a claim may take a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Availability {
    Anytime,
    /// From its due time on.
    Due,
    /// Only when the filter asks for letters that are set aside.
    SetAside,
}

/// The property by which an index finds letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum IndexKey {
    All,
    /// The number of a component and kind, in [`Queue::origins`].
    Origin(u32),
    Cause(Fingerprint),
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) letters: BTreeMap<LetterId, Stored>,
    /// In the order of arrival. Ids follow the clocks of the processes that made them.
    arrivals: BTreeMap<u64, LetterId>,
    last_arrival: u64,
    pub(super) bytes: u64,
    /// Each component and kind. Its position is its number.
    pub(super) origins: Vec<(Arc<str>, FailureKind)>,
    pub(super) by_key: BTreeSet<(IndexKey, Availability, LetterId)>,
    pub(super) due: BTreeSet<(u32, SystemTime, LetterId)>,
    expiry: BTreeSet<(SystemTime, LetterId)>,
    /// The number of letters of each cause and origin.
    causes: BTreeMap<(Fingerprint, u32), u64>,
    /// The causes of each origin, largest first.
    pub(super) sizes: BTreeSet<(u32, Reverse<u64>, Fingerprint)>,
    /// The number of causes that have more than one origin.
    pub(super) mixed: usize,
    /// The first and last failure of each cause that has letters.
    pub(super) seen: BTreeMap<Fingerprint, Seen>,
    pub(super) failures: BTreeMap<(u64, Fingerprint), Failures>,
    pub(super) purges: VecDeque<PurgeRecord>,
}

#[derive(Debug)]
pub(super) struct Stored {
    pub(super) entry: Entry,
    arrival: u64,
    origin: u32,
    /// The owner that holds it, and the end of its lease.
    pub(super) held: Option<(Owner, SystemTime)>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    letters: u64,
    pub(super) first: SystemTime,
    pub(super) last: SystemTime,
}

/// The failures of one cause within one minute.
#[derive(Debug)]
pub(super) struct Failures {
    pub(super) component: Arc<str>,
    pub(super) kind: FailureKind,
    pub(super) count: u64,
}

impl Stored {
    fn availability(&self) -> Availability {
        match (self.entry.set_aside, self.entry.due) {
            (true, _) => Availability::SetAside,
            (false, Some(_)) => Availability::Due,
            (false, None) => Availability::Anytime,
        }
    }

    /// Whether an owner other than `owner` holds it.
    pub(super) fn is_held_by_other(&self, owner: Owner, now: SystemTime) -> bool {
        self.held.is_some_and(|(holder, until)| holder != owner && until > now)
    }
}

impl Queue {
    pub(super) fn put(&mut self, entry: Entry, limits: Limits, now: SystemTime) -> Put {
        if self.letters.contains_key(&entry.id) {
            return Put::Kept { evicted: 0 };
        }
        let size = entry.size();
        let mut evicted = 0;
        while self.letters.len() as u64 >= limits.capacity || self.bytes.saturating_add(size) > limits.bytes {
            let oldest = self.arrivals.first_key_value().map(|(_, id)| *id);
            // A letter that is larger than the limit does not fit even into an empty queue.
            match oldest {
                Some(oldest) if limits.when_full == WhenFull::DropOldest && size <= limits.bytes => {
                    self.remove(oldest);
                    evicted += 1;
                }
                _ => return Put::Full,
            }
        }
        self.count_failure(&entry, now);
        self.last_arrival += 1;
        self.insert(entry, self.last_arrival);
        Put::Kept { evicted }
    }

    fn insert(&mut self, entry: Entry, arrival: u64) {
        let origin = self.origin(&entry);
        let fingerprint = entry.fingerprint;
        self.bytes += entry.size();
        let seen = self.seen.entry(fingerprint).or_insert(Seen {
            letters: 0,
            first: entry.first_failed,
            last: entry.last_failed,
        });
        seen.letters += 1;
        seen.first = seen.first.min(entry.first_failed);
        seen.last = seen.last.max(entry.last_failed);
        self.update_group_size(fingerprint, origin, |letters| letters + 1);
        let stored = Stored { entry, arrival, origin, held: None };
        self.update_indexes(&stored, true);
        self.letters.insert(stored.entry.id, stored);
    }

    pub(super) fn remove(&mut self, id: LetterId) -> Option<Stored> {
        let stored = self.letters.remove(&id)?;
        let fingerprint = stored.entry.fingerprint;
        self.update_indexes(&stored, false);
        self.bytes = self.bytes.saturating_sub(stored.entry.size());
        self.update_group_size(fingerprint, stored.origin, |letters| letters - 1);
        if let Some(seen) = self.seen.get_mut(&fingerprint) {
            seen.letters -= 1;
            if seen.letters == 0 {
                self.seen.remove(&fingerprint);
            }
        }
        if self.letters.is_empty() {
            self.origins.clear();
        }
        Some(stored)
    }

    /// Replaces the entry of the same id by `entry`, unless it is gone or another owner holds it.
    pub(super) fn replace(&mut self, entry: Entry, owner: Owner, lease_now: SystemTime) -> bool {
        let fingerprint = entry.fingerprint;
        let before = self.seen.get(&fingerprint).copied();
        if self.letters.get(&entry.id).is_none_or(|stored| stored.is_held_by_other(owner, lease_now)) {
            return false;
        }
        let Some(old) = self.remove(entry.id) else { return false };
        self.insert(entry, old.arrival);
        // The group was never empty in between, even if this is its only letter.
        if let (Some(seen), Some(before)) = (self.seen.get_mut(&fingerprint), before) {
            seen.first = seen.first.min(before.first);
            seen.last = seen.last.max(before.last);
        }
        true
    }

    /// Adds a letter to each index, or removes it from each.
    fn update_indexes(&mut self, stored: &Stored, enter: bool) {
        let Stored { entry, arrival, origin, .. } = stored;
        let (id, availability) = (entry.id, stored.availability());
        for by in [IndexKey::All, IndexKey::Origin(*origin), IndexKey::Cause(entry.fingerprint)] {
            insert_or_remove(&mut self.by_key, (by, availability, id), enter);
        }
        if let (Availability::Due, Some(due)) = (availability, entry.due) {
            insert_or_remove(&mut self.due, (*origin, due, id), enter);
        }
        if let Some(expires) = entry.expires {
            insert_or_remove(&mut self.expiry, (expires, id), enter);
        }
        if enter {
            self.arrivals.insert(*arrival, id);
        } else {
            self.arrivals.remove(arrival);
        }
    }

    fn origin(&mut self, entry: &Entry) -> u32 {
        let is_it = |(component, kind): &(Arc<str>, FailureKind)| {
            *kind == entry.kind && **component == *entry.component
        };
        let place = self.origins.iter().position(is_it).unwrap_or_else(|| {
            self.origins.push((Arc::clone(&entry.component), entry.kind));
            self.origins.len() - 1
        });
        u32::try_from(place).unwrap_or(u32::MAX)
    }

    /// Changes the number of letters that a cause has of an origin.
    fn update_group_size(&mut self, fingerprint: Fingerprint, origin: u32, change: impl FnOnce(u64) -> u64) {
        let before = self.causes.get(&(fingerprint, origin)).copied().unwrap_or(0);
        let after = change(before);
        self.sizes.remove(&(origin, Reverse(before), fingerprint));
        let was_mixed = self.is_mixed(fingerprint);
        if after > 0 {
            self.sizes.insert((origin, Reverse(after), fingerprint));
            self.causes.insert((fingerprint, origin), after);
        } else {
            self.causes.remove(&(fingerprint, origin));
        }
        self.mixed = self.mixed + usize::from(self.is_mixed(fingerprint)) - usize::from(was_mixed);
    }

    fn is_mixed(&self, fingerprint: Fingerprint) -> bool {
        self.causes.range((fingerprint, 0)..=(fingerprint, u32::MAX)).nth(1).is_some()
    }

    pub(super) fn count_failure(&mut self, entry: &Entry, now: SystemTime) {
        let now = minute(now);
        let oldest = now.saturating_sub(LONGEST_LOOK_BACK.as_secs() / 60);
        while self.failures.first_key_value().is_some_and(|((minute, _), _)| *minute < oldest) {
            self.failures.pop_first();
        }
        // An entry may be dated by a clock that is ahead.
        let at = minute(entry.last_failed).min(now);
        if at < oldest {
            return;
        }
        let mut cause = entry.fingerprint;
        let of_minute = (at, Fingerprint::from_bits(0))..=(at, Fingerprint::from_bits(u64::MAX));
        if !self.failures.contains_key(&(at, cause)) && self.failures.range(of_minute).count() >= CAUSES {
            cause = Fingerprint::OTHER;
        }
        let failures = self.failures.entry((at, cause)).or_insert_with(|| Failures {
            component: Arc::clone(&entry.component),
            kind: entry.kind,
            count: 0,
        });
        failures.count += 1;
        while self.failures.len() > FAILURES {
            self.failures.pop_first();
        }
    }

    /// The letters that have expired at `now`.
    pub(super) fn expired(&self, now: SystemTime) -> Vec<LetterId> {
        let last = LetterId::from_bytes(LAST_ID);
        self.expiry.range(..=(now, last)).map(|(_, id)| *id).collect()
    }

    pub(super) fn remove_all(&mut self, ids: Vec<LetterId>) -> u64 {
        ids.into_iter().filter(|id| self.remove(*id).is_some()).count() as u64
    }
}

fn insert_or_remove<T: Ord>(set: &mut BTreeSet<T>, value: T, put: bool) {
    if put {
        set.insert(value);
    } else {
        set.remove(&value);
    }
}
