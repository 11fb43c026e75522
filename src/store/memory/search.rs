//! Finding the letters that a filter means without looking at all of them.

use std::collections::BTreeMap;
use std::time::SystemTime;

use super::queue::{By, FIRST, Kept, LAST, Lane, Queue};
use crate::store::{Entry, Fingerprint, Group, LetterFilter, LetterId};

/// The number of due letters that are sorted at once. Of more, those that have been due for longest come first.
const DUE: usize = 1_024;

/// Which letters are looked for, by the clock of the store.
pub(super) struct Search<'a> {
    pub(super) filter: &'a LetterFilter,
    pub(super) now: SystemTime,
    /// Only those that are free.
    pub(super) claim: Option<Free>,
}

/// What a letter must be like to be claimed.
#[derive(Clone, Copy)]
pub(super) struct Free {
    pub(super) now: SystemTime,
    pub(super) due_by: Option<SystemTime>,
    /// Now, by the clock that leases end by.
    pub(super) leased: SystemTime,
}

/// What is known of a group before its example is read.
struct Sum {
    letters: u64,
    newest: LetterId,
}

impl Search<'_> {
    /// The oldest `limit` letters that are meant.
    pub(super) fn find(&self, queue: &Queue, limit: usize) -> Vec<LetterId> {
        if limit == 0 {
            return Vec::new();
        }
        if let Some(id) = self.filter.id {
            return queue
                .letters
                .get(&id)
                .filter(|kept| self.is_meant(kept))
                .map(|_| id)
                .into_iter()
                .collect();
        }
        let mut found = Vec::new();
        let due_by = self.claim.and_then(|claim| claim.due_by);
        for by in self.ways(queue) {
            for &lane in self.lanes() {
                match (lane, by, due_by) {
                    (Lane::Due, By::All | By::Origin(_), Some(due_by)) => {
                        let origins = match by {
                            By::Origin(origin) => origin..=origin,
                            _ => 0..=u32::try_from(queue.origins.len()).unwrap_or(u32::MAX),
                        };
                        origins.for_each(|origin| self.due(queue, origin, due_by, &mut found));
                    }
                    _ => found.extend(self.walk(queue, by, lane).take(limit)),
                }
            }
        }
        found.sort_unstable();
        found.truncate(limit);
        found
    }

    fn walk<'q>(&'q self, queue: &'q Queue, by: By, lane: Lane) -> impl Iterator<Item = LetterId> + 'q {
        let after = self.filter.after.unwrap_or(LetterId::from_bytes(FIRST));
        let up_to = self.filter.up_to.unwrap_or(LetterId::from_bytes(LAST));
        // A range must not end before it begins.
        let range = queue.places.range((by, lane, after.min(up_to))..=(by, lane, up_to));
        range.map(|(_, _, id)| *id).filter(|id| self.is_meant_by(queue, *id))
    }

    /// The letters of an origin that are due, those first that have been for longest.
    fn due(&self, queue: &Queue, origin: u32, by: SystemTime, found: &mut Vec<LetterId>) {
        let (first, last) = (LetterId::from_bytes(FIRST), LetterId::from_bytes(LAST));
        let range = queue.due.range((origin, SystemTime::UNIX_EPOCH, first)..=(origin, by, last));
        found.extend(range.map(|(_, _, id)| *id).filter(|id| self.is_meant_by(queue, *id)).take(DUE));
    }

    fn is_meant_by(&self, queue: &Queue, id: LetterId) -> bool {
        queue.letters.get(&id).is_some_and(|kept| self.is_meant(kept))
    }

    fn is_meant(&self, kept: &Kept) -> bool {
        #[cfg(test)]
        looked::count();
        let entry = &kept.entry;
        self.filter.matches_at(entry, self.now)
            && self.claim.is_none_or(|claim| {
                (!entry.set_aside || self.filter.set_aside == Some(true))
                    && !entry.has_expired(claim.now)
                    && claim.due_by.is_none_or(|by| entry.due.is_none_or(|due| due <= by))
                    && kept.held.is_none_or(|(_, until)| until <= claim.leased)
            })
    }

    fn ways(&self, queue: &Queue) -> Vec<By> {
        let LetterFilter { component, kind, fingerprint, .. } = self.filter;
        match fingerprint {
            Some(fingerprint) => vec![By::Cause(*fingerprint)],
            None if component.is_none() && kind.is_none() => vec![By::All],
            None => self.origins(queue).map(By::Origin).collect(),
        }
    }

    /// The origins that are meant.
    fn origins<'q>(&'q self, queue: &'q Queue) -> impl Iterator<Item = u32> + 'q {
        let LetterFilter { component, kind, .. } = self.filter;
        (0_u32..).zip(&queue.origins).filter_map(move |(origin, (of, how))| {
            let meant = component.as_deref().is_none_or(|component| component == &**of)
                && kind.is_none_or(|kind| kind == *how);
            meant.then_some(origin)
        })
    }

    fn lanes(&self) -> &'static [Lane] {
        match self.filter.set_aside.or(self.claim.map(|_| false)) {
            None => &[Lane::Free, Lane::Due, Lane::Aside],
            Some(false) => &[Lane::Free, Lane::Due],
            Some(true) => &[Lane::Aside],
        }
    }

    /// The largest groups that are meant, at most as many as the filter says.
    pub(super) fn groups(&self, queue: &Queue) -> Vec<Group> {
        let limit = self.filter.limit.unwrap_or(usize::MAX);
        let mut sums = if self.filter.is_by_cause_alone() && queue.mixed == 0 {
            self.largest(queue, limit)
        } else {
            self.sums(queue)
        };
        sums.sort_unstable_by(|(a, one), (b, other)| other.letters.cmp(&one.letters).then(a.cmp(b)));
        sums.truncate(limit);
        let group = |(fingerprint, sum): (Fingerprint, Sum)| {
            let example: Entry = queue.letters.get(&sum.newest)?.entry.clone();
            let seen = queue.seen.get(&fingerprint)?;
            let (first_seen, last_seen) = (seen.first, seen.last);
            Some(Group { fingerprint, letters: sum.letters, first_seen, last_seen, example })
        };
        sums.into_iter().filter_map(group).collect()
    }

    /// By the sizes that are kept: each cause has one origin.
    fn largest(&self, queue: &Queue, limit: usize) -> Vec<(Fingerprint, Sum)> {
        let mut largest = Vec::new();
        for origin in self.origins(queue) {
            let none = Fingerprint::from_bits(0);
            let from = (origin, std::cmp::Reverse(u64::MAX), none);
            let of_origin = queue.sizes.range(from..).take_while(|(of, ..)| *of == origin);
            let meant =
                of_origin.filter(|(_, _, print)| self.filter.fingerprint.is_none_or(|only| only == *print));
            for (_, letters, print) in meant.take(limit) {
                #[cfg(test)]
                looked::count();
                let newest = [Lane::Free, Lane::Due, Lane::Aside].map(|lane| newest(queue, *print, lane));
                if let Some(newest) = newest.into_iter().flatten().max() {
                    largest.push((*print, Sum { letters: letters.0, newest }));
                }
            }
        }
        largest
    }

    fn sums(&self, queue: &Queue) -> Vec<(Fingerprint, Sum)> {
        let mut sums: BTreeMap<Fingerprint, Sum> = BTreeMap::new();
        for id in self.find(queue, usize::MAX) {
            let Some(kept) = queue.letters.get(&id) else { continue };
            let sum = sums.entry(kept.entry.fingerprint).or_insert(Sum { letters: 0, newest: id });
            sum.letters += 1;
            sum.newest = sum.newest.max(id);
        }
        sums.into_iter().collect()
    }
}

fn newest(queue: &Queue, print: Fingerprint, lane: Lane) -> Option<LetterId> {
    let (first, last) = (LetterId::from_bytes(FIRST), LetterId::from_bytes(LAST));
    let by = By::Cause(print);
    queue.places.range((by, lane, first)..=(by, lane, last)).next_back().map(|(_, _, id)| *id)
}

/// How many letters and groups were looked at.
#[cfg(test)]
pub(super) mod looked {
    use std::cell::Cell;

    thread_local! {
        static LOOKED: Cell<u64> = const { Cell::new(0) };
    }

    pub(super) fn count() {
        LOOKED.set(LOOKED.get() + 1);
    }

    pub(in crate::store) fn take() -> u64 {
        LOOKED.take()
    }
}
