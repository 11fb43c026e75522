//! The store with a spill beside it.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;

use super::circuit::Circuit;
use super::settings::SpillSettings;
use crate::base::error::ConfigError;
use crate::base::outcome::within;
use crate::base::panics::catch;
use crate::base::sync::Mutex;
use crate::store::error::Kind;
use crate::store::{
    Claim, Depth, Entry, Frequency, Group, LetterFilter, LetterId, Limits, Owner, Pending, PurgeRecord, Put,
    Settled, SpillReason, SqliteStore, Store, StoreError, WhenFull, guarded,
};

/// A store whose letters go to a SQLite file when it does not take them.
///
/// A letter goes there when the store fails, panics, does not answer in time or, under [`WhenFull::Spill`], is full.
/// After a failure the next letters go there at once, until the store answers again. A task takes them to the store
/// then, the oldest first; it runs for as long as the process has a queue on this store, and two processes may share
/// the file. A letter that is taken there twice is still one, by its id.
///
/// Lists, counts, groups and purges are the store's alone: letters in the spill show in [`Depth::spilled`] only. While
/// the store is away they fail with its error.
///
/// [`DeadLetterQueueBuilder::spill`](crate::dead_letter::DeadLetterQueueBuilder::spill) makes one.
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
#[cfg_attr(docsrs, doc(cfg(feature = "sqlite")))]
pub struct SpillStore {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) store: Box<dyn Store>,
    pub(super) spill: SqliteStore,
    /// How long the store may take before a caller's letter goes to the spill.
    pub(super) patience: Duration,
    limits: Limits,
    pub(super) circuit: Circuit,
    /// What this process has queues for, and what is known of each.
    pub(super) queues: Mutex<BTreeMap<Arc<str>, Queue>>,
    /// How often letters that are in the spill failed to be moved.
    pub(super) failures: Mutex<BTreeMap<LetterId, u32>>,
    /// Whether a task drains.
    pub(super) draining: AtomicBool,
    /// Whether that task waits for something to come.
    pub(super) idle: AtomicBool,
    pub(super) wake: Arc<Notify>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Queue {
    pub(super) limits: Limits,
    /// Entries that gave way as spilled ones were put.
    pub(super) evicted: u64,
}

impl SpillStore {
    /// `store`, with the spill of `settings` beside it, which is made when it is not there.
    ///
    /// # Errors
    /// When a setting is out of its range, or the spill's file cannot be used: see [`SqliteStore::open`]. When `store`
    /// keeps its letters in that file, by whatever path, or has it as its own spill.
    pub async fn open(store: impl Store, settings: SpillSettings) -> Result<Self, StoreError> {
        settings.validate(Duration::MAX)?;
        let patience = settings.patience(Duration::from_secs(1));
        let spill = SqliteStore::open(&settings.path).await?;
        ConfigError::check(
            !leads_to(&store, &spill),
            "spill.path",
            settings.path.display(),
            "another file than that of the letters, or of their other spill, by any path",
        )?;
        let limits =
            Limits { capacity: settings.capacity, bytes: settings.max_bytes, when_full: WhenFull::RefuseNew };
        let shared = Shared {
            store: Box::new(store),
            spill,
            patience,
            limits,
            circuit: Circuit::default(),
            queues: Mutex::default(),
            failures: Mutex::default(),
            draining: AtomicBool::new(false),
            idle: AtomicBool::new(false),
            wake: Arc::default(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The file of the spill, as an absolute path.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.shared.spill.path()
    }

    fn store(&self) -> &dyn Store {
        &*self.shared.store
    }

    /// Letters may have gone: what waits for room may have it now.
    fn made_room(&self) {
        self.shared.wake.notify_one();
    }

    /// Learns of a queue, and of its limits.
    fn know(&self, name: &str, limits: Limits) {
        let mut queues = self.shared.queues.lock();
        match queues.get_mut(name) {
            Some(queue) => queue.limits = limits,
            None => drop(queues.insert(name.into(), Queue { limits, evicted: 0 })),
        }
    }

    async fn put(&self, entry: Entry, limits: Limits) -> Result<Put, StoreError> {
        self.know(&entry.queue, limits);
        if entry.size() > limits.bytes {
            // It would wait in the spill for ever.
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
            (Ok(Put::Full), Some(error)) => Err(self.and("is full", &error)),
            (Err(error), None) => Err(error),
            (Err(spill), Some(error)) => Err(self.and(format_args!("failed too ({spill})"), &error)),
        }
    }

    async fn try_store(&self, entry: &Entry, limits: Limits) -> Result<Put, (SpillReason, StoreError)> {
        let circuit = &self.shared.circuit;
        let at = circuit.admit_caller(self.shared.patience)?;
        let put = guarded(|| self.store().put(entry.clone(), for_store(limits)));
        let (why, error) = match within(self.shared.patience, put).await {
            Ok(Ok(put)) => {
                self.shared.answered();
                return Ok(put);
            }
            Ok(Err(error)) => (SpillReason::Error, error),
            Err(_) => (SpillReason::Timeout, no_answer(self.shared.patience)),
        };
        if circuit.failed(at, why, &error) {
            let spill = self.path().display();
            tracing::warn!(%spill, "dead letters go to the spill, since their store does not take them: {error}");
        }
        Err((why, error))
    }

    fn and(&self, spill: impl fmt::Display, error: &StoreError) -> StoreError {
        StoreError::new(error.kind(), format!("{error}; the spill `{}` {spill}", self.path().display()))
    }
}

/// Whether `store` keeps letters in the file of `spill`.
fn leads_to(store: &dyn Any, spill: &SqliteStore) -> bool {
    if let Some(store) = store.downcast_ref::<SqliteStore>() {
        return store.is_same(spill);
    }
    store
        .downcast_ref::<SpillStore>()
        .is_some_and(|SpillStore { shared }| shared.spill.is_same(spill) || leads_to(&*shared.store, spill))
}

impl Shared {
    /// The store has answered a put in time.
    pub(super) fn answered(&self) {
        if self.circuit.answered() {
            tracing::info!("the store of dead letters answers again");
        }
    }
}

/// What the store is told: whether there is a spill is not its business.
pub(super) fn for_store(limits: Limits) -> Limits {
    let when_full = match limits.when_full {
        WhenFull::Spill => WhenFull::RefuseNew,
        other => other,
    };
    Limits { when_full, ..limits }
}

pub(super) fn no_answer(limit: Duration) -> StoreError {
    StoreError::new(Kind::TimedOut, format!("the store did not answer within {limit:?}"))
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.wake.notify_one();
    }
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
                // One whose put was late is in both places, and must not come back.
                if self.shared.spill.depth(queue).waiting > 0 {
                    let _ = self.shared.spill.settle(queue, owner, delivered).await;
                }
                self.made_room();
            }
            Ok(done)
        })
    }

    fn purge<'a>(&'a self, queue: &'a str, record: PurgeRecord) -> Pending<'a, PurgeRecord> {
        Box::pin(async move {
            let record = self.store().purge(queue, record).await?;
            self.made_room();
            Ok(record)
        })
    }

    fn purges<'a>(&'a self, queue: &'a str) -> Pending<'a, Vec<PurgeRecord>> {
        self.store().purges(queue)
    }

    fn expire<'a>(&'a self, queue: &'a str, now: SystemTime) -> Pending<'a, u64> {
        Box::pin(async move {
            // The spill is here even while the store is not.
            let spilled = self.shared.spill.expire(queue, now).await.unwrap_or(0);
            match self.store().expire(queue, now).await {
                Ok(expired) => {
                    self.made_room();
                    Ok(expired + spilled)
                }
                Err(_) if spilled > 0 => Ok(spilled),
                Err(error) => Err(error),
            }
        })
    }

    fn depth(&self, queue: &str) -> Depth {
        // What lies here can be told whatever the store does.
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
        self.know(queue, limits);
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
