//! The counts of items.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::table::Table;
use super::tally::{Counts, Tally};
use super::watch::Subject;
use crate::base::outcome::FailureKind;
use crate::base::sketch::Summary;
use crate::base::sync::atomic::{AtomicU64, Ordering};

/// Reasons of skipped items that are counted apart.
const REASONS: usize = 32;

/// See the [module](self).
pub(super) struct ItemCounts {
    /// Items that are processed one by one, and failures of others.
    tally: Tally,
    ingested: AtomicU64,
    converted: AtomicU64,
    skipped: Table<AtomicU64>,
}

impl ItemCounts {
    pub(super) fn new() -> Self {
        Self {
            tally: Tally::new(),
            ingested: AtomicU64::new(0),
            converted: AtomicU64::new(0),
            skipped: Table::new(REASONS),
        }
    }

    pub(super) fn add_ingested(&self, items: u64) {
        self.ingested.fetch_add(items, Ordering::Relaxed);
    }

    pub(super) fn add_converted(&self, items: u64) {
        self.converted.fetch_add(items, Ordering::Relaxed);
    }

    pub(super) fn add_failed(&self, kind: FailureKind, items: u64) {
        self.tally.add_failures(kind, items);
    }

    pub(super) fn add_skipped(&self, reason: &str, items: u64) {
        self.skipped.entry(reason, |_| AtomicU64::new(0)).fetch_add(items, Ordering::Relaxed);
    }

    pub(super) fn ingested(&self) -> u64 {
        self.ingested.load(Ordering::Relaxed)
    }

    pub(super) fn converted(&self) -> u64 {
        self.converted.load(Ordering::Relaxed)
    }

    /// Skipped items by reason.
    pub(super) fn skipped(&self) -> BTreeMap<Arc<str>, u64> {
        let all = self.skipped.all();
        all.iter().map(|(reason, items)| (Arc::clone(reason), items.load(Ordering::Relaxed))).collect()
    }

    pub(super) fn counts(&self) -> Counts {
        self.tally.counts()
    }

    pub(super) fn active(&self) -> u64 {
        self.tally.active()
    }

    pub(super) fn durations(&self) -> Summary {
        self.tally.durations().0
    }
}

impl Subject for ItemCounts {
    fn tally(&self) -> &Tally {
        &self.tally
    }

    fn begun(&self) {
        self.add_ingested(1);
    }

    fn ended(&self, _: Duration, _: Option<FailureKind>) {}
}

impl fmt::Debug for ItemCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ItemCounts").finish_non_exhaustive()
    }
}
