//! What the alternatives show.

use std::time::Duration;

use serde::Serialize;

use super::handle::Alternatives;
use crate::base::sync::atomic::{AtomicU64, Ordering};

/// The state and the counts of [`Alternatives`](super::Alternatives) since they were made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AlternativesSnapshot {
    /// The name of the alternative in use. Before the first call it is the first one.
    pub in_use: String,
    /// How often another one was used from then on.
    pub changes: u64,
    /// Calls for which none worked.
    pub exhausted: u64,
    /// Each alternative, in order.
    pub alternatives: Vec<AlternativeSnapshot>,
}

/// The counts of one alternative.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AlternativeSnapshot {
    /// Its name.
    pub name: String,
    /// Calls on its connections.
    pub calls: u64,
    /// Calls that failed by the classifier.
    pub failures: u64,
    /// Connects that were started.
    pub connects: u64,
    /// Connects that failed or timed out.
    pub connect_failures: u64,
    /// The time until it is tried again; `None` if it has not failed.
    pub next_probe_in: Option<Duration>,
}

impl<C> Alternatives<C> {
    /// Returns which alternative is in use, and the current counts.
    #[must_use]
    pub fn snapshot(&self) -> AlternativesSnapshot {
        let inner = &*self.inner;
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let in_use = &inner.entries[inner.current.load(Ordering::Acquire)];
        let alternatives = inner.entries.iter().map(|entry| AlternativeSnapshot {
            name: entry.name.to_string(),
            calls: load(&entry.calls),
            failures: load(&entry.failures),
            connects: load(&entry.connects),
            connect_failures: load(&entry.connect_failures),
            next_probe_in: entry.waits(),
        });
        AlternativesSnapshot {
            in_use: in_use.name.to_string(),
            changes: load(&inner.changes),
            exhausted: load(&inner.exhausted),
            alternatives: alternatives.collect(),
        }
    }
}
