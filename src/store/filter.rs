//! Which letters are meant.

use std::fmt;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::{Entry, Fingerprint, LetterId};
use crate::base::moment;
use crate::base::outcome::FailureKind;

/// Which letters are meant: all of them, less what each condition leaves out.
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

    /// The letters that failed last at least `age` ago.
    pub fn older_than(age: Duration) -> Self {
        Self { older_than: Some(age), ..Self::default() }
    }

    /// One letter.
    pub fn id(id: LetterId) -> Self {
        Self { id: Some(id), ..Self::default() }
    }

    setters! {
        /// Only those of this component.
        pub fn component(name: impl Into<String>) { component = Some(name.into()); }
        /// Only those that failed last in this way.
        pub fn kind(kind: FailureKind) { kind = Some(kind); }
        /// Only those of this cause.
        pub fn fingerprint(fingerprint: Fingerprint) { fingerprint = Some(fingerprint); }
        /// Only those that failed last less than `age` ago.
        pub fn newer_than(age: Duration) { newer_than = Some(age); }
        /// Only those that are set aside, or only those that are not. Unless asked for, a list shows both, and a
        /// redrive sends only those that are not.
        pub fn set_aside(yes: bool) { set_aside = Some(yes); }
        /// Only those parked after the letter `id`: the next page.
        pub fn after(id: LetterId) { after = Some(id); }
        /// Only those parked no later than the letter `id`.
        pub fn up_to(id: LetterId) { up_to = Some(id); }
        /// At most this many, the oldest first.
        pub fn limit(letters: usize) { limit = Some(letters); }
    }

    /// Whether `entry` is meant, the limit aside; for stores of your own.
    #[must_use]
    pub fn matches(&self, entry: &Entry) -> bool {
        self.matches_at(entry, moment::now())
    }

    /// The same at `now`, by the clock that the moments of the entry are of.
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

    /// Whether nothing but the cause of a letter decides.
    pub(crate) fn is_by_cause_alone(&self) -> bool {
        self.id.is_none()
            && self.older_than.is_none()
            && self.newer_than.is_none()
            && self.set_aside.is_none()
            && self.after.is_none()
            && self.up_to.is_none()
    }

    /// The latest moment of the last failure that [`LetterFilter::older_than`] lets through.
    pub(crate) fn latest(&self, now: SystemTime) -> Option<SystemTime> {
        self.older_than.map(|age| ago(now, age))
    }

    /// The moment of the last failure from which on [`LetterFilter::newer_than`] lets through, that moment left out.
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
