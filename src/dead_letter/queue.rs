//! The handle of a queue: it counts, lists and purges letters.

use std::fmt;
use std::sync::Arc;

use super::core::Core;
use super::letter::Letter;
use super::redact::LetterRedactor;
use super::settings::DeadLetterSettings;
use super::snapshot::QueueSnapshot;
use crate::signal;
use crate::store::{LetterFilter, LetterId, PurgeRecord, Store, StoreError};

/// Stores requests that failed for good: see the [module](crate::dead_letter).
///
/// Cheap to clone. All clones and all layers share one queue.
#[derive(Clone)]
pub struct DeadLetterQueue {
    core: Arc<Core>,
}

impl DeadLetterQueue {
    pub(super) fn new(
        name: Arc<str>,
        settings: DeadLetterSettings,
        redactor: LetterRedactor,
        store: Arc<dyn Store>,
    ) -> Self {
        let core = Arc::new(Core::new(name, settings, redactor, store));
        signal::register(&core);
        core.store.attach();
        Self { core }
    }

    pub(super) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// Returns the queue called `name` in the same store. It has the same settings and its own counters.
    #[must_use]
    pub fn named(&self, name: impl Into<Arc<str>>) -> Self {
        let (settings, redactor) = (self.core.settings.clone(), self.core.redactor.clone());
        Self::new(name.into(), settings, redactor, Arc::clone(self.core.store.inner()))
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.core.name
    }

    /// The component whose health depends on the queue.
    #[must_use]
    pub fn component(&self) -> &str {
        &self.core.component
    }

    /// The counters of this process.
    #[must_use]
    pub fn snapshot(&self) -> QueueSnapshot {
        self.core.snapshot()
    }

    /// Counts the waiting letters, including those that other processes parked. Letters in the spill are not included:
    /// see [`QueueSnapshot::spilled`].
    ///
    /// # Errors
    /// When the store fails.
    pub async fn len(&self) -> Result<u64, StoreError> {
        self.count(LetterFilter::all()).await
    }

    /// Whether no letter waits.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn is_empty(&self) -> Result<bool, StoreError> {
        Ok(self.len().await? == 0)
    }

    /// Counts the letters that match `filter`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn count(&self, filter: LetterFilter) -> Result<u64, StoreError> {
        self.core.store.count(&filter).await
    }

    /// Returns the letters that match `filter`, oldest first. There may be many: see [`LetterFilter::limit`] and
    /// [`LetterFilter::after`].
    ///
    /// The result includes letters that cannot be read, as [`Payload::Unreadable`](super::Payload::Unreadable).
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(&self, filter: LetterFilter) -> Result<Vec<Letter>, StoreError> {
        let entries = self.core.store.list(&filter).await?;
        Ok(entries.into_iter().map(Letter::from_entry).collect())
    }

    /// Returns the letter `id`, if it still waits.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn get(&self, id: LetterId) -> Result<Option<Letter>, StoreError> {
        let entry = self.core.store.get(id).await?;
        Ok(entry.map(Letter::from_entry))
    }

    /// Removes the letters that match `filter`, for good. Returns the record of the purge, which names this program and its
    /// process.
    ///
    /// # Errors
    /// When the store fails. The record of the purge then counts the letters that were removed before.
    pub async fn purge(&self, filter: LetterFilter) -> Result<PurgeRecord, StoreError> {
        self.purge_as(program(), filter).await
    }

    /// [`DeadLetterQueue::purge`] with a record that names `by`: a person or a job.
    ///
    /// # Errors
    /// When the store fails. The record of the purge then counts the letters that were removed before.
    ///
    /// # Example
    /// ```
    /// use campanile::DeadLetterQueue;
    /// use campanile::dead_letter::LetterFilter;
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), campanile::store::StoreError> {
    /// let queue = DeadLetterQueue::in_memory(1_000);
    /// let record = queue.purge_as("ada", LetterFilter::older_than(Duration::from_secs(86_400))).await?;
    /// println!("{} removed {} letters", record.by, record.purged);
    /// assert_eq!(queue.purges().await?[0].purged, record.purged);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn purge_as(
        &self,
        by: impl Into<String>,
        filter: LetterFilter,
    ) -> Result<PurgeRecord, StoreError> {
        let record = self.core.store.purge(PurgeRecord::new(by, filter)).await?;
        self.core.count(|counts| counts.purged += record.purged);
        let PurgeRecord { purged, by, filter, .. } = &record;
        tracing::info!(queue = self.name(), purged, by, ?filter, "dead letters were purged");
        Ok(record)
    }

    /// Returns the records of the last thousand purges, latest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn purges(&self) -> Result<Vec<PurgeRecord>, StoreError> {
        self.core.store.purges().await
    }
}

impl fmt::Debug for DeadLetterQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetterQueue")
            .field("name", &self.core.name)
            .field("store", self.core.store.inner())
            .finish_non_exhaustive()
    }
}

/// The program and its process id, for the record of a purge.
fn program() -> String {
    let program = std::env::current_exe().ok();
    let name = program.as_deref().and_then(|path| path.file_name()).unwrap_or_default();
    format!("{} {}", name.to_string_lossy(), std::process::id())
}
