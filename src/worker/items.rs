//! Counters of items.

use std::fmt;
use std::sync::Arc;

use super::handle::Worker;
use super::inner::Inner;
use super::item_counts::ItemCounts;
use crate::base::outcome::FailureKind;

impl Worker {
    /// Counts items that are not processed by [`run`](Worker::run), such as those of a batch.
    ///
    /// # Example
    /// ```
    /// use campanile::Worker;
    ///
    /// # fn main() -> Result<(), campanile::ConfigError> {
    /// let worker = Worker::builder("import").build()?;
    /// worker.items().ingested(100).converted(90).skipped("duplicate", 8).failed(2);
    /// assert_eq!(worker.snapshot().items.skipped_by["duplicate"], 8);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn items(&self) -> Items<'_> {
        Items { inner: &self.inner }
    }
}

/// Counts items of a worker: see [`Worker::items`]. Each method counts `items` more. It is a metric, and a number in the
/// snapshot.
#[derive(Clone, Copy)]
pub struct Items<'a> {
    inner: &'a Arc<Inner>,
}

impl Items<'_> {
    fn counts(&self) -> &ItemCounts {
        &self.inner.items
    }

    /// Counts items that arrived.
    pub fn ingested(self, items: u64) -> Self {
        self.counts().add_ingested(items);
        self
    }

    /// Counts items that failed for good.
    pub fn failed(self, items: u64) -> Self {
        self.counts().add_failed(FailureKind::Error, items);
        self
    }

    /// Counts items that were converted or written.
    pub fn converted(self, items: u64) -> Self {
        self.counts().add_converted(items);
        self
    }

    /// Counts items that were left out, and why. A worker counts up to 32 reasons of up to 128 bytes. Further ones are
    /// counted as `_OTHER`.
    pub fn skipped(self, reason: &str, items: u64) -> Self {
        self.counts().add_skipped(reason, items);
        self
    }
}

impl fmt::Debug for Items<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Items").field("worker", &self.inner.name).finish_non_exhaustive()
    }
}
