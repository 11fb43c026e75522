//! The store itself.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::change::Change;
use super::errors::{self, closed};
use super::job::Task;
use super::open_file::{MoveGuard, OpenFile};
use super::writer;
use crate::store::clock::Reading;
use crate::store::error::Kind;
use crate::store::{LetterId, StoreError};

/// Keeps letters in a SQLite file. A letter counts as parked when it is on disk.
///
/// Cheap to clone. All stores that one process opens on the same file, by whatever path, share one writing thread,
/// which ends with the last of them. Other processes of the same machine and user may use the same file. Do not put
/// the file on a network file system: SQLite's locks do not work there.
///
/// # A file that is removed or replaced
/// The writer acknowledges a letter only if the file that it has open, by device and inode, is still the file at the
/// path. If the file was removed, the writer creates a new one. If another file is there, such as a backup, it
/// continues with that one. New letters go there; earlier letters stay in the removed file. If only the log (`-wal`)
/// or its index (`-shm`) was removed, no letter is lost. If no file can be opened, the store fails until one can. All
/// of this is logged.
///
/// A copy over the file that keeps its inode (`cp backup letters.db`) shows as a time of change that no checkpoint of
/// SQLite explains. A file of up to 32 MiB is then checked for damage. A damaged one is opened again without its log,
/// which is kept beside it with the suffix `-wal-old`. Two cases are not noticed: a copy over a larger file, and a
/// copy that happens to fit the log. Their letters may come back or be lost. So restore a backup while the processes
/// are stopped, or by `mv`, or by SQLite's own `.restore`.
///
/// Within the process, only SQLite may open the file, and only one copy of SQLite: when a process closes any
/// descriptor of a file, POSIX releases all its locks on that file.
///
/// # A full disk
/// A file beside the database, with the suffix `-reserve`, reserves disk space: as much as the log takes, and at
/// least 512 KiB. When the disk is full, no letter is parked, and the store uses that space to claim, remove and
/// change letters. Backups need not include the reserve, and it may be deleted.
///
/// New letters reuse the space of removed ones. While the writer is idle, it returns free space to the disk. A large
/// purge removes a thousand letters at a time, so that other callers get their turn in between.
///
/// # Time
/// Due times, ages, expiry and leases use a clock of the file, which changes of the wall clock do not affect while
/// the machine is up. [`WhenFull::DropOldest`](crate::store::WhenFull::DropOldest) removes the letter that arrived
/// first.
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
    /// On Unix, only the owner can read and write the file, because letters contain personal data. A new file has
    /// mode 600. If an existing file, its `-wal`, `-shm` or `-journal` gives permissions to the group or to others,
    /// they are removed, and a warning is logged.
    ///
    /// A file of an earlier version is copied before its migration: to the same name with the suffix `.v` and the
    /// version, with the same permissions. The migration is one transaction.
    ///
    /// # Errors
    /// The message names the file and what to do.
    /// - [`is_unwritable`](StoreError::is_unwritable): the file cannot be written, or cannot be copied before its
    ///   migration; it is not a regular file, or a link to a file that does not exist; or other users have permissions
    ///   that this process cannot remove.
    /// - [`is_corrupt`](StoreError::is_corrupt): the file is damaged or is not an SQLite database.
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
        // The writer checks its file with each commit, even with an empty one.
        self.write(0, |_| Ok(()), Task::not_durable).await
    }

    /// The absolute path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn file(&self) -> &OpenFile {
        &self.file
    }

    /// Reads the clock of the file.
    pub(super) fn reading(&self) -> Reading {
        self.file.shared.clock.read()
    }

    /// Runs `work` in a transaction of the writer. `set` changes the options of the task.
    pub(super) async fn write<T, F>(
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

    pub(super) async fn read<T: Send + 'static>(
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

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.path).finish_non_exhaustive()
    }
}
