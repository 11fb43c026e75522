//! Letters and failures by fingerprint.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::entry::Entry;
use super::ids::Fingerprint;
use crate::base::outcome::FailureKind;

/// The letters with one fingerprint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The fingerprint that they share.
    pub fingerprint: Fingerprint,
    /// The number of letters that wait.
    pub letters: u64,
    /// The earliest first failure since the group was last empty. Letters that are gone count too.
    pub first_seen: SystemTime,
    /// The latest last failure since the group was last empty. Letters that are gone count too.
    pub last_seen: SystemTime,
    /// The newest letter.
    pub example: Entry,
}

/// The number of failures with one fingerprint: see [`DeadLetterQueue::frequencies`](crate::DeadLetterQueue::frequencies).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frequency {
    /// The fingerprint. [`Fingerprint::OTHER`] stands for all beyond 256 fingerprints of a minute; component and kind
    /// are then those of one of them.
    pub fingerprint: Fingerprint,
    /// The component that failed.
    pub component: Arc<str>,
    /// The kind of failure.
    pub kind: FailureKind,
    /// How many letters were parked or failed again, whether or not they still wait.
    pub failures: u64,
}

/// The longest time that [`Store::frequencies`](super::Store::frequencies) looks back.
pub(super) const LONGEST_LOOK_BACK: Duration = Duration::from_secs(86_400);

/// The number of fingerprints that a queue counts separately in one minute. Further ones count as
/// [`Fingerprint::OTHER`], because remote input may produce any number of them.
pub(super) const CAUSES: usize = 256;

/// The minute of `moment`, counted from 1970.
#[must_use]
pub(super) fn minute(moment: SystemTime) -> u64 {
    moment.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs() / 60
}

/// The first minute of the time span that ends at `now` and lasts `last`.
#[must_use]
pub(super) fn first_minute(now: SystemTime, last: Duration) -> u64 {
    minute(now).saturating_sub(last.min(LONGEST_LOOK_BACK).as_secs().div_ceil(60).max(1) - 1)
}

/// Sorts by number of failures, most frequent first; equal ones by fingerprint.
pub(super) fn by_frequency(mut all: Vec<Frequency>) -> Vec<Frequency> {
    all.sort_by(|a, b| b.failures.cmp(&a.failures).then(a.fingerprint.cmp(&b.fingerprint)));
    all
}

/// Sorts by number of letters, largest first, and cuts to `limit`; equal ones by fingerprint.
pub(super) fn by_size(mut all: Vec<Group>, limit: Option<usize>) -> Vec<Group> {
    all.sort_by(|a, b| b.letters.cmp(&a.letters).then(a.fingerprint.cmp(&b.fingerprint)));
    all.truncate(limit.unwrap_or(usize::MAX));
    all
}

/// Groups `entries` by fingerprint.
pub(super) fn of_entries(entries: impl IntoIterator<Item = Entry>) -> Vec<Group> {
    let mut groups: BTreeMap<Fingerprint, Group> = BTreeMap::new();
    for entry in entries {
        match groups.get_mut(&entry.fingerprint) {
            Some(group) => {
                group.letters += 1;
                group.first_seen = group.first_seen.min(entry.first_failed);
                group.last_seen = group.last_seen.max(entry.last_failed);
                if entry.id > group.example.id {
                    group.example = entry;
                }
            }
            None => {
                let group = Group {
                    fingerprint: entry.fingerprint,
                    letters: 1,
                    first_seen: entry.first_failed,
                    last_seen: entry.last_failed,
                    example: entry,
                };
                groups.insert(group.fingerprint, group);
            }
        }
    }
    groups.into_values().collect()
}
