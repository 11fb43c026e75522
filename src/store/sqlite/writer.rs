//! The thread that writes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, TransactionBehavior, ffi};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{mpsc, oneshot};

use super::change::Change;
use super::depths;
use super::job::Job;
use super::open_file::{OpenFile, Shared};
use super::place::Gone;
use super::readers::Readers;
use super::registry::Slot;
use super::seat::Seat;
use super::tally::Tally;
use super::tidy::{self, Tidy};
use super::{WAITING, clock, file, open, registry, reserve, rows};
use crate::base::sync::Mutex;
use crate::store::error::Kind;
use crate::store::steady::Steady;
use crate::store::{Depth, StoreError};

/// The most jobs in one commit: enough to hide the `fsync`, few enough not to keep the first one waiting.
const GROUP: usize = 256;

/// The most letters in one commit, if it is of more than one job.
const LETTERS: usize = 1_024;

/// Bytes of the log that a letter takes beside its own, at most.
const PER_LETTER: u64 = 8 * 1024;

/// Commits between two looks at a file that is never left alone for long enough to be tidied.
const BUSY: u32 = 256;

/// How often a group is written again because its file was replaced meanwhile.
const TRIES: u32 = 3;

/// How long to wait for those who read a file that is to be left.
const PATIENCE: Duration = Duration::from_secs(5);

struct Writer {
    shared: Arc<Shared>,
    /// None after the file was lost, until it can be opened again.
    seat: Option<Seat>,
    /// Waits for jobs, with a limit to it.
    runtime: Runtime,
    untidy: bool,
    /// How long no job must have come before the file is tidied.
    quiet: Duration,
    commits: u32,
    /// Whether it was told that the file cannot be opened again.
    told: bool,
}

/// The depth of each queue that is meant.
type Depths = Vec<(Arc<str>, Depth)>;

enum Failed {
    /// The transaction failed.
    Commit(rusqlite::Error),
    /// There is no file to write to.
    File(StoreError),
}

impl From<rusqlite::Error> for Failed {
    fn from(error: rusqlite::Error) -> Self {
        Self::Commit(error)
    }
}

/// Joins those who have the file open in this process; or else opens it, tells how that went, and writes until every
/// handle is gone.
pub(super) fn run(path: Arc<Path>, opened: oneshot::Sender<Result<Arc<OpenFile>, StoreError>>) {
    // The one who asked may have gone; then no one needs to know.
    let tell = |end| drop(opened.send(end));
    let slot = match registry::slot(&path) {
        Ok(slot) => slot,
        Err(error) => return tell(Err(error)),
    };
    let mut known = slot.file.lock();
    if let Some(file) = known.upgrade() {
        // Its rights may have changed since. Another file that lies there now is opened, and looked at, by the writer.
        let secured = if file.shared.stands() { file::secure(&path) } else { Ok(()) };
        return tell(secured.map(|()| file));
    }
    let _alone = slot.writer.lock();
    match open(path, &slot) {
        Ok((file, writer, inbox)) => {
            *known = Arc::downgrade(&file);
            drop(known);
            tell(Ok(file));
            writer.run(inbox);
        }
        Err(error) => tell(Err(error)),
    }
}

type Inbox = mpsc::Receiver<Box<dyn Job>>;

fn open(path: Arc<Path>, slot: &Arc<Slot>) -> Result<(Arc<OpenFile>, Writer, Inbox), StoreError> {
    registry::vacate(&path, slot)?;
    let seat = match Seat::open(&path) {
        // Opening takes some room too.
        Err(error) if error.is_disk_full() && reserve::release(&path) => Seat::open(&path)?,
        seat => seat?,
    };
    let reader = open::reader(&path)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(StoreError::other)?;
    let shared = Arc::new(Shared {
        readers: Readers::new(Arc::clone(&path), reader),
        path,
        depths: depths::Depths::default(),
        files: Mutex::default(),
        steady: Steady::default(),
        slot: Arc::clone(slot),
    });
    let mut writer = Writer {
        shared: Arc::clone(&shared),
        seat: None,
        runtime,
        untidy: true,
        quiet: tidy::QUIET,
        commits: 0,
        told: false,
    };
    writer.take(seat)?;
    let (jobs, inbox) = mpsc::channel(WAITING);
    slot.writes_by(&jobs);
    Ok((Arc::new(OpenFile::new(shared, jobs)), writer, inbox))
}

impl Writer {
    fn run(mut self, mut inbox: Inbox) {
        let mut group = Vec::with_capacity(GROUP);
        while let Some(first) = self.next(&mut inbox) {
            let mut weight = first.weight();
            group.push(first);
            while group.len() < GROUP
                && weight < LETTERS
                && let Ok(next) = inbox.try_recv()
            {
                weight += next.weight();
                group.push(next);
            }
            self.write(&mut group);
        }
        // The connection that writes is the last one to go: it clears the log away.
        self.shared.readers.forget();
        if let Some(seat) = &mut self.seat
            && seat.look().is_ok()
        {
            // Another process may have the file open still: it keeps the log, but not its size.
            let _ = tidy::truncate(&seat.connection);
        }
    }

    /// Begins with a file.
    fn take(&mut self, mut seat: Seat) -> Result<(), StoreError> {
        let now = clock::now(&mut seat.connection)
            .map_err(|error| open::explain(&self.shared.path, "open", error))?;
        seat.note();
        let depths =
            all_depths(&seat.connection).map_err(|error| open::explain(&self.shared.path, "read", error))?;
        self.shared.steady.set(now);
        self.shared.depths.replace(depths);
        self.shared.depths.weigh(&self.shared.path);
        self.shared.has_open(Some(Arc::clone(&seat.files)));
        self.seat = Some(seat);
        self.untidy = true;
        Ok(())
    }

    /// The next job; tidies the file while there is none.
    fn next(&mut self, inbox: &mut Inbox) -> Option<Box<dyn Job>> {
        loop {
            match inbox.try_recv() {
                Ok(job) => return Some(job),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) if !self.untidy => return inbox.blocking_recv(),
                Err(TryRecvError::Empty) => {}
            }
            let waiting = async { tokio::time::timeout(self.quiet, inbox.recv()).await };
            if let Ok(next) = self.runtime.block_on(waiting) {
                self.quiet = tidy::QUIET;
                return next;
            }
            let tidied = self.seat.as_mut().map_or(Tidy::Done, |seat| seat.tidy(self.quiet));
            self.untidy = !matches!(tidied, Tidy::Done);
            if let Some(seat) = &mut self.seat
                && !self.untidy
            {
                seat.reserve.shrink();
            }
            self.quiet = tidied.pause();
            self.shared.depths.weigh(&self.shared.path);
        }
    }

    /// Commits a group and answers each of its jobs.
    fn write(&mut self, group: &mut Vec<Box<dyn Job>>) {
        // What was taken in need comes back before anything else takes room.
        let grown: usize = group.iter().filter(|job| job.grows()).map(|job| job.weight()).sum();
        if let Some(seat) = &mut self.seat
            && !seat.reserve.covers(seat.log.size().saturating_add(grown as u64 * PER_LETTER))
        {
            self.refuse_growing(group, None);
        }
        if group.is_empty() {
            return;
        }
        let mut committed = self.commit(group);
        if let Err(Failed::Commit(error)) = &committed
            && is_full(error)
        {
            self.refuse_growing(group, committed.err());
            committed = self.commit_in_need(group);
        }
        let error = match committed {
            Ok(()) => {
                for job in group.drain(..) {
                    job.answer(Ok(()));
                }
                // No caller waits for it.
                return self.shared.depths.weigh(&self.shared.path);
            }
            // One job that cannot be done must not take the others with it.
            Err(Failed::Commit(error)) if group.len() > 1 && is_its_own_fault(&error) => {
                for job in group.drain(..) {
                    self.write(&mut vec![job]);
                }
                return;
            }
            Err(Failed::Commit(error)) => open::explain(&self.shared.path, "write to", error),
            Err(Failed::File(error)) => error,
        };
        for job in group.drain(..) {
            job.answer(Err(error.again()));
        }
    }

    /// Answers the jobs of a group that take room, of which there is none.
    fn refuse_growing(&self, group: &mut Vec<Box<dyn Job>>, why: Option<Failed>) {
        let error = match why {
            Some(Failed::Commit(error)) => open::explain(&self.shared.path, "write to", error),
            Some(Failed::File(error)) => error,
            None => open::no_room(&self.shared.path, "write to"),
        };
        for job in group.extract_if(.., |job| job.grows()) {
            job.answer(Err(error.again()));
        }
    }

    /// Commits a group although the disk is full, with the room that can be had: that of the log, and the reserve.
    fn commit_in_need(&mut self, group: &mut [Box<dyn Job>]) -> Result<(), Failed> {
        if group.is_empty() {
            return Ok(());
        }
        self.empty_log();
        match self.commit(group) {
            Err(Failed::Commit(error)) if is_full(&error) => {
                if !self.seat.as_mut().is_some_and(|seat| seat.reserve.release()) {
                    return Err(Failed::Commit(error));
                }
            }
            committed => return committed,
        }
        self.empty_log();
        let committed = self.commit(group);
        // In the file it takes no room that is not there already, so that the reserve is back for the next one.
        self.empty_log();
        if let Some(seat) = &mut self.seat {
            seat.reserve.covers(0);
        }
        committed
    }

    fn empty_log(&mut self) {
        if let Some(seat) = &mut self.seat
            && seat.look().is_ok()
        {
            let _ = tidy::truncate(&seat.connection);
            seat.note();
        }
    }

    /// Commits a group to the file that is at the path.
    fn commit(&mut self, group: &mut [Box<dyn Job>]) -> Result<(), Failed> {
        for _ in 0..TRIES {
            let Some(seat) = &mut self.seat else {
                self.open_again(None)?;
                continue;
            };
            let depths = match seat.write(group) {
                Ok(done) => done?,
                Err(gone) => {
                    self.open_again(Some(gone))?;
                    continue;
                }
            };
            self.shared.depths.publish(depths);
            self.untidy = true;
            self.commits = self.commits.wrapping_add(1);
            if self.commits.is_multiple_of(BUSY) {
                // The letters are safe, whatever comes of this.
                let _ = tidy::if_need_be(&seat.connection);
            }
            return Ok(());
        }
        let message =
            format!("cannot write to `{}`: it is replaced again and again", self.shared.path.display());
        Err(Failed::File(StoreError::new(Kind::Unwritable, message)))
    }

    /// Goes on with the file that is at the path now, which is made where there is none.
    fn open_again(&mut self, gone: Option<Gone>) -> Result<(), Failed> {
        let path = Arc::clone(&self.shared.path);
        match self.try_again(&path, gone) {
            Ok(()) => {
                self.told = false;
                tracing::warn!(
                    target: "campanile::dead_letter",
                    file = %path.display(),
                    gone = gone.map(|gone| match gone {
                        Gone::Database => "file",
                        Gone::Companion => "log",
                        Gone::Content => "content",
                    }),
                    "the file of the letters, or its log, was removed or replaced while it was open; letters go to the \
                     file that is there now"
                );
                Ok(())
            }
            Err(error) => {
                if !std::mem::replace(&mut self.told, true) {
                    tracing::error!(
                        target: "campanile::dead_letter",
                        file = %path.display(),
                        "the file of the letters, or its log, was removed or replaced while it was open, and it cannot be \
                         opened again: {error}"
                    );
                }
                Err(Failed::File(error))
            }
        }
    }

    fn try_again(&mut self, path: &Path, gone: Option<Gone>) -> Result<(), StoreError> {
        let Some(_unread) = self.shared.readers.close(&self.runtime, PATIENCE) else {
            let message = format!("cannot open `{}` again: the one before it is being read", path.display());
            return Err(StoreError::new(Kind::Locked, message));
        };
        if let Some(gone) = gone
            && let Some(seat) = self.seat.take()
        {
            if let Err(error) = seat.rescue(gone) {
                self.seat = Some(seat);
                return Err(error);
            }
            seat.leave(gone);
        }
        self.shared.has_open(None);
        registry::vacate(path, &self.shared.slot)?;
        self.take(Seat::open(path)?)
    }
}

impl Seat {
    /// Commits a group, unless the file is no longer the one; nor is it acknowledged then.
    fn write(&mut self, group: &mut [Box<dyn Job>]) -> Result<rusqlite::Result<Depths>, Gone> {
        let done = self.commit(group);
        // A commit is on the disk by now, and no one has heard of it.
        self.look()?;
        match done {
            Ok(Err(gone)) => Err(gone),
            Ok(Ok(depths)) => Ok(Ok(depths)),
            Err(error) => Ok(Err(error)),
        }
    }

    /// Tidies the file a little, if it is still the one.
    fn tidy(&mut self, quiet: Duration) -> Tidy {
        if self.look().is_err() {
            return Tidy::Done;
        }
        // What cannot be tidied now can be later.
        let tidied = tidy::step(&self.connection, &self.log, quiet).unwrap_or(Tidy::Done);
        self.note();
        tidied
    }

    /// Commits a group; gives the depths of the queues that it changed.
    fn commit(&mut self, group: &mut [Box<dyn Job>]) -> rusqlite::Result<Result<Depths, Gone>> {
        let durable = group.iter().any(|job| job.is_durable());
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Other processes that lost the log or its index as well cannot go on with a new one while this one holds the lock.
        if let Err(gone) = self.files.look().1 {
            return Ok(Err(gone));
        }
        let mut change = Change::new(&transaction);
        for job in group {
            job.run(&mut change)?;
        }
        let depths = change.finish()?;
        transaction.commit()?;
        if durable {
            self.log.sync()?;
        }
        Ok(Ok(depths))
    }
}

/// The depth of each queue in the file.
fn all_depths(connection: &Connection) -> rusqlite::Result<Depths> {
    let mut tally = Tally::default();
    let mut depths = Vec::new();
    for name in rows::names(connection)? {
        if let Some(queue) = tally.queue(connection, &name)? {
            depths.push((name.into(), queue.depth(connection)?));
        }
    }
    Ok(depths)
}

/// Whether there was no room on the disk, or the log may not be any larger.
fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
        || error.sqlite_error().is_some_and(|error| error.extended_code == ffi::SQLITE_IOERR_WRITE)
}

/// Whether an error concerns the job alone, not the file.
fn is_its_own_fault(error: &rusqlite::Error) -> bool {
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
