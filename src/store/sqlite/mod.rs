//! Letters in a SQLite file.
//!
//! One thread writes: it takes what has come in since the last commit and commits it as one group, so that a
//! hundred callers pay for one `fsync`. Each caller is answered after the commit that holds its letter. Nobody else
//! is kept waiting by that: those who read have connections of their own, and so have other processes.

mod change;
mod clock;
mod columns;
mod copy;
#[cfg(test)]
mod cost;
mod depths;
mod file;
mod job;
mod log;
mod open;
mod open_file;
mod place;
mod readers;
mod registry;
mod report;
mod reserve;
mod rows;
mod schema;
mod search;
mod seat;
mod tally;
mod tidy;
mod writer;

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rusqlite::Connection;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

pub(crate) use self::open_file::Leaving;
#[cfg(feature = "checks")]
pub(crate) use self::registry::is_replaced;

use self::change::{Change, Lease, Now};
use self::job::Task;
use self::open_file::OpenFile;
use self::search::{Free, Search};
use super::error::Kind;
use super::group::first_minute;
use super::steady::Reading;
use super::{
    Claim, Depth, Entry, Frequency, Group, LetterFilter, LetterId, Limits, Owner, Pending, PurgeRecord, Put,
    Settled, Store, StoreError,
};
use crate::base::moment;

/// Jobs that may wait for the writer; those beyond wait in their own futures.
const WAITING: usize = 1_024;

/// Letters that are removed in one transaction, so that nobody who parks waits for a million of them to go.
const PART: usize = 1_000;

/// Letters that are removed in one transaction where there is little room for its log.
const FEW: usize = 16;

/// Bytes that cost a commit about as much as one letter more.
const BYTES: u64 = 4_096;

/// Keeps letters in a SQLite file, each on the disk before its caller hears of it.
///
/// Cheap to clone; clones share one writing thread, which ends with the last of them, and so do all that are opened on the
/// same file in one process, by whatever path. Other processes of the same machine and user may read and write the same
/// file; on a file system that is shared over a network, SQLite's locks do not hold.
///
/// # A file that is removed or replaced
/// A letter is acknowledged when it is on the disk in the file that is at the path. Before it is, the writer looks whether
/// that is the file it has open, by device and inode. If the file was removed, a new one is made; if another lies there, such
/// as a backup, that one is gone on with. The letters of the moment go there, letters from before stay in the file that was
/// removed. If only the log (`-wal`) or its index (`-shm`) was removed, no letter is lost. Where no file can be opened, the
/// store fails until one can. All of that is logged.
///
/// A copy over the file that leaves its inode (`cp backup letters.db`) is noticed by a time of change that no checkpoint
/// of SQLite explains: a file of up to 32 MiB is checked for damage then, and a damaged one is opened anew without its log,
/// which is kept beside it with the suffix `-wal-old`. What is not noticed: a copy over a larger file, and one that fits
/// the log, whose letters may come back or be gone. So restore with the processes stopped, or by `mv`, or by SQLite's own
/// `.restore`.
///
/// No other code of the process may open the file but SQLite, and no other copy of SQLite in it: POSIX takes away all locks
/// of a process on a file when it closes any descriptor of that.
///
/// A file beside it, whose name ends in `-reserve`, keeps room on the disk: as much as the log takes, 512 KiB at least.
/// When there is no more, no letter is parked, and that room is for what claims, removes and changes letters. A backup does
/// not need it, and it may be removed.
///
/// When a letter is due, what age it is, when it expires and when a lease ends goes by a clock of the file, which no step
/// of the wall clock moves while the machine is up. A queue that drops the oldest letter drops the one that came first.
///
/// What letters leave behind in the file is used for the next ones, and given back to the disk when nobody has come for
/// a moment. A purge of many goes a thousand at a time, so that those who park get their turn in between.
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
    /// All handles on one file in this process have the same.
    file: Arc<OpenFile>,
}

impl SqliteStore {
    /// Opens the file at `path`, or makes it; its folder must exist.
    ///
    /// On Unix only the owner of the file may read and write it, for letters hold what people sent. A new file has the
    /// mode 600. Rights of the group and of others to a file that exists, its `-wal`, its `-shm` and its `-journal` are
    /// taken away, with a warning to `tracing`. `path` may be a link to a file that exists.
    ///
    /// A file of an earlier version is copied before it is changed, to its name with `.v` and its version behind it, for its
    /// owner alone; then it is changed in one transaction.
    ///
    /// # Errors
    /// When the file cannot be written, cannot be copied before its schema changes, is damaged, belongs to another program or to a later version of this
    /// one, or is locked for more than five seconds; the message names the file and what to do. When it is no plain file,
    /// or a link to what does not exist. When others have rights to it that this process may not take away:
    /// these three answer yes to [`is_unwritable`](StoreError::is_unwritable).
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let path: PathBuf = path.into();
        let path: Arc<Path> = match std::path::absolute(&path) {
            Ok(absolute) => absolute.into(),
            Err(error) => return Err(open::unwritable(&path, error)),
        };
        let (opened, answer) = oneshot::channel();
        let at = Arc::clone(&path);
        std::thread::Builder::new()
            .name("campanile-letters".to_owned())
            .spawn(move || writer::run(at, opened))
            .map_err(|error| {
                StoreError::new(Kind::Other, "cannot start the thread that writes letters").with_source(error)
            })?;
        let file = answer.await.map_err(|_| closed(&path))??;
        let store = Self { path, file };
        store.look().await?;
        Ok(store)
    }

    /// Whether both keep letters in the same file, whatever they call it.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.file, &other.file)
    }

    /// Says that letters are on their way to another store, until what this gives is dropped.
    pub(crate) fn leaving(&self, ids: Vec<LetterId>) -> Leaving {
        Leaving::new(Arc::clone(&self.file), ids)
    }

    /// Sees to it that what is read next is in the file that is at the path now.
    async fn look(&self) -> Result<(), StoreError> {
        if self.file.shared.stands() {
            return Ok(());
        }
        // The writer looks after each commit.
        self.write(0, |_| Ok(()), Task::fleeting).await
    }

    /// The file, as an absolute path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The clock of the file.
    fn steady(&self) -> Reading {
        self.file.shared.steady.read()
    }

    /// Has the writer do something; `set` says how it is to be done.
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
        self.look().await?;
        let permit = self.file.shared.readers.permit().await.ok_or_else(|| closed(&self.path))?;
        // A handle of its own, so that the writer outlives a read that nobody waits for any more.
        let store = self.clone();
        let read = move || store.file.shared.readers.read(permit, read);
        match Handle::try_current() {
            Ok(runtime) => runtime.spawn_blocking(read).await.map_err(|_| closed(&self.path))?,
            Err(_) => read(),
        }
    }
}

fn departing(mut entries: Vec<Entry>, reading: Reading) -> Vec<Entry> {
    entries.iter_mut().for_each(|entry| reading.depart(entry));
    entries
}

fn lease(reading: Reading, claim: &Claim) -> Lease {
    let until = moment::later(reading.exactly(claim.now), claim.lease);
    Lease { owner: claim.owner, until: rows::micros(until) }
}
/// Why a letter of the spill cannot be put where it comes from.
const LEADS_BACK: &str =
    "the store of this spill is the spill itself, by another way; give the spill a file of its own";

fn closed(path: &Path) -> StoreError {
    StoreError::new(Kind::Closed, format!("the letters in `{}` have been closed", path.display()))
}

impl Store for SqliteStore {
    fn put(&self, mut entry: Entry, limits: Limits) -> Pending<'_, Put> {
        Box::pin(async move {
            if self.file.is_leaving(entry.id) {
                return Err(StoreError::new(Kind::Setting, LEADS_BACK));
            }
            let reading = self.steady();
            reading.arrive(&mut entry);
            let now = reading.now();
            let weight = 1 + usize::try_from(entry.size() / BYTES).unwrap_or(0);
            let set = |task: Task<_, _>| task.optional().growing();
            self.write(weight, move |change| change.put(&entry, limits, now), set).await
        })
    }

    fn get<'a>(&'a self, queue: &'a str, id: LetterId) -> Pending<'a, Option<Entry>> {
        Box::pin(async move { Ok(self.list(queue, &LetterFilter::id(id)).await?.pop()) })
    }

    fn list<'a>(&'a self, queue: &'a str, filter: &'a LetterFilter) -> Pending<'a, Vec<Entry>> {
        let (queue, filter): (Arc<str>, LetterFilter) = (queue.into(), filter.clone());
        let reading = self.steady();
        let list = self.read(move |connection| {
            let Some(search) = Search::new(connection, &queue, &filter, reading.now())? else {
                return Ok(Vec::new());
            };
            let found = search.find(connection, filter.limit.unwrap_or(usize::MAX))?;
            rows::entries(connection, &queue, &found)
        });
        Box::pin(async move { Ok(departing(list.await?, reading)) })
    }

    fn count<'a>(&'a self, queue: &'a str, filter: &'a LetterFilter) -> Pending<'a, u64> {
        let (queue, filter): (Arc<str>, LetterFilter) = (queue.into(), filter.clone());
        let now = self.steady().now();
        Box::pin(self.read(move |connection| report::count(connection, &queue, &filter, now)))
    }

    fn groups<'a>(&'a self, queue: &'a str, filter: &'a LetterFilter) -> Pending<'a, Vec<Group>> {
        let (queue, filter): (Arc<str>, LetterFilter) = (queue.into(), filter.clone());
        let reading = self.steady();
        let groups = self.read(move |connection| report::groups(connection, &queue, &filter, reading.now()));
        Box::pin(async move {
            let mut groups = groups.await?;
            for Group { example, first_seen, last_seen, .. } in &mut groups {
                reading.depart(example);
                (*first_seen, *last_seen) = (reading.wall(*first_seen), reading.wall(*last_seen));
            }
            Ok(groups)
        })
    }

    fn frequencies<'a>(&'a self, queue: &'a str, last: Duration) -> Pending<'a, Vec<Frequency>> {
        let (queue, from): (Arc<str>, u64) = (queue.into(), first_minute(self.steady().now(), last));
        Box::pin(self.read(move |connection| report::frequencies(connection, &queue, from)))
    }

    fn claim<'a>(
        &'a self,
        queue: &'a str,
        filter: &'a LetterFilter,
        claim: Claim,
    ) -> Pending<'a, Vec<Entry>> {
        let (name, mut filter): (Arc<str>, LetterFilter) = (queue.into(), filter.clone());
        let reading = self.steady();
        let leased = rows::micros(reading.exactly(claim.now));
        let due_by = claim.due_by.map(|by| reading.of(by));
        let free = Free { now: reading.of(claim.now), due_by, leased };
        let (lease, mut bytes) = (lease(reading, &claim), claim.bytes);
        Box::pin(async move {
            let mut entries = Vec::new();
            loop {
                let (queue, of) = (Arc::clone(&name), filter.clone());
                let weight = filter.limit.unwrap_or(PART);
                let work = move |change: &mut Change<'_>| change.claim(&queue, &of, free, lease, bytes);
                let found = self.write(weight, work, |task| task.fleeting().optional()).await?;
                let Some(last) = found.last().map(|last| last.id) else {
                    break;
                };
                let (queue, claimed) = (Arc::clone(&name), found.len());
                // It may have been purged since.
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
                // Fewer than there may be would say that there are no more.
                if all || bytes == 0 || filter.limit == Some(0) {
                    break;
                }
            }
            Ok(departing(entries, reading))
        })
    }

    fn renew<'a>(&'a self, queue: &'a str, ids: &'a [LetterId], claim: Claim) -> Pending<'a, Vec<LetterId>> {
        let (queue, ids): (Arc<str>, Arc<[LetterId]>) = (queue.into(), ids.into());
        let (weight, lease) = (ids.len(), lease(self.steady(), &claim));
        Box::pin(self.write(weight, move |change| change.renew(&queue, &ids, lease), Task::fleeting))
    }

    fn settle<'a>(
        &'a self,
        queue: &'a str,
        owner: Owner,
        mut settled: Vec<Settled>,
    ) -> Pending<'a, Vec<bool>> {
        let (queue, reading): (Arc<str>, _) = (queue.into(), self.steady());
        for settled in &mut settled {
            if let Settled::Failed(entry) | Settled::Changed(entry) = settled {
                reading.arrive(entry);
            }
        }
        let now = Now { now: reading.now(), leased: rows::micros(reading.exactly(moment::now())) };
        let (letters, settled): (usize, Arc<[Settled]>) = (settled.len(), settled.into());
        let settle = move |some: Range<usize>| {
            let (queue, settled, weight) = (Arc::clone(&queue), Arc::clone(&settled), some.len());
            let work = move |change: &mut Change<'_>| {
                change.settle(&queue, owner, settled.get(some.clone()).unwrap_or_default(), now)
            };
            self.write(weight, work, |task| task)
        };
        Box::pin(async move {
            match settle(0..letters).await {
                Err(error) if error.is_disk_full() && letters > FEW => {}
                done => return done,
            }
            // A few at a time may do with the room that there is.
            let mut done = Vec::with_capacity(letters);
            for from in (0..letters).step_by(FEW) {
                done.extend(settle(from..letters.min(from + FEW)).await?);
            }
            Ok(done)
        })
    }

    fn purge<'a>(&'a self, queue: &'a str, mut record: PurgeRecord) -> Pending<'a, PurgeRecord> {
        let queue: Arc<str> = queue.into();
        Box::pin(async move {
            let mut left = record.filter.clone();
            let (mut of, mut most) = (Err(record.clone()), PART);
            loop {
                let (queue, filter, known) = (Arc::clone(&queue), left.clone(), of.clone());
                let now = self.steady().now();
                let work = move |change: &mut Change<'_>| {
                    change.purge(&queue, &filter, most, known.as_ref().copied(), now)
                };
                let part = match self.write(most, work, |task| task).await {
                    Err(error) if error.is_disk_full() && most > FEW => {
                        most = FEW;
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
        let (queue, now): (Arc<str>, _) = (queue.into(), self.steady().of(now));
        Box::pin(async move {
            let (mut expired, mut most) = (0, PART);
            loop {
                let queue = Arc::clone(&queue);
                let work = move |change: &mut Change<'_>| change.expire(&queue, now, most);
                let part = match self.write(most, work, |task| task).await {
                    Err(error) if error.is_disk_full() && most > FEW => {
                        most = FEW;
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
        self.file.shared.depths.of(queue)
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.path).finish_non_exhaustive()
    }
}
