//! Finding the letters that match a filter without visiting all letters.

use std::collections::BTreeMap;
use std::time::SystemTime;

use super::queue::{Availability, FIRST_ID, IndexKey, LAST_ID, Queue, Stored};
use crate::store::{Entry, Fingerprint, Group, LetterFilter, LetterId};

/// The number of due letters that are sorted by id. If more are due, those that have been due for longest come first.
const DUE_AT_ONCE: usize = 1_024;

/// A search for letters. Its times are by the clock of the store.
pub(super) struct Search<'a> {
    pub(super) filter: &'a LetterFilter,
    pub(super) now: SystemTime,
    /// Finds only letters that can be claimed.
    pub(super) claim: Option<Claimable>,
}

/// The conditions under which a letter can be claimed.
#[derive(Clone, Copy)]
pub(super) struct Claimable {
    pub(super) now: SystemTime,
    pub(super) due_by: Option<SystemTime>,
    /// The current time, converted as the end of a lease is.
    pub(super) lease_now: SystemTime,
}

/// A group without its example.
struct Summary {
    letters: u64,
    newest: LetterId,
}

impl Search<'_> {
    /// The oldest `limit` letters that match.
    pub(super) fn find(&self, queue: &Queue, limit: usize) -> Vec<LetterId> {
        if limit == 0 {
            return Vec::new();
        }
        if let Some(id) = self.filter.id {
            return queue
                .letters
                .get(&id)
                .filter(|stored| self.matches(stored))
                .map(|_| id)
                .into_iter()
                .collect();
        }
        let mut found = Vec::new();
        let due_by = self.claim.and_then(|claim| claim.due_by);
        for by in self.index_keys(queue) {
            for &availability in self.availabilities() {
                match (availability, by, due_by) {
                    (Availability::Due, IndexKey::All | IndexKey::Origin(_), Some(due_by)) => {
                        let origins = match by {
                            IndexKey::Origin(origin) => origin..=origin,
                            _ => 0..=u32::try_from(queue.origins.len()).unwrap_or(u32::MAX),
                        };
                        origins.for_each(|origin| self.due(queue, origin, due_by, &mut found));
                    }
                    _ => found.extend(self.walk(queue, by, availability).take(limit)),
                }
            }
        }
        found.sort_unstable();
        found.truncate(limit);
        found
    }

    fn walk<'q>(
        &'q self,
        queue: &'q Queue,
        by: IndexKey,
        availability: Availability,
    ) -> impl Iterator<Item = LetterId> + 'q {
        let after = self.filter.after.unwrap_or(LetterId::from_bytes(FIRST_ID));
        let up_to = self.filter.up_to.unwrap_or(LetterId::from_bytes(LAST_ID));
        // A range must not end before it begins.
        let range = queue.by_key.range((by, availability, after.min(up_to))..=(by, availability, up_to));
        range.map(|(_, _, id)| *id).filter(|id| self.matches_id(queue, *id))
    }

    /// The due letters of an origin, those first that have been due for longest.
    fn due(&self, queue: &Queue, origin: u32, by: SystemTime, found: &mut Vec<LetterId>) {
        let (first, last) = (LetterId::from_bytes(FIRST_ID), LetterId::from_bytes(LAST_ID));
        let range = queue.due.range((origin, SystemTime::UNIX_EPOCH, first)..=(origin, by, last));
        found.extend(range.map(|(_, _, id)| *id).filter(|id| self.matches_id(queue, *id)).take(DUE_AT_ONCE));
    }

    fn matches_id(&self, queue: &Queue, id: LetterId) -> bool {
        queue.letters.get(&id).is_some_and(|stored| self.matches(stored))
    }

    fn matches(&self, stored: &Stored) -> bool {
        #[cfg(test)]
        visits::count();
        let entry = &stored.entry;
        self.filter.matches_at(entry, self.now)
            && self.claim.is_none_or(|claim| {
                (!entry.set_aside || self.filter.set_aside == Some(true))
                    && !entry.has_expired(claim.now)
                    && claim.due_by.is_none_or(|by| entry.due.is_none_or(|due| due <= by))
                    && stored.held.is_none_or(|(_, until)| until <= claim.lease_now)
            })
    }

    fn index_keys(&self, queue: &Queue) -> Vec<IndexKey> {
        let LetterFilter { component, kind, fingerprint, .. } = self.filter;
        match fingerprint {
            Some(fingerprint) => vec![IndexKey::Cause(*fingerprint)],
            None if component.is_none() && kind.is_none() => vec![IndexKey::All],
            None => self.origins(queue).map(IndexKey::Origin).collect(),
        }
    }

    /// The origins that match the filter.
    fn origins<'q>(&'q self, queue: &'q Queue) -> impl Iterator<Item = u32> + 'q {
        let LetterFilter { component, kind, .. } = self.filter;
        (0_u32..).zip(&queue.origins).filter_map(move |(origin, (of, how))| {
            let matching = component.as_deref().is_none_or(|component| component == &**of)
                && kind.is_none_or(|kind| kind == *how);
            matching.then_some(origin)
        })
    }

    fn availabilities(&self) -> &'static [Availability] {
        match self.filter.set_aside.or(self.claim.map(|_| false)) {
            None => &[Availability::Anytime, Availability::Due, Availability::SetAside],
            Some(false) => &[Availability::Anytime, Availability::Due],
            Some(true) => &[Availability::SetAside],
        }
    }

    /// The largest groups, up to the limit of the filter.
    pub(super) fn groups(&self, queue: &Queue) -> Vec<Group> {
        let limit = self.filter.limit.unwrap_or(usize::MAX);
        let mut summaries = if self.filter.is_by_cause_alone() && queue.mixed == 0 {
            self.largest(queue, limit)
        } else {
            self.summaries(queue)
        };
        summaries.sort_unstable_by(|(a, one), (b, other)| other.letters.cmp(&one.letters).then(a.cmp(b)));
        summaries.truncate(limit);
        let group = |(fingerprint, summary): (Fingerprint, Summary)| {
            let example: Entry = queue.letters.get(&summary.newest)?.entry.clone();
            let seen = queue.seen.get(&fingerprint)?;
            let (first_seen, last_seen) = (seen.first, seen.last);
            Some(Group { fingerprint, letters: summary.letters, first_seen, last_seen, example })
        };
        summaries.into_iter().filter_map(group).collect()
    }

    /// The largest groups by the sizes that the queue keeps, where each cause has one origin.
    fn largest(&self, queue: &Queue, limit: usize) -> Vec<(Fingerprint, Summary)> {
        let mut largest = Vec::new();
        for origin in self.origins(queue) {
            let none = Fingerprint::from_bits(0);
            let from = (origin, std::cmp::Reverse(u64::MAX), none);
            let of_origin = queue.sizes.range(from..).take_while(|(of, ..)| *of == origin);
            let matching = of_origin.filter(|(_, _, fingerprint)| {
                self.filter.fingerprint.is_none_or(|only| only == *fingerprint)
            });
            for (_, letters, fingerprint) in matching.take(limit) {
                #[cfg(test)]
                visits::count();
                let newest = [Availability::Anytime, Availability::Due, Availability::SetAside]
                    .map(|availability| newest(queue, *fingerprint, availability));
                if let Some(newest) = newest.into_iter().flatten().max() {
                    largest.push((*fingerprint, Summary { letters: letters.0, newest }));
                }
            }
        }
        largest
    }

    fn summaries(&self, queue: &Queue) -> Vec<(Fingerprint, Summary)> {
        let mut summaries: BTreeMap<Fingerprint, Summary> = BTreeMap::new();
        for id in self.find(queue, usize::MAX) {
            let Some(stored) = queue.letters.get(&id) else { continue };
            let summary =
                summaries.entry(stored.entry.fingerprint).or_insert(Summary { letters: 0, newest: id });
            summary.letters += 1;
            summary.newest = summary.newest.max(id);
        }
        summaries.into_iter().collect()
    }
}

fn newest(queue: &Queue, fingerprint: Fingerprint, availability: Availability) -> Option<LetterId> {
    let (first, last) = (LetterId::from_bytes(FIRST_ID), LetterId::from_bytes(LAST_ID));
    let by = IndexKey::Cause(fingerprint);
    queue.by_key.range((by, availability, first)..=(by, availability, last)).next_back().map(|(_, _, id)| *id)
}

/// Counts the letters and groups that a search visits.
#[cfg(test)]
pub(super) mod visits {
    use std::cell::Cell;

    thread_local! {
        static VISITS: Cell<u64> = const { Cell::new(0) };
    }

    pub(super) fn count() {
        VISITS.set(VISITS.get() + 1);
    }

    pub(in crate::store::memory) fn take() -> u64 {
        VISITS.take()
    }
}
