//! A store with a spill beside it.

use std::any::Any;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

use super::circuit::Circuit;
use super::settings::SpillSettings;
use super::shared::{Queue, Shared, for_store, timed_out};
use crate::base::error::ConfigError;
use crate::base::outcome::within;
use crate::base::panics::catch;
use crate::base::sync::Mutex;
use crate::store::{
    Claim, Depth, Entry, Frequency, Group, LetterFilter, LetterId, Limits, Owner, Pending, PurgeRecord, Put,
    Settled, SpillReason, SqliteStore, Store, StoreError, WhenFull, guarded,
};

/// A store that puts letters into a SQLite file when it cannot take them.
///
/// A letter goes to the spill when the store fails, panics, does not answer in time or, under [`WhenFull::Spill`], is
/// full. After a failure the next letters go there at once, until the store answers again. A background task then
/// moves them to the store, oldest first, as long as the process has a queue on this store. Two processes may share
/// the file. A letter that is moved twice is still one letter, by its id.
///
/// Lists, counts, groups and purges concern the store only, and fail while the store fails. [`Depth::spilled`] counts
/// the letters in the spill.
///
/// [`DeadLetterQueueBuilder::spill`](crate::dead_letter::DeadLetterQueueBuilder::spill) makes one for a queue.
///
/// # Example
/// ```
/// use campanile::DeadLetterQueue;
/// use campanile::store::{MemoryStore, SpillSettings, SpillStore};
///
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("spill.db");
/// # tokio_test::block_on(async {
/// let store = SpillStore::open(MemoryStore::default(), SpillSettings::new(path)).await?;
/// let queue = DeadLetterQueue::builder("orders").on(store)?;
/// # Ok::<_, campanile::store::StoreError>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct SpillStore {
    pub(super) shared: Arc<Shared>,
}

impl SpillStore {
    /// Adds the spill of `settings` to `store`. Creates the file if it does not exist.
    ///
    /// # Errors
    /// When a setting is invalid, when the file cannot be used (see [`SqliteStore::open`]), and when `store` uses the
    /// same file for its letters or for its own spill.
    pub async fn open(store: impl Store, settings: SpillSettings) -> Result<Self, StoreError> {
        settings.validate(Duration::MAX)?;
        let put_timeout = settings.put_timeout(Duration::from_secs(1));
        let spill = SqliteStore::open(&settings.path).await?;
        ConfigError::check(
            !uses_file_of(&store, &spill),
            "spill.path",
            settings.path.display(),
            "another file than the store uses for its letters or its own spill, by any path",
        )?;
        let limits =
            Limits { capacity: settings.capacity, bytes: settings.max_bytes, when_full: WhenFull::RefuseNew };
        let shared = Shared {
            store: Box::new(store),
            spill,
            put_timeout,
            limits,
            circuit: Circuit::default(),
            queues: Mutex::default(),
            failures: Mutex::default(),
            is_draining: AtomicBool::new(false),
            is_idle: AtomicBool::new(false),
            wake: Arc::default(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    fn path(&self) -> &Path {
        self.shared.spill.path()
    }

    fn store(&self) -> &dyn Store {
        &*self.shared.store
    }

    /// Wakes the drainer after letters were removed: the store may have room now.
    fn wake_drainer(&self) {
        self.shared.wake.notify_one();
    }

    /// Adds a queue to those that are drained, or updates its limits.
    fn register(&self, name: &str, limits: Limits) {
        let mut queues = self.shared.queues.lock();
        match queues.get_mut(name) {
            Some(queue) => queue.limits = limits,
            None => drop(queues.insert(name.into(), Queue { limits, evicted: 0 })),
        }
    }

    async fn put(&self, entry: Entry, limits: Limits) -> Result<Put, StoreError> {
        self.register(&entry.queue, limits);
        if entry.size() > limits.bytes {
            // The store would never take it, so it would stay in the spill forever.
            return Ok(Put::Full);
        }
        let (why, error) = match self.try_store(&entry, limits).await {
            Ok(Put::Full) if limits.when_full == WhenFull::Spill => (SpillReason::Full, None),
            Ok(put) => return Ok(put),
            Err((why, error)) => (why, Some(error)),
        };
        match (guarded(|| self.shared.spill.put(entry, self.shared.limits)).await, error) {
            (Ok(Put::Kept { .. } | Put::Spilled(_)), _) => {
                self.shared.drain_soon();
                Ok(Put::Spilled(why))
            }
            (Ok(Put::Full), None) => Ok(Put::Full),
            (Ok(Put::Full), Some(error)) => Err(self.and_spill("is full", &error)),
            (Err(error), None) => Err(error),
            (Err(spill), Some(error)) => Err(self.and_spill(format_args!("failed too ({spill})"), &error)),
        }
    }

    async fn try_store(&self, entry: &Entry, limits: Limits) -> Result<Put, (SpillReason, StoreError)> {
        let circuit = &self.shared.circuit;
        let attempt = circuit.admit_caller(self.shared.put_timeout)?;
        let put = guarded(|| self.store().put(entry.clone(), for_store(limits)));
        let (why, error) = match within(self.shared.put_timeout, put).await {
            Ok(Ok(put)) => {
                self.shared.answered();
                return Ok(put);
            }
            Ok(Err(error)) => (SpillReason::Error, error),
            Err(_) => (SpillReason::Timeout, timed_out(&entry.queue, self.shared.put_timeout)),
        };
        if circuit.failed(attempt, why, &error) {
            let (spill, queue) = (self.path().display(), &*entry.queue);
            tracing::warn!(%spill, queue, "the dead-letter store fails, and letters go to the spill: {error}");
        }
        Err((why, error))
    }

    /// The error of the store, with what happened to the spill.
    fn and_spill(&self, spill: impl fmt::Display, error: &StoreError) -> StoreError {
        StoreError::new(error.kind(), format!("{error}; the spill `{}` {spill}", self.path().display()))
    }
}

/// Whether `store` keeps letters, or spills them, in the file of `spill`.
fn uses_file_of(store: &dyn Any, spill: &SqliteStore) -> bool {
    if let Some(store) = store.downcast_ref::<SqliteStore>() {
        return store.is_same(spill);
    }
    store.downcast_ref::<SpillStore>().is_some_and(|SpillStore { shared }| {
        shared.spill.is_same(spill) || uses_file_of(&*shared.store, spill)
    })
}

impl Store for SpillStore {
    fn put(&self, entry: Entry, limits: Limits) -> Pending<'_, Put> {
        Box::pin(self.put(entry, limits))
    }

    fn get<'a>(&'a self, queue: &'a str, id: LetterId) -> Pending<'a, Option<Entry>> {
        self.store().get(queue, id)
    }

    fn list<'a>(&'a self, queue: &'a str, filter: &'a LetterFilter) -> Pending<'a, Vec<Entry>> {
        self.store().list(queue, filter)
    }

    fn count<'a>(&'a self, queue: &'a str, filter: &'a LetterFilter) -> Pending<'a, u64> {
        self.store().count(queue, filter)
    }

    fn groups<'a>(&'a self, queue: &'a str, filter: &'a LetterFilter) -> Pending<'a, Vec<Group>> {
        self.store().groups(queue, filter)
    }

    fn frequencies<'a>(&'a self, queue: &'a str, last: Duration) -> Pending<'a, Vec<Frequency>> {
        self.store().frequencies(queue, last)
    }

    fn claim<'a>(
        &'a self,
        queue: &'a str,
        filter: &'a LetterFilter,
        claim: Claim,
    ) -> Pending<'a, Vec<Entry>> {
        self.store().claim(queue, filter, claim)
    }

    fn renew<'a>(&'a self, queue: &'a str, ids: &'a [LetterId], claim: Claim) -> Pending<'a, Vec<LetterId>> {
        self.store().renew(queue, ids, claim)
    }

    fn settle<'a>(&'a self, queue: &'a str, owner: Owner, settled: Vec<Settled>) -> Pending<'a, Vec<bool>> {
        Box::pin(async move {
            let delivered: Vec<Settled> =
                settled.iter().filter(|settled| matches!(settled, Settled::Delivered(_))).cloned().collect();
            let done = self.store().settle(queue, owner, settled).await?;
            if !delivered.is_empty() {
                // A letter whose put to the store timed out may be in both places. It must not return from the spill.
                if self.shared.spill.depth(queue).waiting > 0 {
                    let _ = self.shared.spill.settle(queue, owner, delivered).await;
                }
                self.wake_drainer();
            }
            Ok(done)
        })
    }

    fn purge<'a>(&'a self, queue: &'a str, record: PurgeRecord) -> Pending<'a, PurgeRecord> {
        Box::pin(async move {
            let record = self.store().purge(queue, record).await?;
            self.wake_drainer();
            Ok(record)
        })
    }

    fn purges<'a>(&'a self, queue: &'a str) -> Pending<'a, Vec<PurgeRecord>> {
        self.store().purges(queue)
    }

    fn expire<'a>(&'a self, queue: &'a str, now: SystemTime) -> Pending<'a, u64> {
        Box::pin(async move {
            // The spill can be asked even while the store fails.
            let spilled = self.shared.spill.expire(queue, now).await.unwrap_or(0);
            match self.store().expire(queue, now).await {
                Ok(expired) => {
                    self.wake_drainer();
                    Ok(expired + spilled)
                }
                Err(_) if spilled > 0 => Ok(spilled),
                Err(error) => Err(error),
            }
        })
    }

    fn depth(&self, queue: &str) -> Depth {
        // A panic of the store must not hide the state of the spill.
        let depth = catch(|| self.store().depth(queue)).unwrap_or_default();
        let spill = self.shared.spill.depth(queue);
        let evicted = self.shared.queues.lock().get(queue).map_or(0, |queue| queue.evicted);
        let file_size = match (depth.file_size, spill.file_size) {
            (None, None) => None,
            (one, other) => Some(one.unwrap_or(0) + other.unwrap_or(0)),
        };
        Depth { spilled: depth.spilled + spill.waiting, evicted: depth.evicted + evicted, file_size, ..depth }
    }

    fn attach(&self, queue: &str, limits: Limits) {
        self.store().attach(queue, for_store(limits));
        self.register(queue, limits);
        if self.shared.spill.depth(queue).waiting > 0 {
            self.shared.drain_soon();
        }
    }
}

impl fmt::Debug for SpillStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpillStore")
            .field("store", &self.shared.store)
            .field("spill", &self.shared.spill)
            .finish_non_exhaustive()
    }
}
