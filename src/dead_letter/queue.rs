//! The handle.

use std::fmt;
#[cfg(feature = "sqlite")]
use std::path::PathBuf;
use std::sync::Arc;

use super::asking::Operation;
use super::core::Core;
use super::layer::DeadLetterLayer;
use super::letter::Letter;
use super::redact::LetterRedactor;
use super::settings::{DeadLetterQueueBuilder, DeadLetterSettings};
use super::snapshot::QueueSnapshot;
use crate::store::{LetterFilter, LetterId, PurgeRecord, Store, StoreError};

/// The name of a queue that was given none.
const NAME: &str = "dead-letters";

/// Keeps requests that failed for good: see the [module](crate::dead_letter).
///
/// Cheap to clone; all clones and all layers share one queue.
#[derive(Clone)]
pub struct DeadLetterQueue {
    core: Arc<Core>,
}

impl DeadLetterQueue {
    /// A queue in memory for up to `capacity` letters, at least one; it refuses more.
    #[must_use]
    pub fn in_memory(capacity: u64) -> Self {
        let capacity = capacity.clamp(1, i64::MAX as u64);
        let settings = DeadLetterSettings { capacity, ..DeadLetterSettings::default() };
        match Self::builder(NAME).settings(settings).build() {
            Ok(queue) => queue,
            Err(error) => {
                unreachable!("a capacity in its range is all that differs from the defaults: {error}")
            }
        }
    }

    /// A queue in the SQLite file at `path`, which is made when it is not there.
    ///
    /// # Errors
    /// When the file cannot be used: see [`SqliteStore::open`](crate::store::SqliteStore::open).
    ///
    /// # Example
    /// ```
    /// use campanile::DeadLetterQueue;
    ///
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("letters.db");
    /// # tokio_test::block_on(async {
    /// let queue = DeadLetterQueue::sqlite(path).await?.named("orders");
    /// assert!(queue.is_empty().await?);
    /// # Ok::<_, campanile::store::StoreError>(()) }).unwrap();
    /// ```
    #[cfg(feature = "sqlite")]
    #[cfg_attr(docsrs, doc(cfg(feature = "sqlite")))]
    pub async fn sqlite(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        Self::builder(NAME).sqlite(path).await
    }

    /// The queue called `name` in the Redis at `url`, for any number of processes.
    ///
    /// # Errors
    /// When Redis cannot be used: see [`RedisStore::open`](crate::store::RedisStore::open).
    ///
    /// # Example
    /// ```no_run
    /// use campanile::DeadLetterQueue;
    ///
    /// # async fn example() -> Result<(), campanile::store::StoreError> {
    /// let queue = DeadLetterQueue::redis("redis://127.0.0.1/", "orders").await?;
    /// assert!(queue.is_empty().await?);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "redis")]
    #[cfg_attr(docsrs, doc(cfg(feature = "redis")))]
    pub async fn redis(url: impl Into<String>, name: impl Into<Arc<str>>) -> Result<Self, StoreError> {
        Self::builder(name).redis(url).await
    }

    /// A queue called `name`, to be set up.
    pub fn builder(name: impl Into<Arc<str>>) -> DeadLetterQueueBuilder {
        DeadLetterQueueBuilder::new(name.into())
    }

    /// The queue called `name` in the same store, with the same settings and counts of its own.
    #[must_use]
    pub fn named(&self, name: impl Into<Arc<str>>) -> Self {
        let (settings, redactor) = (self.core.settings.clone(), self.core.redactor.clone());
        Self::new(name.into(), settings, redactor, Arc::clone(&self.core.store))
    }

    pub(super) fn new(
        name: Arc<str>,
        settings: DeadLetterSettings,
        redactor: LetterRedactor,
        store: Arc<dyn Store>,
    ) -> Self {
        Self { core: Core::new(name, settings, redactor, store) }
    }

    pub(super) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.core.name
    }

    /// The component whose health the letters speak of.
    #[must_use]
    pub fn component(&self) -> &str {
        &self.core.component
    }

    /// A layer for any service. Requests are `Clone + Serialize + DeserializeOwned`, errors become
    /// [`BoxError`](tower::BoxError); what failed is decided by [`ByResult`](crate::base::outcome::ByResult).
    ///
    /// It belongs outside of retry, so that it sees only final failures.
    ///
    /// A request is kept as JSON. When it is parked it is read back, as a redrive will do it, and has to say to serde
    /// what it said before. Where it does not, its letter is [`Unsendable::EvidenceOnly`](super::Unsendable): it tells
    /// what happened, and is not sent. That concerns infinite numbers and NaN, `Some(None)` and `Some(())`, numbers
    /// beyond 64 bits, keys that are neither text, numbers, `bool` nor variants, maps with keys of numbers that are
    /// flattened, more than 120 levels of arrays and objects, and types that read something else than they write. The
    /// order of elements in a sequence or a map may differ, as that of a `HashSet` does.
    #[must_use]
    pub fn layer(&self) -> DeadLetterLayer {
        DeadLetterLayer::new(Arc::clone(&self.core))
    }

    /// What was counted so far.
    #[must_use]
    pub fn snapshot(&self) -> QueueSnapshot {
        self.core.snapshot()
    }

    /// Counts the letters that wait, those that other processes parked included. Letters in the spill are not among
    /// them: see [`QueueSnapshot::spilled`].
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

    /// Counts the letters that `filter` lets through.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn count(&self, filter: LetterFilter) -> Result<u64, StoreError> {
        self.core.ask(Operation::Count, |store| store.count(&self.core.name, &filter)).await
    }

    /// The letters that `filter` lets through, oldest first. There may be many: see [`LetterFilter::limit`] and
    /// [`LetterFilter::after`].
    ///
    /// One that cannot be read is among them, with a [`Payload::Unreadable`](super::Payload::Unreadable).
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(&self, filter: LetterFilter) -> Result<Vec<Letter>, StoreError> {
        let entries = self.core.ask(Operation::List, |store| store.list(&self.core.name, &filter)).await?;
        Ok(entries.into_iter().map(Letter::from_entry).collect())
    }

    /// The letter `id`, if it still waits.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn get(&self, id: LetterId) -> Result<Option<Letter>, StoreError> {
        let entry = self.core.ask(Operation::Get, |store| store.get(&self.core.name, id)).await?;
        Ok(entry.map(Letter::from_entry))
    }

    /// Removes the letters that `filter` lets through, and leaves a record in the name of this program and its
    /// process. They are gone.
    ///
    /// # Errors
    /// When the store fails. What was removed by then, of many, is in the record of the purge.
    pub async fn purge(&self, filter: LetterFilter) -> Result<PurgeReport, StoreError> {
        self.purge_as(program(), filter).await
    }

    /// [`DeadLetterQueue::purge`], with a record in the name of `by`: a person, or a job.
    ///
    /// # Errors
    /// When the store fails. What was removed by then, of many, is in the record of the purge.
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
    /// let report = queue.purge_as("ada", LetterFilter::older_than(Duration::from_secs(86_400))).await?;
    /// println!("{} letters are gone", report.purged);
    /// let record = &queue.purges().await?[0];
    /// assert_eq!((record.by.as_str(), record.purged), ("ada", report.purged));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn purge_as(
        &self,
        by: impl Into<String>,
        filter: LetterFilter,
    ) -> Result<PurgeReport, StoreError> {
        let record = PurgeRecord::new(by, filter);
        let record = self.core.ask(Operation::Purge, |store| store.purge(&self.core.name, record)).await?;
        self.core.count(|counts| counts.purged += record.purged);
        let PurgeRecord { purged, by, filter, .. } = &record;
        tracing::info!(queue = self.name(), purged, by, ?filter, "dead letters were purged");
        Ok(PurgeReport { purged: record.purged })
    }

    /// Who purged what and when, the latest first; the last thousand are kept.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn purges(&self) -> Result<Vec<PurgeRecord>, StoreError> {
        self.core.ask(Operation::Purges, |store| store.purges(&self.core.name)).await
    }
}

impl fmt::Debug for DeadLetterQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetterQueue")
            .field("name", &self.core.name)
            .field("store", &self.core.store)
            .finish_non_exhaustive()
    }
}

/// What a purge did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PurgeReport {
    /// Letters that were removed.
    pub purged: u64,
}

/// The program and its process, as a record names them.
fn program() -> String {
    let program = std::env::current_exe().ok();
    let name = program.as_deref().and_then(|path| path.file_name()).unwrap_or_default();
    format!("{} {}", name.to_string_lossy(), std::process::id())
}
