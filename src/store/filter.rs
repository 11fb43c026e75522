//! Selecting letters.

use std::fmt;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::entry::Entry;
use super::ids::{Fingerprint, LetterId};
use crate::base::moment;
use crate::base::outcome::FailureKind;

/// Selects letters: those that match every condition that is set.
///
/// # Example
/// ```
/// use campanile::FailureKind;
/// use campanile::store::LetterFilter;
/// use std::time::Duration;
///
/// let stale = LetterFilter::older_than(Duration::from_secs(86_400)).component("payments").kind(FailureKind::Timeout);
/// # let _ = stale;
/// ```
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[must_use]
pub struct LetterFilter {
    pub(crate) id: Option<LetterId>,
    pub(crate) component: Option<String>,
    pub(crate) kind: Option<FailureKind>,
    pub(crate) fingerprint: Option<Fingerprint>,
    #[serde(with = "crate::base::duration::option")]
    pub(crate) older_than: Option<Duration>,
    #[serde(with = "crate::base::duration::option")]
    pub(crate) newer_than: Option<Duration>,
    pub(crate) set_aside: Option<bool>,
    pub(crate) after: Option<LetterId>,
    pub(crate) up_to: Option<LetterId>,
    pub(crate) limit: Option<usize>,
}

impl LetterFilter {
    /// Every letter.
    pub fn all() -> Self {
        Self::default()
    }

    /// Letters whose last failure is at least `age` ago.
    pub fn older_than(age: Duration) -> Self {
        Self { older_than: Some(age), ..Self::default() }
    }

    /// One letter.
    pub fn id(id: LetterId) -> Self {
        Self { id: Some(id), ..Self::default() }
    }

    setters! {
        /// Only letters of this component.
        pub fn component(name: impl Into<String>) { component = Some(name.into()); }
        /// Only letters whose last failure is of this kind.
        pub fn kind(kind: FailureKind) { kind = Some(kind); }
        /// Only letters with this fingerprint.
        pub fn fingerprint(fingerprint: Fingerprint) { fingerprint = Some(fingerprint); }
        /// Only letters whose last failure is less than `age` ago.
        pub fn newer_than(age: Duration) { newer_than = Some(age); }
        /// Only letters that are set aside (`true`), or only letters that are not (`false`). Default: a list shows
        /// both, and a redrive sends only those that are not.
        pub fn set_aside(yes: bool) { set_aside = Some(yes); }
        /// Only letters with a larger id, for paging: pass the last id of a page to get the next page.
        pub fn after(id: LetterId) { after = Some(id); }
        /// Only letters with this id or a smaller one.
        pub fn up_to(id: LetterId) { up_to = Some(id); }
        /// At most this many letters, oldest first.
        pub fn limit(letters: usize) { limit = Some(letters); }
    }

    /// Whether `entry` matches every condition except the limit; for custom stores.
    #[must_use]
    pub fn matches(&self, entry: &Entry) -> bool {
        self.matches_at(entry, moment::now())
    }

    /// As [`LetterFilter::matches`] at `now`, in the time of the clock that dated the entry.
    pub(crate) fn matches_at(&self, entry: &Entry, now: SystemTime) -> bool {
        self.id.is_none_or(|id| id == entry.id)
            && self.after.is_none_or(|id| entry.id > id)
            && self.up_to.is_none_or(|id| entry.id <= id)
            && self.kind.is_none_or(|kind| kind == entry.kind)
            && self.fingerprint.is_none_or(|fingerprint| fingerprint == entry.fingerprint)
            && self.component.as_deref().is_none_or(|component| component == &*entry.component)
            && self.set_aside.is_none_or(|set_aside| set_aside == entry.set_aside)
            && self.latest(now).is_none_or(|latest| entry.last_failed <= latest)
            && self.earliest(now).is_none_or(|earliest| entry.last_failed > earliest)
    }

    /// Whether only the component, kind and fingerprint of a letter decide.
    pub(crate) fn is_by_cause_alone(&self) -> bool {
        self.id.is_none()
            && self.older_than.is_none()
            && self.newer_than.is_none()
            && self.set_aside.is_none()
            && self.after.is_none()
            && self.up_to.is_none()
    }

    /// The latest last failure that [`LetterFilter::older_than`] allows.
    pub(crate) fn latest(&self, now: SystemTime) -> Option<SystemTime> {
        self.older_than.map(|age| ago(now, age))
    }

    /// The last failure must be after this time, by [`LetterFilter::newer_than`].
    pub(crate) fn earliest(&self, now: SystemTime) -> Option<SystemTime> {
        self.newer_than.map(|age| ago(now, age))
    }
}

fn ago(now: SystemTime, age: Duration) -> SystemTime {
    now.checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH)
}

impl fmt::Debug for LetterFilter {
    /// Shows only the conditions that are set.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, component, kind, fingerprint, older_than, newer_than, set_aside, after, up_to, limit } =
            self;
        let conditions: [(&str, Option<&dyn fmt::Debug>); 10] = [
            ("id", id.as_ref().map(|id| id as _)),
            ("component", component.as_ref().map(|component| component as _)),
            ("kind", kind.as_ref().map(|kind| kind as _)),
            ("fingerprint", fingerprint.as_ref().map(|fingerprint| fingerprint as _)),
            ("older_than", older_than.as_ref().map(|age| age as _)),
            ("newer_than", newer_than.as_ref().map(|age| age as _)),
            ("set_aside", set_aside.as_ref().map(|set_aside| set_aside as _)),
            ("after", after.as_ref().map(|id| id as _)),
            ("up_to", up_to.as_ref().map(|id| id as _)),
            ("limit", limit.as_ref().map(|limit| limit as _)),
        ];
        let mut shown = f.debug_struct("LetterFilter");
        for (name, value) in conditions {
            if let Some(value) = value {
                shown.field(name, value);
            }
        }
        shown.finish()
    }
}
