//! Which letters are meant.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::{Entry, Fingerprint, LetterId};
use crate::moment;
use crate::outcome::FailureKind;

/// Which letters are meant: all of them, less what each condition leaves out.
///
/// # Example
/// ```
/// use campanile::FailureKind;
/// use campanile::store::Filter;
/// use std::time::Duration;
///
/// let stale = Filter::older_than(Duration::from_secs(86_400)).component("payments").kind(FailureKind::Timeout);
/// # let _ = stale;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[must_use]
pub struct Filter {
    pub(crate) id: Option<LetterId>,
    pub(crate) component: Option<String>,
    pub(crate) kind: Option<FailureKind>,
    pub(crate) fingerprint: Option<Fingerprint>,
    #[serde(with = "crate::duration::option")]
    pub(crate) older_than: Option<Duration>,
    #[serde(with = "crate::duration::option")]
    pub(crate) newer_than: Option<Duration>,
    pub(crate) set_aside: Option<bool>,
    pub(crate) after: Option<LetterId>,
    pub(crate) up_to: Option<LetterId>,
    pub(crate) limit: Option<usize>,
}

impl Filter {
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

    /// Only those of this component.
    pub fn component(mut self, name: impl Into<String>) -> Self {
        self.component = Some(name.into());
        self
    }

    /// Only those that failed last in this way.
    pub fn kind(mut self, kind: FailureKind) -> Self {
        self.kind = Some(kind);
        self
    }

    /// Only those of this cause.
    pub fn fingerprint(mut self, fingerprint: Fingerprint) -> Self {
        self.fingerprint = Some(fingerprint);
        self
    }

    /// Only those that failed last less than `age` ago.
    pub fn newer_than(mut self, age: Duration) -> Self {
        self.newer_than = Some(age);
        self
    }

    /// Only those that are set aside, or only those that are not. Unless asked for, a list shows both, and a redrive
    /// sends only those that are not.
    pub fn set_aside(mut self, yes: bool) -> Self {
        self.set_aside = Some(yes);
        self
    }

    /// Only those parked after the letter `id`: the next page.
    pub fn after(mut self, id: LetterId) -> Self {
        self.after = Some(id);
        self
    }

    /// Only those parked no later than the letter `id`.
    pub fn up_to(mut self, id: LetterId) -> Self {
        self.up_to = Some(id);
        self
    }

    /// At most this many, the oldest first.
    pub fn limit(mut self, letters: usize) -> Self {
        self.limit = Some(letters);
        self
    }

    /// Whether `entry` is meant, the limit aside; for stores of your own.
    #[must_use]
    pub fn matches(&self, entry: &Entry) -> bool {
        self.id.is_none_or(|id| id == entry.id)
            && self.after.is_none_or(|id| entry.id > id)
            && self.up_to.is_none_or(|id| entry.id <= id)
            && self.kind.is_none_or(|kind| kind == entry.kind)
            && self.fingerprint.is_none_or(|fingerprint| fingerprint == entry.fingerprint)
            && self.component.as_deref().is_none_or(|component| component == &*entry.component)
            && self.set_aside.is_none_or(|set_aside| set_aside == entry.set_aside)
            && self.latest().is_none_or(|latest| entry.last_failed <= latest)
            && self.earliest().is_none_or(|earliest| entry.last_failed > earliest)
    }

    /// The latest moment of the last failure that [`Filter::older_than`] lets through.
    pub(crate) fn latest(&self) -> Option<SystemTime> {
        self.older_than.map(ago)
    }

    /// The moment of the last failure from which on [`Filter::newer_than`] lets through, that moment left out.
    pub(crate) fn earliest(&self) -> Option<SystemTime> {
        self.newer_than.map(ago)
    }
}

fn ago(age: Duration) -> SystemTime {
    moment::now().checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH)
}
