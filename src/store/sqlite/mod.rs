//! Letters in a SQLite file.
//!
//! One thread writes: it takes what has come in since the last commit and commits it as one group, so that a
//! hundred callers pay for one `fsync`. Each caller is answered after the commit that holds its letter. Nobody else
//! is kept waiting by that: those who read have connections of their own, and so have other processes.

mod change;
mod clock;
mod copy;
#[cfg(test)]
mod cost;
mod depths;
mod file;
mod job;
mod log;
mod open;
mod readers;
mod report;
mod rows;
mod schema;
mod search;
mod tally;
mod tidy;
mod writer;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rusqlite::Connection;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use self::change::{Change, Lease, Now};
use self::depths::Depths;
use self::job::{Job, Task};
use self::readers::Readers;
use self::search::{Free, Search};
use super::error::Kind;
use super::group::first_minute;
use super::steady::{Reading, Steady};
use super::{
    Claim, Depth, Entry, Filter, Frequency, Group, LetterId, Limits, Owner, Pending, PurgeRecord, Put,
    Settled, Store, StoreError,
};
use crate::moment;

/// Jobs that may wait for the writer; those beyond wait in their own futures.
const WAITING: usize = 1_024;

/// Letters that are removed in one transaction, so that nobody who parks waits for a million of them to go.
const PART: usize = 1_000;

/// Bytes that cost a commit about as much as one letter more.
const BYTES: u64 = 4_096;

/// Keeps letters in a SQLite file, each on the disk before its caller hears of it.
///
/// Cheap to clone; clones share one writing thread, which ends with the last of them. Other processes of the same
/// machine and user may read and write the same file; on a file system that is shared over a network, SQLite's locks do not hold.
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
    // Before the jobs: the writer must be the last to let go of the file, to clear its log away.
    readers: Arc<Readers>,
    jobs: mpsc::Sender<Box<dyn Job>>,
    depths: Arc<Depths>,
    steady: Arc<Steady>,
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
        let (jobs, inbox) = mpsc::channel(WAITING);
        let (opened, answer) = oneshot::channel();
        let at = Arc::clone(&path);
        std::thread::Builder::new()
            .name("campanile-letters".to_owned())
            .spawn(move || writer::run(&at, inbox, opened))
            .map_err(|error| {
                StoreError::new(Kind::Other, "cannot start the thread that writes letters").with_source(error)
            })?;
        let (reader, depths, steady) = answer.await.map_err(|_| closed(&path))??;
        let steady = Arc::new(steady);
        Ok(Self { readers: Readers::new(Arc::clone(&path), reader), path, jobs, depths, steady })
    }

    /// The file, as an absolute path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
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
        self.jobs.send(task).await.map_err(|_| closed(&self.path))?;
        answer.await.map_err(|_| closed(&self.path))?
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let permit = self.readers.permit().await.ok_or_else(|| closed(&self.path))?;
        // A handle of its own, so that the writer outlives a read that nobody waits for any more.
        let store = self.clone();
        let read = move || store.readers.read(permit, read);
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

fn closed(path: &Path) -> StoreError {
    StoreError::new(Kind::Closed, format!("the letters in `{}` have been closed", path.display()))
}

impl Store for SqliteStore {
    fn put(&self, mut entry: Entry, limits: Limits) -> Pending<'_, Put> {
        let reading = self.steady.read();
        reading.arrive(&mut entry);
        let now = reading.now();
        let weight = 1 + usize::try_from(entry.size() / BYTES).unwrap_or(0);
        Box::pin(self.write(weight, move |change| change.put(&entry, limits, now), Task::optional))
    }

    fn get<'a>(&'a self, queue: &'a str, id: LetterId) -> Pending<'a, Option<Entry>> {
        Box::pin(async move { Ok(self.list(queue, &Filter::id(id)).await?.pop()) })
    }

    fn list<'a>(&'a self, queue: &'a str, filter: &'a Filter) -> Pending<'a, Vec<Entry>> {
        let (queue, filter): (Arc<str>, Filter) = (queue.into(), filter.clone());
        let reading = self.steady.read();
        let list = self.read(move |connection| {
            let Some(search) = Search::new(connection, &queue, &filter, reading.now())? else {
                return Ok(Vec::new());
            };
            let found = search.find(connection, filter.limit.unwrap_or(usize::MAX))?;
            rows::entries(connection, &queue, &found)
        });
        Box::pin(async move { Ok(departing(list.await?, reading)) })
    }

    fn count<'a>(&'a self, queue: &'a str, filter: &'a Filter) -> Pending<'a, u64> {
        let (queue, filter): (Arc<str>, Filter) = (queue.into(), filter.clone());
        let now = self.steady.read().now();
        Box::pin(self.read(move |connection| report::count(connection, &queue, &filter, now)))
    }

    fn groups<'a>(&'a self, queue: &'a str, filter: &'a Filter) -> Pending<'a, Vec<Group>> {
        let (queue, filter): (Arc<str>, Filter) = (queue.into(), filter.clone());
        let reading = self.steady.read();
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
        let (queue, from): (Arc<str>, u64) = (queue.into(), first_minute(self.steady.read().now(), last));
        Box::pin(self.read(move |connection| report::frequencies(connection, &queue, from)))
    }

    fn claim<'a>(&'a self, queue: &'a str, filter: &'a Filter, claim: Claim) -> Pending<'a, Vec<Entry>> {
        let (name, filter): (Arc<str>, Filter) = (queue.into(), filter.clone());
        let reading = self.steady.read();
        let leased = rows::micros(reading.exactly(claim.now));
        let due_by = claim.due_by.map(|by| reading.of(by));
        let free = Free { now: reading.of(claim.now), due_by, leased };
        let lease = lease(reading, &claim);
        Box::pin(async move {
            let queue = Arc::clone(&name);
            let weight = filter.limit.unwrap_or(PART);
            let work = move |change: &mut Change<'_>| change.claim(&queue, &filter, free, lease);
            let found = self.write(weight, work, |task| task.fleeting().optional()).await?;
            if found.is_empty() {
                return Ok(Vec::new());
            }
            // It may have been purged since.
            let there = move |connection: &Connection| {
                let found = rows::still_there(connection, &name, found)?;
                rows::entries(connection, &name, &found)
            };
            Ok(departing(self.read(there).await?, reading))
        })
    }

    fn renew<'a>(&'a self, queue: &'a str, ids: &'a [LetterId], claim: Claim) -> Pending<'a, Vec<LetterId>> {
        let (queue, ids): (Arc<str>, Arc<[LetterId]>) = (queue.into(), ids.into());
        let (weight, lease) = (ids.len(), lease(self.steady.read(), &claim));
        Box::pin(self.write(weight, move |change| change.renew(&queue, &ids, lease), Task::fleeting))
    }

    fn settle<'a>(
        &'a self,
        queue: &'a str,
        owner: Owner,
        mut settled: Vec<Settled>,
    ) -> Pending<'a, Vec<bool>> {
        let (queue, reading): (Arc<str>, _) = (queue.into(), self.steady.read());
        for settled in &mut settled {
            if let Settled::Failed(entry) | Settled::Changed(entry) = settled {
                reading.arrive(entry);
            }
        }
        let now = Now { now: reading.now(), leased: rows::micros(reading.exactly(moment::now())) };
        let weight = settled.len();
        let work = move |change: &mut Change<'_>| change.settle(&queue, owner, &settled, now);
        Box::pin(self.write(weight, work, |task| task))
    }

    fn purge<'a>(&'a self, queue: &'a str, mut record: PurgeRecord) -> Pending<'a, PurgeRecord> {
        let queue: Arc<str> = queue.into();
        Box::pin(async move {
            let mut left = record.filter.clone();
            let mut of = Err(record.clone());
            loop {
                let (queue, filter, known) = (Arc::clone(&queue), left.clone(), of.clone());
                let now = self.steady.read().now();
                let work = move |change: &mut Change<'_>| {
                    change.purge(&queue, &filter, PART, known.as_ref().copied(), now)
                };
                let part = self.write(PART, work, |task| task).await?;
                record.purged += part.purged;
                let purged = usize::try_from(part.purged).unwrap_or(usize::MAX);
                left.limit = left.limit.map(|limit| limit.saturating_sub(purged));
                left.up_to = part.up_to;
                of = Ok(part.record);
                if purged < PART {
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
        let (queue, now): (Arc<str>, _) = (queue.into(), self.steady.read().of(now));
        Box::pin(async move {
            let mut expired = 0;
            loop {
                let queue = Arc::clone(&queue);
                let work = move |change: &mut Change<'_>| change.expire(&queue, now, PART);
                let part = self.write(PART, work, |task| task).await?;
                expired += part;
                if part < PART as u64 {
                    return Ok(expired);
                }
            }
        })
    }

    fn depth(&self, queue: &str) -> Depth {
        self.depths.of(queue)
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.path).finish_non_exhaustive()
    }
}
