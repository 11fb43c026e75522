//! The store itself.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rusqlite::Connection;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::change::{Change, Lease, Times};
use super::errors::{self, closed};
use super::job::Task;
use super::open_file::{MoveGuard, OpenFile};
use super::search::{Claimable, Search};
use super::{report, rows, writer};
use crate::base::moment;
use crate::store::clock::Reading;
use crate::store::error::Kind;
use crate::store::group::first_minute;
use crate::store::{
    Claim, Depth, Entry, Frequency, Group, LetterFilter, LetterId, Limits, Owner, Pending, PurgeRecord, Put,
    Settled, Store, StoreError,
};

/// The most letters that one transaction removes, so that other callers get their turn in between.
const BATCH: usize = 1_000;

/// The most letters that one transaction removes when the disk is full, because its log needs room.
const SMALL_BATCH: usize = 16;

/// This many bytes cost a commit about as much as one more letter.
const BYTES_PER_WEIGHT: u64 = 4_096;

/// Keeps letters in a SQLite file. A letter counts as parked when it is on disk.
///
/// Cheap to clone. All stores that one process opens on the same file, by whatever path, share one writing thread, which
/// ends with the last of them. Other processes of the same machine and user may use the same file. Do not put the file on a
/// network file system: SQLite's locks do not work there.
///
/// # A file that is removed or replaced
/// The writer acknowledges a letter only if the file that it has open, by device and inode, is still the file at the path. If
/// the file was removed, the writer creates a new one. If another file is there, such as a backup, it continues with that
/// one. New letters go there; earlier letters stay in the removed file. If only the log (`-wal`) or its index (`-shm`) was
/// removed, no letter is lost. If no file can be opened, the store fails until one can. All of this is logged.
///
/// A copy over the file that keeps its inode (`cp backup letters.db`) shows as a time of change that no checkpoint of SQLite
/// explains. A file of up to 32 MiB is then checked for damage. A damaged one is opened again without its log, which is kept
/// beside it with the suffix `-wal-old`. Two cases are not noticed: a copy over a larger file, and a copy that happens to fit
/// the log. Their letters may come back or be lost. So restore a backup while the processes are stopped, or by `mv`, or by
/// SQLite's own `.restore`.
///
/// Within the process, only SQLite may open the file, and only one copy of SQLite: when a process closes any descriptor of a
/// file, POSIX releases all its locks on that file.
///
/// # A full disk
/// A file beside the database, with the suffix `-reserve`, reserves disk space: as much as the log takes, and at least
/// 512 KiB. When the disk is full, no letter is parked, and the store uses that space to claim, remove and change letters.
/// Backups need not include the reserve, and it may be deleted.
///
/// New letters reuse the space of removed ones. While the writer is idle, it returns free space to the disk. A large purge
/// removes a thousand letters at a time, so that other callers get their turn in between.
///
/// # Time
/// Due times, ages, expiry and leases use a clock of the file, which changes of the wall clock do not affect while the machine
/// is up. [`WhenFull::DropOldest`](crate::store::WhenFull::DropOldest) removes the letter that arrived first.
///
/// # Example
/// ```
/// use campanile::DeadLetterQueue;
/// use campanile::store::SqliteStore;
///
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("letters.db");
/// # tokio_test::block_on(async {
/// let store = SqliteStore::open(path).await?;
/// let orders = DeadLetterQueue::builder("orders").on(store.clone())?;
/// let mails = DeadLetterQueue::builder("mails").on(store)?;
/// # Ok::<_, campanile::store::StoreError>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct SqliteStore {
    path: Arc<Path>,
    /// Shared by all stores of this process on the same file.
    file: Arc<OpenFile>,
}

impl SqliteStore {
    /// Opens the file at `path`, or creates it. Its folder must exist. `path` may be a link to an existing file.
    ///
    /// On Unix, only the owner can read and write the file, because letters contain personal data. A new file has mode 600.
    /// If an existing file, its `-wal`, `-shm` or `-journal` gives permissions to the group or to others, they are removed,
    /// and a warning is logged.
    ///
    /// A file of an earlier version is copied before its migration: to the same name with the suffix `.v` and the version,
    /// with the same permissions. The migration is one transaction.
    ///
    /// # Errors
    /// The message names the file and what to do.
    /// - [`is_unwritable`](StoreError::is_unwritable): the file cannot be written, or cannot be copied before its migration;
    ///   it is no plain file, or a link to a file that does not exist; or other users have permissions that this process
    ///   cannot remove.
    /// - [`is_corrupt`](StoreError::is_corrupt): the file is damaged or is no SQLite database.
    /// - [`is_foreign`](StoreError::is_foreign): it is the database of another program.
    /// - [`is_newer_schema`](StoreError::is_newer_schema): a later version of this crate wrote it.
    /// - [`is_locked`](StoreError::is_locked): another process has locked it for more than five seconds.
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let path: PathBuf = path.into();
        let path: Arc<Path> = match std::path::absolute(&path) {
            Ok(absolute) => absolute.into(),
            Err(error) => return Err(errors::unwritable(&path, error)),
        };
        let (opened, answer) = oneshot::channel();
        let at = Arc::clone(&path);
        std::thread::Builder::new()
            .name("campanile-letters".to_owned())
            .spawn(move || writer::run(at, opened))
            .map_err(|error| {
                let message = format!("cannot start the thread that writes letters to `{}`", path.display());
                StoreError::new(Kind::Other, message).with_source(error)
            })?;
        let file = answer.await.map_err(|_| closed(&path))??;
        let store = Self { path, file };
        store.ensure_current().await?;
        Ok(store)
    }

    /// Whether both stores use the same file, by whatever paths.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.file, &other.file)
    }

    /// Marks letters as being moved to another store, until the guard is dropped.
    pub(crate) fn mark_moving(&self, ids: Vec<LetterId>) -> MoveGuard {
        MoveGuard::new(Arc::clone(&self.file), ids)
    }

    /// Makes sure that the open file is the file at the path.
    async fn ensure_current(&self) -> Result<(), StoreError> {
        if self.file.shared.is_current() {
            return Ok(());
        }
        // The writer checks its file with each commit, also with an empty one.
        self.write(0, |_| Ok(()), Task::not_durable).await
    }

    /// The absolute path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the clock of the file.
    fn reading(&self) -> Reading {
        self.file.shared.clock.read()
    }

    /// Runs `work` in a transaction of the writer. `set` changes the options of the task.
    async fn write<T, F>(
        &self,
        weight: usize,
        work: F,
        set: impl FnOnce(Task<T, F>) -> Task<T, F>,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut Change<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let task = Box::new(set(Task::new(weight, work, reply)));
        self.file.jobs.send(task).await.map_err(|_| closed(&self.path))?;
        answer.await.map_err(|_| closed(&self.path))?
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.ensure_current().await?;
        let permit = self.file.shared.readers.permit().await.ok_or_else(|| closed(&self.path))?;
        // The closure owns a handle, so that the writer does not end before a read whose caller no longer waits.
        let store = self.clone();
        let read = move || store.file.shared.readers.read(permit, read);
        match Handle::try_current() {
            Ok(runtime) => runtime.spawn_blocking(read).await.map_err(|_| closed(&self.path))?,
            Err(_) => read(),
        }
    }
}

fn to_wall(mut entries: Vec<Entry>, reading: Reading) -> Vec<Entry> {
    entries.iter_mut().for_each(|entry| reading.entry_to_wall(entry));
    entries
}

fn lease(reading: Reading, claim: &Claim) -> Lease {
    let until = moment::later(reading.lease_from_wall(claim.now), claim.lease);
    Lease { owner: claim.owner, until: rows::micros(until) }
}

impl Store for SqliteStore {
    fn put(&self, mut entry: Entry, limits: Limits) -> Pending<'_, Put> {
        Box::pin(async move {
            if self.file.is_moving(entry.id) {
                let message = format!(
                    "the spill `{}` is also the file of its store; give the spill a file of its own (`spill.path`)",
                    self.path.display()
                );
                return Err(StoreError::new(Kind::Setting, message));
            }
            let reading = self.reading();
            reading.entry_from_wall(&mut entry);
            let now = reading.now();
            let weight = 1 + usize::try_from(entry.size() / BYTES_PER_WEIGHT).unwrap_or(0);
            let set = |task: Task<_, _>| task.optional().growing();
            self.write(weight, move |change| change.put(&entry, limits, now), set).await
        })
    }

    fn get<'a>(&'a self, queue: &'a str, id: LetterId) -> Pending<'a, Option<Entry>> {
        Box::pin(async move { Ok(self.list(queue, &LetterFilter::id(id)).await?.pop()) })
    }

    fn list<'a>(&'a self, queue: &'a str, filter: &'a LetterFilter) -> Pending<'a, Vec<Entry>> {
        let (queue, filter): (Arc<str>, LetterFilter) = (queue.into(), filter.clone());
        let reading = self.reading();
        let list = self.read(move |connection| {
            let Some(search) = Search::new(connection, &queue, &filter, reading.now())? else {
                return Ok(Vec::new());
            };
            let found = search.find(connection, filter.limit.unwrap_or(usize::MAX))?;
            rows::entries(connection, &queue, &found)
        });
        Box::pin(async move { Ok(to_wall(list.await?, reading)) })
    }

    fn count<'a>(&'a self, queue: &'a str, filter: &'a LetterFilter) -> Pending<'a, u64> {
        let (queue, filter): (Arc<str>, LetterFilter) = (queue.into(), filter.clone());
        let now = self.reading().now();
        Box::pin(self.read(move |connection| report::count(connection, &queue, &filter, now)))
    }

    fn groups<'a>(&'a self, queue: &'a str, filter: &'a LetterFilter) -> Pending<'a, Vec<Group>> {
        let (queue, filter): (Arc<str>, LetterFilter) = (queue.into(), filter.clone());
        let reading = self.reading();
        let groups = self.read(move |connection| report::groups(connection, &queue, &filter, reading.now()));
        Box::pin(async move {
            let mut groups = groups.await?;
            for Group { example, first_seen, last_seen, .. } in &mut groups {
                reading.entry_to_wall(example);
                (*first_seen, *last_seen) = (reading.to_wall(*first_seen), reading.to_wall(*last_seen));
            }
            Ok(groups)
        })
    }

    fn frequencies<'a>(&'a self, queue: &'a str, last: Duration) -> Pending<'a, Vec<Frequency>> {
        let (queue, from): (Arc<str>, u64) = (queue.into(), first_minute(self.reading().now(), last));
        Box::pin(self.read(move |connection| report::frequencies(connection, &queue, from)))
    }

    fn claim<'a>(
        &'a self,
        queue: &'a str,
        filter: &'a LetterFilter,
        claim: Claim,
    ) -> Pending<'a, Vec<Entry>> {
        let (name, mut filter): (Arc<str>, LetterFilter) = (queue.into(), filter.clone());
        let reading = self.reading();
        let lease_now = rows::micros(reading.lease_from_wall(claim.now));
        let due_by = claim.due_by.map(|by| reading.from_wall(by));
        let claimable = Claimable { now: reading.from_wall(claim.now), due_by, lease_now };
        let (lease, mut bytes) = (lease(reading, &claim), claim.bytes);
        Box::pin(async move {
            let mut entries = Vec::new();
            loop {
                let (queue, of) = (Arc::clone(&name), filter.clone());
                let weight = filter.limit.unwrap_or(BATCH);
                let work = move |change: &mut Change<'_>| change.claim(&queue, &of, claimable, lease, bytes);
                let found = self.write(weight, work, |task| task.not_durable().optional()).await?;
                let Some(last) = found.last().map(|last| last.id) else {
                    break;
                };
                let (queue, claimed) = (Arc::clone(&name), found.len());
                // Letters may have been purged since.
                let there = move |connection: &Connection| {
                    let found = rows::still_there(connection, &queue, found)?;
                    rows::entries(connection, &queue, &found)
                };
                let there = self.read(there).await?;
                let all = there.len() == claimed;
                bytes = bytes.saturating_sub(there.iter().map(Entry::size).sum());
                filter.limit = filter.limit.map(|limit| limit.saturating_sub(there.len()));
                filter.after = Some(last);
                entries.extend(there);
                // The caller takes a short result for the end of the queue, so purged letters are made up for.
                if all || bytes == 0 || filter.limit == Some(0) {
                    break;
                }
            }
            Ok(to_wall(entries, reading))
        })
    }

    fn renew<'a>(&'a self, queue: &'a str, ids: &'a [LetterId], claim: Claim) -> Pending<'a, Vec<LetterId>> {
        let (queue, ids): (Arc<str>, Arc<[LetterId]>) = (queue.into(), ids.into());
        let (weight, lease) = (ids.len(), lease(self.reading(), &claim));
        Box::pin(self.write(weight, move |change| change.renew(&queue, &ids, lease), Task::not_durable))
    }

    fn settle<'a>(
        &'a self,
        queue: &'a str,
        owner: Owner,
        mut settled: Vec<Settled>,
    ) -> Pending<'a, Vec<bool>> {
        let (queue, reading): (Arc<str>, _) = (queue.into(), self.reading());
        for settled in &mut settled {
            if let Settled::Failed(entry) | Settled::Changed(entry) = settled {
                reading.entry_from_wall(entry);
            }
        }
        let lease_now = rows::micros(reading.lease_from_wall(moment::now()));
        let times = Times { now: reading.now(), lease_now };
        let (letters, settled): (usize, Arc<[Settled]>) = (settled.len(), settled.into());
        let settle = move |some: Range<usize>| {
            let (queue, settled, weight) = (Arc::clone(&queue), Arc::clone(&settled), some.len());
            let work = move |change: &mut Change<'_>| {
                change.settle(&queue, owner, settled.get(some.clone()).unwrap_or_default(), times)
            };
            self.write(weight, work, |task| task)
        };
        Box::pin(async move {
            match settle(0..letters).await {
                Err(error) if error.is_disk_full() && letters > SMALL_BATCH => {}
                done => return done,
            }
            // Small batches may fit into the space that is left.
            let mut done = Vec::with_capacity(letters);
            for from in (0..letters).step_by(SMALL_BATCH) {
                done.extend(settle(from..letters.min(from + SMALL_BATCH)).await?);
            }
            Ok(done)
        })
    }

    fn purge<'a>(&'a self, queue: &'a str, mut record: PurgeRecord) -> Pending<'a, PurgeRecord> {
        let queue: Arc<str> = queue.into();
        Box::pin(async move {
            let mut left = record.filter.clone();
            let (mut of, mut most) = (Err(record.clone()), BATCH);
            loop {
                let (queue, filter, known) = (Arc::clone(&queue), left.clone(), of.clone());
                let now = self.reading().now();
                let work = move |change: &mut Change<'_>| {
                    change.purge(&queue, &filter, most, known.as_ref().copied(), now)
                };
                let part = match self.write(most, work, |task| task).await {
                    Err(error) if error.is_disk_full() && most > SMALL_BATCH => {
                        most = SMALL_BATCH;
                        continue;
                    }
                    part => part?,
                };
                record.purged += part.purged;
                let purged = usize::try_from(part.purged).unwrap_or(usize::MAX);
                left.limit = left.limit.map(|limit| limit.saturating_sub(purged));
                left.up_to = part.up_to;
                of = Ok(part.record);
                if purged < most {
                    return Ok(record);
                }
            }
        })
    }

    fn purges<'a>(&'a self, queue: &'a str) -> Pending<'a, Vec<PurgeRecord>> {
        let queue: Arc<str> = queue.into();
        Box::pin(self.read(move |connection| report::purges(connection, &queue)))
    }

    fn expire<'a>(&'a self, queue: &'a str, now: SystemTime) -> Pending<'a, u64> {
        let (queue, now): (Arc<str>, _) = (queue.into(), self.reading().from_wall(now));
        Box::pin(async move {
            let (mut expired, mut most) = (0, BATCH);
            loop {
                let queue = Arc::clone(&queue);
                let work = move |change: &mut Change<'_>| change.expire(&queue, now, most);
                let part = match self.write(most, work, |task| task).await {
                    Err(error) if error.is_disk_full() && most > SMALL_BATCH => {
                        most = SMALL_BATCH;
                        continue;
                    }
                    part => part?,
                };
                expired += part;
                if part < most as u64 {
                    return Ok(expired);
                }
            }
        })
    }

    fn depth(&self, queue: &str) -> Depth {
        self.file.shared.depths.get(queue)
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.path).finish_non_exhaustive()
    }
}
