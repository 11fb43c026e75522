//! Letters in a SQLite file.
//!
//! One thread writes: it takes what has come in since the last commit and commits it as one group, so that a
//! hundred callers pay for one `fsync`. Each caller is answered after the commit that holds its letter.

mod open;
mod rows;
mod writer;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rusqlite::Connection;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use self::writer::Command;
use super::error::Kind;
use super::{
    Claim, Depth, Entry, Filter, Frequency, Group, LetterId, Limits, Owner, Pending, PurgeRecord, Put,
    Settled, Store, StoreError, group,
};
use crate::sync::Mutex;

/// Commands that may wait for the writer; those beyond wait in their own futures.
const WAITING: usize = 1_024;

/// The depth of each queue in the file, as of the last commit of this process.
type Depths = Arc<Mutex<BTreeMap<Arc<str>, Depth>>>;

/// Keeps letters in a SQLite file, each on the disk before its caller hears of it.
///
/// Cheap to clone; clones share one writing thread, which ends with the last of them. Other processes may read
/// and write the same file.
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
    commands: mpsc::Sender<Command>,
    reader: Arc<Mutex<Connection>>,
    depths: Depths,
}

impl SqliteStore {
    /// Opens the file at `path`, or makes it; its folder must exist.
    ///
    /// # Errors
    /// When the file cannot be written, is damaged, belongs to another program or to a later version of this
    /// one, or is locked for more than five seconds; the message names the file and what to do.
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let path: PathBuf = path.into();
        let path: Arc<Path> = match std::path::absolute(&path) {
            Ok(absolute) => absolute.into(),
            Err(error) => return Err(open::unwritable(&path, error)),
        };
        let (commands, inbox) = mpsc::channel(WAITING);
        let (opened, answer) = oneshot::channel();
        let at = Arc::clone(&path);
        std::thread::Builder::new()
            .name("campanile-letters".to_owned())
            .spawn(move || writer::run(&at, inbox, opened))
            .map_err(|error| {
                StoreError::new(Kind::Other, "cannot start the thread that writes letters").with_source(error)
            })?;
        let (reader, depths) = answer.await.map_err(|_| closed(&path))??;
        Ok(Self { path, commands, reader: Arc::new(Mutex::new(reader)), depths })
    }

    /// The file, as an absolute path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn write<'a, T: Send + 'a>(
        &'a self,
        command: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Command,
    ) -> Pending<'a, T> {
        let (reply, answer) = oneshot::channel();
        let command = command(reply);
        Box::pin(async move {
            self.commands.send(command).await.map_err(|_| closed(&self.path))?;
            answer.await.map_err(|_| closed(&self.path))?
        })
    }

    fn read<'a, T: Send + 'static>(
        &'a self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Pending<'a, T> {
        let reader = Arc::clone(&self.reader);
        let read = move || read(&reader.lock());
        Box::pin(async move {
            let result = match Handle::try_current() {
                Ok(runtime) => runtime.spawn_blocking(read).await.map_err(|_| closed(&self.path))?,
                Err(_) => read(),
            };
            result.map_err(|error| open::explain(&self.path, "read", error))
        })
    }
}

fn closed(path: &Path) -> StoreError {
    StoreError::new(Kind::Closed, format!("the letters in `{}` have been closed", path.display()))
}

impl Store for SqliteStore {
    fn put(&self, entry: Entry, limits: Limits) -> Pending<'_, Put> {
        self.write(|reply| Command::Put { entry, limits, reply })
    }

    fn get<'a>(&'a self, queue: &'a str, id: LetterId) -> Pending<'a, Option<Entry>> {
        let queue: Arc<str> = queue.into();
        self.read(move |connection| Ok(rows::list(connection, &queue, &Filter::id(id))?.pop()))
    }

    fn list<'a>(&'a self, queue: &'a str, filter: &'a Filter) -> Pending<'a, Vec<Entry>> {
        let (queue, filter): (Arc<str>, Filter) = (queue.into(), filter.clone());
        self.read(move |connection| rows::list(connection, &queue, &filter))
    }

    fn count<'a>(&'a self, queue: &'a str, filter: &'a Filter) -> Pending<'a, u64> {
        Box::pin(async move { Ok(self.list(queue, filter).await?.len() as u64) })
    }

    fn groups<'a>(&'a self, queue: &'a str, filter: &'a Filter) -> Pending<'a, Vec<Group>> {
        Box::pin(async move {
            let all = Filter { limit: None, ..filter.clone() };
            Ok(group::by_size(group::of_entries(self.list(queue, &all).await?), filter.limit))
        })
    }

    fn frequencies<'a>(&'a self, _: &'a str, _: Duration) -> Pending<'a, Vec<Frequency>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn claim<'a>(&'a self, queue: &'a str, filter: &'a Filter, _: Claim) -> Pending<'a, Vec<Entry>> {
        self.list(queue, filter)
    }

    fn renew<'a>(&'a self, _: &'a str, ids: &'a [LetterId], _: Claim) -> Pending<'a, Vec<LetterId>> {
        Box::pin(async { Ok(ids.to_vec()) })
    }

    fn settle<'a>(&'a self, queue: &'a str, _: Owner, settled: Vec<Settled>) -> Pending<'a, Vec<bool>> {
        Box::pin(async move {
            let mut done = Vec::new();
            for settled in settled {
                done.push(match settled {
                    Settled::Delivered(id) => {
                        self.write(|reply| Command::Remove { queue: queue.into(), id, reply }).await?
                    }
                    Settled::Failed(entry) | Settled::Changed(entry) => {
                        self.write(|reply| Command::Replace { entry, reply }).await?
                    }
                    Settled::Released(_) => true,
                });
            }
            Ok(done)
        })
    }

    fn purge<'a>(&'a self, queue: &'a str, mut record: PurgeRecord) -> Pending<'a, PurgeRecord> {
        Box::pin(async move {
            let filter = record.filter.clone();
            record.purged = self.write(|reply| Command::Purge { queue: queue.into(), filter, reply }).await?;
            Ok(record)
        })
    }

    fn purges<'a>(&'a self, _: &'a str) -> Pending<'a, Vec<PurgeRecord>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn expire<'a>(&'a self, _: &'a str, _: SystemTime) -> Pending<'a, u64> {
        Box::pin(async { Ok(0) })
    }

    fn depth(&self, queue: &str) -> Depth {
        self.depths.lock().get(queue).copied().unwrap_or_default()
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.path).finish_non_exhaustive()
    }
}
