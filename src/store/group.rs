//! Letters by what caused them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::{Entry, Fingerprint};
use crate::base::outcome::FailureKind;

/// The letters of one cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// What they have in common.
    pub fingerprint: Fingerprint,
    /// How many wait.
    pub letters: u64,
    /// When the first of them failed first, those that are gone by now included, since the group last was empty.
    pub first_seen: SystemTime,
    /// When the last of them failed last, likewise.
    pub last_seen: SystemTime,
    /// The newest of them.
    pub example: Entry,
}

/// How often something failed for one cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frequency {
    /// The cause, or [`Fingerprint::OTHER`] for all beyond 256 causes of a minute. Component and kind are those of the
    /// first then.
    pub fingerprint: Fingerprint,
    /// The component that failed.
    pub component: Arc<str>,
    /// How it failed.
    pub kind: FailureKind,
    /// How often: letters that were parked, and those that failed again, whether or not they still wait.
    pub failures: u64,
}

/// The longest time that frequencies look back.
pub const LONGEST_LOOK_BACK: Duration = Duration::from_secs(86_400);

/// The causes of one minute that a queue counts on their own. Those beyond are counted together, as
/// [`Fingerprint::OTHER`]: a stranger may make new ones without end.
pub(super) const CAUSES: usize = 256;

/// The number of the minute that `moment` lies in, since 1970.
#[must_use]
pub(super) fn minute(moment: SystemTime) -> u64 {
    moment.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs() / 60
}

/// The first minute that counts when somebody looks back for `last` from `now`.
#[must_use]
pub(super) fn first_minute(now: SystemTime, last: Duration) -> u64 {
    minute(now).saturating_sub(last.min(LONGEST_LOOK_BACK).as_secs().div_ceil(60).max(1) - 1)
}

/// The most frequent first; of equals, by fingerprint.
pub(super) fn by_frequency(mut all: Vec<Frequency>) -> Vec<Frequency> {
    all.sort_by(|a, b| b.failures.cmp(&a.failures).then(a.fingerprint.cmp(&b.fingerprint)));
    all
}

/// The largest first, at most `limit`; of equals, by fingerprint.
pub(super) fn by_size(mut all: Vec<Group>, limit: Option<usize>) -> Vec<Group> {
    all.sort_by(|a, b| b.letters.cmp(&a.letters).then(a.fingerprint.cmp(&b.fingerprint)));
    all.truncate(limit.unwrap_or(usize::MAX));
    all
}

/// The groups that `entries` make, by nothing but themselves.
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
