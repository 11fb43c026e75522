//! One queue: its letters, and what they are found by.
//!
//! Each index leads to letters in the order of their ids, so that a page costs what it shows, however many letters and
//! causes there are.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::SystemTime;

use crate::base::outcome::FailureKind;
use crate::store::group::{CAUSES, minute};
use crate::store::{
    Entry, Fingerprint, LONGEST_LOOK_BACK, LetterId, Limits, Owner, PurgeRecord, Put, WhenFull,
};

/// What is known of failures by cause and minute, of which letters are not the only ones: those of letters that are gone
/// count too. Beyond this many the oldest are forgotten.
pub(super) const FAILURES: usize = 50_000;

/// The smallest and the largest id there can be.
pub(super) const FIRST: [u8; 16] = [0; 16];
pub(super) const LAST: [u8; 16] = [0xff; 16];

/// Letters that a claim takes in the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lane {
    /// At any time.
    Free,
    /// From a set time on.
    Due,
    /// Not unless asked for.
    Aside,
}

/// What letters have in common that are found together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum By {
    All,
    Origin(u32),
    Cause(Fingerprint),
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) letters: BTreeMap<LetterId, Kept>,
    /// In the order in which they came, whatever their ids say.
    arrivals: BTreeMap<u64, LetterId>,
    came: u64,
    pub(super) bytes: u64,
    /// Each component and kind; its place is its number.
    pub(super) origins: Vec<(Arc<str>, FailureKind)>,
    pub(super) places: BTreeSet<(By, Lane, LetterId)>,
    pub(super) due: BTreeSet<(u32, SystemTime, LetterId)>,
    expiry: BTreeSet<(SystemTime, LetterId)>,
    /// The letters of each cause and origin.
    causes: BTreeMap<(Fingerprint, u32), u64>,
    /// The largest causes of each origin first.
    pub(super) sizes: BTreeSet<(u32, Reverse<u64>, Fingerprint)>,
    /// Causes of more than one origin.
    pub(super) mixed: usize,
    /// When the causes of those that wait were seen first and last.
    pub(super) seen: BTreeMap<Fingerprint, Seen>,
    pub(super) failures: BTreeMap<(u64, Fingerprint), Failures>,
    pub(super) purges: VecDeque<PurgeRecord>,
}

#[derive(Debug)]
pub(super) struct Kept {
    pub(super) entry: Entry,
    arrival: u64,
    origin: u32,
    /// Who holds it, and until when.
    pub(super) held: Option<(Owner, SystemTime)>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    letters: u64,
    pub(super) first: SystemTime,
    pub(super) last: SystemTime,
}

/// What failed within one minute.
#[derive(Debug)]
pub(super) struct Failures {
    pub(super) component: Arc<str>,
    pub(super) kind: FailureKind,
    pub(super) count: u64,
}

impl Kept {
    fn lane(&self) -> Lane {
        match (self.entry.set_aside, self.entry.due) {
            (true, _) => Lane::Aside,
            (false, Some(_)) => Lane::Due,
            (false, None) => Lane::Free,
        }
    }

    /// Whether an owner other than `owner` holds it.
    pub(super) fn is_held(&self, owner: Owner, now: SystemTime) -> bool {
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
            // Dropping all others would not make room for one that is larger than all there is.
            match oldest {
                Some(oldest) if limits.when_full == WhenFull::DropOldest && size <= limits.bytes => {
                    self.remove(oldest);
                    evicted += 1;
                }
                _ => return Put::Full,
            }
        }
        self.count_failure(&entry, now);
        self.came += 1;
        self.insert(entry, self.came);
        Put::Kept { evicted }
    }

    fn insert(&mut self, entry: Entry, arrival: u64) {
        let origin = self.origin(&entry);
        let print = entry.fingerprint;
        self.bytes += entry.size();
        let seen = self.seen.entry(print).or_insert(Seen {
            letters: 0,
            first: entry.first_failed,
            last: entry.last_failed,
        });
        seen.letters += 1;
        seen.first = seen.first.min(entry.first_failed);
        seen.last = seen.last.max(entry.last_failed);
        self.resize(print, origin, |letters| letters + 1);
        let kept = Kept { entry, arrival, origin, held: None };
        self.index(&kept, true);
        self.letters.insert(kept.entry.id, kept);
    }

    pub(super) fn remove(&mut self, id: LetterId) -> Option<Kept> {
        let kept = self.letters.remove(&id)?;
        let print = kept.entry.fingerprint;
        self.index(&kept, false);
        self.bytes = self.bytes.saturating_sub(kept.entry.size());
        self.resize(print, kept.origin, |letters| letters - 1);
        if let Some(seen) = self.seen.get_mut(&print) {
            seen.letters -= 1;
            if seen.letters == 0 {
                self.seen.remove(&print);
            }
        }
        if self.letters.is_empty() {
            self.origins.clear();
        }
        Some(kept)
    }

    /// Puts `entry` in the place of the one with its id, unless that is gone or another owner holds it.
    pub(super) fn replace(&mut self, entry: Entry, owner: Owner, leased: SystemTime) -> bool {
        let print = entry.fingerprint;
        let before = self.seen.get(&print).copied();
        if self.letters.get(&entry.id).is_none_or(|kept| kept.is_held(owner, leased)) {
            return false;
        }
        let Some(old) = self.remove(entry.id) else { return false };
        self.insert(entry, old.arrival);
        // Its group was never empty, even if it is alone in it.
        if let (Some(seen), Some(before)) = (self.seen.get_mut(&print), before) {
            seen.first = seen.first.min(before.first);
            seen.last = seen.last.max(before.last);
        }
        true
    }

    /// Enters a letter in each index, or takes it out.
    fn index(&mut self, kept: &Kept, enter: bool) {
        let Kept { entry, arrival, origin, .. } = kept;
        let (id, lane) = (entry.id, kept.lane());
        for by in [By::All, By::Origin(*origin), By::Cause(entry.fingerprint)] {
            put_or_take(&mut self.places, (by, lane, id), enter);
        }
        if let (Lane::Due, Some(due)) = (lane, entry.due) {
            put_or_take(&mut self.due, (*origin, due, id), enter);
        }
        if let Some(expires) = entry.expires {
            put_or_take(&mut self.expiry, (expires, id), enter);
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

    /// Changes how many letters a cause has of an origin.
    fn resize(&mut self, print: Fingerprint, origin: u32, change: impl FnOnce(u64) -> u64) {
        let before = self.causes.get(&(print, origin)).copied().unwrap_or(0);
        let after = change(before);
        self.sizes.remove(&(origin, Reverse(before), print));
        let was_mixed = self.is_mixed(print);
        if after > 0 {
            self.sizes.insert((origin, Reverse(after), print));
            self.causes.insert((print, origin), after);
        } else {
            self.causes.remove(&(print, origin));
        }
        self.mixed = self.mixed + usize::from(self.is_mixed(print)) - usize::from(was_mixed);
    }

    fn is_mixed(&self, print: Fingerprint) -> bool {
        self.causes.range((print, 0)..=(print, u32::MAX)).nth(1).is_some()
    }

    pub(super) fn count_failure(&mut self, entry: &Entry, now: SystemTime) {
        let now = minute(now);
        let oldest = now.saturating_sub(LONGEST_LOOK_BACK.as_secs() / 60);
        while self.failures.first_key_value().is_some_and(|((minute, _), _)| *minute < oldest) {
            self.failures.pop_first();
        }
        // No later than now, whatever the clock said that it is dated by.
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

    /// Those whose time is over at `now`.
    pub(super) fn expired(&self, now: SystemTime) -> Vec<LetterId> {
        let last = LetterId::from_bytes(LAST);
        self.expiry.range(..=(now, last)).map(|(_, id)| *id).collect()
    }

    pub(super) fn remove_all(&mut self, ids: Vec<LetterId>) -> u64 {
        ids.into_iter().filter(|id| self.remove(*id).is_some()).count() as u64
    }
}

fn put_or_take<T: Ord>(set: &mut BTreeSet<T>, value: T, put: bool) {
    if put {
        set.insert(value);
    } else {
        set.remove(&value);
    }
}
