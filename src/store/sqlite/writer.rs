//! The thread that writes to the file.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, ffi};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{mpsc, oneshot};

use super::database::Database;
use super::depths::{Depths, QueueDepths};
use super::errors::{disk_full, explain, replaced_repeatedly};
use super::identity::{Files, Invalidated};
use super::job::Job;
use super::open_file::{OpenFile, Shared};
use super::readers::Readers;
use super::registry::Slot;
use super::tally::Tally;
use super::tidy::{self, Tidy};
use super::{clock, file, open, registry, reserve, rows};
use crate::base::sync::Mutex;
use crate::store::StoreError;
use crate::store::clock::StoreClock;
use crate::store::error::Kind;

/// The maximum number of queued jobs. Further callers wait for a place in the queue.
const MAX_QUEUED: usize = 1_024;

/// The maximum number of jobs in one commit: enough to amortize the `fsync`, and few enough not to delay the first job.
const MAX_JOBS: usize = 256;

/// The maximum number of letters in a commit of several jobs.
const MAX_LETTERS: usize = 1_024;

/// The maximum overhead of one letter in the log, in bytes.
const LETTER_OVERHEAD: u64 = 8 * 1024;

/// The number of commits after which a file that is never idle is tidied.
const TIDY_AFTER: u32 = 256;

/// The maximum number of tries to write a group while the file keeps being replaced.
const TRIES: u32 = 3;

/// How long to wait for running reads before the file is closed.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

struct Writer {
    shared: Arc<Shared>,
    slot: Arc<Slot>,
    /// `None` after the file was lost, until it can be opened again.
    database: Option<Database>,
    /// Waits for jobs with a timeout.
    runtime: Runtime,
    is_untidy: bool,
    /// How long the writer must be idle before the file is tidied.
    quiet: Duration,
    commits: u32,
    /// Whether it was logged that the file cannot be opened again.
    has_logged: bool,
}

enum WriteError {
    /// The transaction failed.
    Commit(rusqlite::Error),
    /// There is no file to write to.
    File(StoreError),
}

impl From<rusqlite::Error> for WriteError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Commit(error)
    }
}

/// Sends the file if this process has it open already. Otherwise opens it, sends the result, and writes until the last
/// handle is dropped.
pub(super) fn run(path: Arc<Path>, opened: oneshot::Sender<Result<Arc<OpenFile>, StoreError>>) {
    // Sending fails if the caller no longer waits.
    let send = |result| drop(opened.send(result));
    let slot = match registry::slot(&path) {
        Ok(slot) => slot,
        Err(error) => return send(Err(error)),
    };
    let mut known = slot.file.lock();
    if let Some(file) = known.upgrade() {
        // Its permissions may have changed. If another file is at the path now, the writer opens and secures it.
        let secured = if file.shared.is_current() { file::secure(&path) } else { Ok(()) };
        return send(secured.map(|()| file));
    }
    let _only_writer = slot.writer.lock();
    match open(path, &slot) {
        Ok((file, writer, inbox)) => {
            *known = Arc::downgrade(&file);
            drop(known);
            send(Ok(file));
            writer.run(inbox);
        }
        Err(error) => send(Err(error)),
    }
}

type Inbox = mpsc::Receiver<Box<dyn Job>>;

fn open(path: Arc<Path>, slot: &Arc<Slot>) -> Result<(Arc<OpenFile>, Writer, Inbox), StoreError> {
    registry::wait_until_released(&path, slot)?;
    let database = match Database::open(&path) {
        // Opening needs some disk space too.
        Err(error) if error.is_disk_full() && reserve::release(&path) => Database::open(&path)?,
        database => database?,
    };
    let reader = open::reader(&path)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(StoreError::other)?;
    let shared = Arc::new(Shared {
        readers: Readers::new(Arc::clone(&path), reader),
        path,
        depths: Depths::default(),
        files: Mutex::default(),
        clock: StoreClock::default(),
    });
    let mut writer = Writer {
        shared: Arc::clone(&shared),
        slot: Arc::clone(slot),
        database: None,
        runtime,
        is_untidy: true,
        quiet: tidy::QUIET,
        commits: 0,
        has_logged: false,
    };
    writer.use_database(database)?;
    let (jobs, inbox) = mpsc::channel(MAX_QUEUED);
    slot.set_inbox(&jobs);
    Ok((Arc::new(OpenFile::new(shared, jobs)), writer, inbox))
}

impl Writer {
    fn run(mut self, mut inbox: Inbox) {
        let mut group = Vec::with_capacity(MAX_JOBS);
        while let Some(first) = self.next(&mut inbox) {
            let mut weight = first.weight();
            group.push(first);
            while group.len() < MAX_JOBS
                && weight < MAX_LETTERS
                && let Ok(next) = inbox.try_recv()
            {
                weight += next.weight();
                group.push(next);
            }
            self.write(&mut group);
        }
        // The last connection that closes removes the log. That should be the writer's.
        self.shared.readers.close_idle();
        if let Some(database) = &mut self.database
            && database.check().is_ok()
        {
            // If another process has the file open, the log stays, but empty.
            let _ = tidy::truncate(&database.connection);
        }
    }

    /// Starts to use an opened database.
    fn use_database(&mut self, mut database: Database) -> Result<(), StoreError> {
        let now = clock::now(&mut database.connection)
            .map_err(|error| explain(&self.shared.path, "open", error))?;
        database.record_write();
        let depths =
            all_depths(&database.connection).map_err(|error| explain(&self.shared.path, "read", error))?;
        self.shared.clock.set(now);
        self.shared.depths.replace(depths);
        self.shared.depths.update_file_size(&self.shared.path);
        self.publish(Some(Arc::clone(&database.files)));
        self.database = Some(database);
        self.is_untidy = true;
        Ok(())
    }

    /// Publishes which files are open.
    fn publish(&self, files: Option<Arc<Files>>) {
        self.slot.set_database(files.as_ref().map(|files| files.database().clone()));
        *self.shared.files.lock() = files;
    }

    /// Waits for the next job, and tidies the file meanwhile. `None` after the last handle was dropped.
    fn next(&mut self, inbox: &mut Inbox) -> Option<Box<dyn Job>> {
        loop {
            match inbox.try_recv() {
                Ok(job) => return Some(job),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) if !self.is_untidy => return inbox.blocking_recv(),
                Err(TryRecvError::Empty) => {}
            }
            let waiting = async { tokio::time::timeout(self.quiet, inbox.recv()).await };
            if let Ok(next) = self.runtime.block_on(waiting) {
                self.quiet = tidy::QUIET;
                return next;
            }
            let tidied = self.database.as_mut().map_or(Tidy::Done, |database| database.tidy(self.quiet));
            self.is_untidy = !matches!(tidied, Tidy::Done);
            if let Some(database) = &mut self.database
                && !self.is_untidy
            {
                database.reserve.shrink();
            }
            self.quiet = tidied.pause();
            self.shared.depths.update_file_size(&self.shared.path);
        }
    }

    /// Commits a group and answers each of its jobs.
    fn write(&mut self, group: &mut Vec<Box<dyn Job>>) {
        // The reserve must be complete before the file may grow.
        let grown: usize = group.iter().filter(|job| job.grows()).map(|job| job.weight()).sum();
        if let Some(database) = &mut self.database
            && !database.reserve.cover(database.log.size().saturating_add(grown as u64 * LETTER_OVERHEAD))
        {
            self.refuse_growing(group, None);
        }
        if group.is_empty() {
            return;
        }
        let mut committed = self.commit(group);
        if let Err(WriteError::Commit(error)) = &committed
            && is_full(error)
        {
            self.refuse_growing(group, committed.err());
            committed = self.commit_when_full(group);
        }
        let error = match committed {
            Ok(()) => {
                for job in group.drain(..) {
                    job.answer(Ok(()));
                }
                // After the answers, so that no caller waits for it.
                return self.shared.depths.update_file_size(&self.shared.path);
            }
            // One job that fails must not fail the others.
            Err(WriteError::Commit(error)) if group.len() > 1 && is_fault_of_job(&error) => {
                for job in group.drain(..) {
                    self.write(&mut vec![job]);
                }
                return;
            }
            Err(WriteError::Commit(error)) => explain(&self.shared.path, "write to", error),
            Err(WriteError::File(error)) => error,
        };
        for job in group.drain(..) {
            job.answer(Err(error.duplicate()));
        }
    }

    /// Fails the jobs of a group that need disk space.
    fn refuse_growing(&self, group: &mut Vec<Box<dyn Job>>, why: Option<WriteError>) {
        let error = match why {
            Some(WriteError::Commit(error)) => explain(&self.shared.path, "write to", error),
            Some(WriteError::File(error)) => error,
            None => disk_full(&self.shared.path, "write to"),
        };
        for job in group.extract_if(.., |job| job.grows()) {
            job.answer(Err(error.duplicate()));
        }
    }

    /// Commits a group although the disk is full. Uses the disk space of the log, and then that of the reserve.
    fn commit_when_full(&mut self, group: &mut [Box<dyn Job>]) -> Result<(), WriteError> {
        if group.is_empty() {
            return Ok(());
        }
        self.empty_log();
        match self.commit(group) {
            Err(WriteError::Commit(error)) if is_full(&error) => {
                if !self.database.as_mut().is_some_and(|database| database.reserve.release()) {
                    return Err(WriteError::Commit(error));
                }
            }
            committed => return committed,
        }
        self.empty_log();
        let committed = self.commit(group);
        // The checkpoint reuses free pages of the file, so that there is disk space for the reserve again.
        self.empty_log();
        if let Some(database) = &mut self.database {
            database.reserve.cover(0);
        }
        committed
    }

    fn empty_log(&mut self) {
        if let Some(database) = &mut self.database
            && database.check().is_ok()
        {
            let _ = tidy::truncate(&database.connection);
            database.record_write();
        }
    }

    /// Commits a group to the file that is at the path now.
    fn commit(&mut self, group: &mut [Box<dyn Job>]) -> Result<(), WriteError> {
        for _ in 0..TRIES {
            let Some(database) = &mut self.database else {
                self.reopen(None)?;
                continue;
            };
            let depths = match database.write(group) {
                Ok(committed) => committed?,
                Err(why) => {
                    self.reopen(Some(why))?;
                    continue;
                }
            };
            self.shared.depths.publish(depths);
            self.is_untidy = true;
            self.commits = self.commits.wrapping_add(1);
            if self.commits.is_multiple_of(TIDY_AFTER) {
                // The group is committed; a failure here changes nothing for it.
                let _ = tidy::if_mostly_free(&database.connection);
            }
            return Ok(());
        }
        Err(WriteError::File(replaced_repeatedly(&self.shared.path, "write to")))
    }

    /// Opens the file that is at the path now, or creates it, and logs the result.
    fn reopen(&mut self, why: Option<Invalidated>) -> Result<(), WriteError> {
        let path = Arc::clone(&self.shared.path);
        match self.try_reopen(&path, why) {
            Ok(()) => {
                self.has_logged = false;
                tracing::warn!(
                    target: "campanile::dead_letter",
                    file = %path.display(),
                    gone = why.map(|why| match why {
                        Invalidated::Database => "file",
                        Invalidated::Companion => "log",
                        Invalidated::Content => "content",
                    }),
                    "the dead-letter file or its log was removed or replaced while it was open; letters now go to the file \
                     at that path"
                );
                Ok(())
            }
            Err(error) => {
                if !std::mem::replace(&mut self.has_logged, true) {
                    tracing::error!(
                        target: "campanile::dead_letter",
                        file = %path.display(),
                        "the dead-letter file or its log was removed or replaced while it was open, and it cannot be opened \
                         again; the store fails until it can: {error}"
                    );
                }
                Err(WriteError::File(error))
            }
        }
    }

    fn try_reopen(&mut self, path: &Path, why: Option<Invalidated>) -> Result<(), StoreError> {
        let Some(_no_readers) = self.shared.readers.close(&self.runtime, READ_TIMEOUT) else {
            let message = format!(
                "cannot open `{}` again: a read of the replaced file did not end within {READ_TIMEOUT:?}; the store tries \
                 again with its next call",
                path.display()
            );
            return Err(StoreError::new(Kind::Locked, message));
        };
        if let Some(why) = why
            && let Some(database) = self.database.take()
        {
            if let Err(error) = database.rescue(why) {
                self.database = Some(database);
                return Err(error);
            }
            database.leave(why);
        }
        self.publish(None);
        registry::wait_until_released(path, &self.slot)?;
        self.use_database(Database::open(path)?)
    }
}

/// The depth of each queue in the file.
fn all_depths(connection: &Connection) -> rusqlite::Result<QueueDepths> {
    let mut tally = Tally::default();
    let mut depths = Vec::new();
    for name in rows::names(connection)? {
        if let Some(queue) = tally.queue(connection, &name)? {
            depths.push((name.into(), queue.depth(connection)?));
        }
    }
    Ok(depths)
}

/// Whether the disk is full, or the log has reached the file size limit of the process.
fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
        || error.sqlite_error().is_some_and(|error| error.extended_code == ffi::SQLITE_IOERR_WRITE)
}

/// Whether the error concerns a single job, not the file.
fn is_fault_of_job(error: &rusqlite::Error) -> bool {
    !matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::DiskFull
                | ErrorCode::ReadOnly
                | ErrorCode::CannotOpen
                | ErrorCode::SystemIoFailure
                | ErrorCode::OutOfMemory
        )
    )
}
