//! The thread that writes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{mpsc, oneshot};

use super::change::Change;
use super::depths::Depths;
use super::job::Job;
use super::log::Log;
use super::tidy::{self, Tidy};
use super::{clock, open, rows};
use crate::store::StoreError;
use crate::store::steady::Steady;

/// The most jobs in one commit: enough to hide the `fsync`, few enough not to keep the first one waiting.
const GROUP: usize = 256;

/// The most letters in one commit, if it is of more than one job.
const LETTERS: usize = 1_024;

/// Commits between two looks at a file that is never left alone for long enough to be tidied.
const BUSY: u32 = 256;

/// What the handles of a file that is open share: a connection that reads, the depths and the clock.
pub(super) type Opened = (Connection, Arc<Depths>, Steady);

struct Writer<'a> {
    path: &'a Path,
    connection: Connection,
    depths: Arc<Depths>,
    /// Waits for jobs, with a limit to it.
    runtime: Runtime,
    log: Log,
    untidy: bool,
    /// How long nobody must have come before the file is tidied.
    quiet: Duration,
    commits: u32,
}

/// Opens the file, tells how that went, and writes until every handle is gone.
pub(super) fn run(
    path: &Path,
    mut inbox: mpsc::Receiver<Box<dyn Job>>,
    opened: oneshot::Sender<Result<Opened, StoreError>>,
) {
    let mut writer = match Writer::open(path) {
        Ok((writer, reader, steady)) => {
            let depths = Arc::clone(&writer.depths);
            if opened.send(Ok((reader, depths, steady))).is_err() {
                return;
            }
            writer
        }
        Err(error) => {
            // Nobody may be waiting any more; then nobody needs to know.
            let _ = opened.send(Err(error));
            return;
        }
    };
    let mut group = Vec::with_capacity(GROUP);
    while let Some(first) = writer.next(&mut inbox) {
        let mut weight = first.weight();
        group.push(first);
        while group.len() < GROUP
            && weight < LETTERS
            && let Ok(next) = inbox.try_recv()
        {
            weight += next.weight();
            group.push(next);
        }
        writer.write(&mut group);
    }
    // Another process may have the file open still: it keeps the log, but not its size.
    let _ = tidy::truncate(&writer.connection);
}

impl<'a> Writer<'a> {
    fn open(path: &'a Path) -> Result<(Self, Connection, Steady), StoreError> {
        let mut connection = open::writer(path)?;
        let steady = clock::open(&mut connection).map_err(|error| open::explain(path, "open", error))?;
        let reader = open::reader(path)?;
        let log = Log::open(path).map_err(|error| open::unwritable(path, error))?;
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(StoreError::other)?;
        let mut writer = Self {
            path,
            connection,
            depths: Arc::default(),
            runtime,
            log,
            untidy: true,
            quiet: tidy::QUIET,
            commits: 0,
        };
        writer.publish_all().map_err(|error| open::explain(path, "read", error))?;
        Ok((writer, reader, steady))
    }

    /// The next job; tidies the file while there is none.
    fn next(&mut self, inbox: &mut mpsc::Receiver<Box<dyn Job>>) -> Option<Box<dyn Job>> {
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
            // What cannot be tidied now can be later.
            let tidied = tidy::step(&self.connection, &self.log, self.quiet).unwrap_or(Tidy::Done);
            self.untidy = !matches!(tidied, Tidy::Done);
            self.quiet = tidied.pause();
            self.depths.weigh(self.path);
        }
    }

    /// Commits a group and answers each of its jobs.
    fn write(&mut self, group: &mut Vec<Box<dyn Job>>) {
        match self.commit(group) {
            Ok(()) => {
                for job in group.drain(..) {
                    job.answer(Ok(()));
                }
                // Nobody waits for it.
                self.depths.weigh(self.path);
            }
            // One job that cannot be done must not take the others with it.
            Err(error) if group.len() > 1 && is_its_own_fault(&error) => {
                for job in group.drain(..) {
                    self.write(&mut vec![job]);
                }
            }
            Err(error) => {
                let error = open::explain(self.path, "write to", error);
                for job in group.drain(..) {
                    job.answer(Err(error.again()));
                }
            }
        }
    }

    fn commit(&mut self, group: &mut [Box<dyn Job>]) -> rusqlite::Result<()> {
        let durable = group.iter().any(|job| job.is_durable());
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut change = Change::new(&transaction);
        for job in group {
            job.run(&mut change)?;
        }
        let depths = change.finish()?;
        transaction.commit()?;
        self.depths.publish(depths);
        self.untidy = true;
        self.commits = self.commits.wrapping_add(1);
        if self.commits.is_multiple_of(BUSY) {
            // The letters are safe, whatever comes of this.
            let _ = tidy::if_need_be(&self.connection);
        }
        if durable { self.log.sync() } else { Ok(()) }
    }

    fn publish_all(&mut self) -> rusqlite::Result<()> {
        let mut tally = super::tally::Tally::default();
        let mut depths = Vec::new();
        for name in rows::names(&self.connection)? {
            if let Some(queue) = tally.queue(&self.connection, &name)? {
                depths.push((name.into(), queue.depth(&self.connection)?));
            }
        }
        self.depths.publish(depths);
        self.depths.weigh(self.path);
        Ok(())
    }
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
