//! The counts of events.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::table::{OTHER, Table};
use crate::base::sync::atomic::{AtomicU64, Ordering};

/// Combinations of component, type and severity that are counted apart.
const EVENTS: usize = 256;

words! {
    /// The severity of an event.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    #[non_exhaustive]
    pub enum Severity {
        /// Something happened. Level `INFO`.
        Info = "info",
        /// It may need attention. Level `WARN`.
        Warning = "warning",
        /// It failed. Level `ERROR`.
        Error = "error",
        /// It failed, and a person must act now. Level `ERROR`.
        Critical = "critical",
    }
    /// The severity in snake case.
    pub as_str;
}

/// See the [module](self).
pub(super) struct EventCounts(Table<EventCount>);

/// The events of one component, type and severity.
pub(super) struct EventCount {
    pub(super) component: Arc<str>,
    pub(super) event: Arc<str>,
    pub(super) severity: Severity,
    count: AtomicU64,
}

impl EventCount {
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}

impl EventCounts {
    pub(super) fn new() -> Self {
        Self(Table::new(EVENTS))
    }

    pub(super) fn add(&self, component: &str, event: &str, severity: Severity) {
        // Not `/`, which names have.
        let key = format!("{component}\u{1f}{event}\u{1f}{severity}");
        let entry = self.0.entry(&key, |key| {
            let (component, event) = if **key == *OTHER { (OTHER, OTHER) } else { (component, event) };
            EventCount {
                component: component.into(),
                event: event.into(),
                severity,
                count: AtomicU64::new(0),
            }
        });
        entry.count.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn all(&self) -> Vec<Arc<EventCount>> {
        self.0.all().values().cloned().collect()
    }
}

impl fmt::Debug for EventCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventCounts").finish_non_exhaustive()
    }
}
