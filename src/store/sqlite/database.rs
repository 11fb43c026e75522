//! The database as the writer has it open, and leaving one that is no longer at its path.
//!
//! A backup that is copied over the file does not change its inode. With a write-ahead log, SQLite writes to the file only
//! in a checkpoint, and records its progress in the index of the log. So when the file's time of change is newer and no
//! checkpoint explains it, the whole file is checked for damage.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, TransactionBehavior};

use super::change::Change;
use super::depths::QueueDepths;
use super::identity::{FileId, Files, Invalidated, Stamp};
use super::job::Job;
use super::log::Log;
use super::reserve::Reserve;
use super::tidy::{self, Tidy};
use super::{errors, file, open};
use crate::store::StoreError;
use crate::store::error::Kind;

/// How often to start again when the file is replaced while it is being opened.
const TRIES: u32 = 3;

pub(super) struct Database {
    pub(super) connection: Connection,
    pub(super) log: Log,
    pub(super) reserve: Reserve,
    pub(super) files: Arc<Files>,
    /// The stamp of the file after the last write or check.
    stamp: Stamp,
    checkpoint: Checkpoint,
}

/// The progress of checkpoints, in pages.
#[derive(Clone, Copy, Default)]
struct Checkpoint {
    /// The length of the log.
    log: i64,
    /// How much of the log is in the file.
    copied: i64,
}

impl Checkpoint {
    fn of(connection: &Connection) -> rusqlite::Result<Self> {
        let mut statement = connection.prepare_cached("PRAGMA wal_checkpoint(NOOP)")?;
        statement.query_row([], |row| Ok(Self { log: row.get(1)?, copied: row.get(2)? }))
    }

    /// Whether a checkpoint has written to the file since `before`. False if it is not known.
    fn is_after_checkpoint(self, before: Self) -> bool {
        if self.log >= before.log {
            return self.copied > before.copied;
        }
        // The log was restarted, which SQLite does only after all of it is in the file.
        before.copied < before.log || self.copied > 0
    }
}

impl Database {
    /// Opens the file. Creates it if it does not exist.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let failed = |error| errors::unwritable(path, error);
        for _ in 0..TRIES {
            file::create(path)?;
            let before = FileId::at(path).map_err(failed)?;
            let connection = open::writer(path)?;
            let files = Files::at(path).map_err(failed)?;
            let log = Log::open(files.log()).map_err(failed)?;
            let (stamp, checkpoint) = (files.stamp(), Checkpoint::default());
            let (reserve, files) = (Reserve::open(path), Arc::new(files));
            let mut database = Self { connection, log, reserve, files, stamp, checkpoint };
            database.record_write();
            if *database.files.database() == before && database.files.check().1.is_ok() {
                return Ok(database);
            }
            database.abandon();
        }
        Err(errors::replaced_repeatedly(path, "open"))
    }

    /// Whether the files may still be used.
    pub(super) fn check(&mut self) -> Result<(), Invalidated> {
        let (stamp, checked) = self.files.check();
        if checked == Err(Invalidated::Database) {
            return checked;
        }
        let before = self.checkpoint;
        self.checkpoint = Checkpoint::of(&self.connection).unwrap_or(before);
        if stamp != self.stamp && !self.checkpoint.is_after_checkpoint(before) {
            // A file without its log, or an empty one, must not be opened a second time to check it.
            let is_overwritten = checked.is_err() || stamp.is_empty() || self.is_damaged();
            if is_overwritten {
                return Err(Invalidated::Content);
            }
        }
        self.stamp = stamp;
        checked
    }

    /// Records that this connection may have written to the file.
    pub(super) fn record_write(&mut self) {
        self.stamp = self.files.stamp();
        self.checkpoint = Checkpoint::of(&self.connection).unwrap_or(self.checkpoint);
    }

    /// Commits a group. Fails if the file is no longer at its path; the caller must not acknowledge the commit then.
    pub(super) fn write(
        &mut self,
        group: &mut [Box<dyn Job>],
    ) -> Result<rusqlite::Result<QueueDepths>, Invalidated> {
        let committed = self.commit(group);
        // The commit is on disk, and no caller has been answered yet.
        self.check()?;
        match committed {
            Ok(Err(why)) => Err(why),
            Ok(Ok(depths)) => Ok(Ok(depths)),
            Err(error) => Ok(Err(error)),
        }
    }

    /// Runs one step of tidying, if the file is still at its path.
    pub(super) fn tidy(&mut self, quiet: Duration) -> Tidy {
        if self.check().is_err() {
            return Tidy::Done;
        }
        // After an error, tidying starts again with the next commit.
        let tidied = tidy::step(&self.connection, &self.log, quiet).unwrap_or(Tidy::Done);
        self.record_write();
        tidied
    }

    /// Commits a group. Returns the depths of the queues that it changed.
    fn commit(&mut self, group: &mut [Box<dyn Job>]) -> rusqlite::Result<Result<QueueDepths, Invalidated>> {
        let durable = group.iter().any(|job| job.is_durable());
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Other processes that lost the log or its index too cannot start a new one while this process holds the lock.
        if let Err(why) = self.files.check().1 {
            return Ok(Err(why));
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

    /// Whether a new connection, which has cached nothing, finds the file and its log damaged.
    fn is_damaged(&self) -> bool {
        let path = self.files.path();
        let checked = open::reader(path).and_then(|connection| open::check(path, &connection));
        checked.is_err_and(|error| error.is_corrupt())
    }

    /// Copies what is only in the log into the database that it belongs to. No reader may have the files open.
    ///
    /// # Errors
    /// When this is not possible now, and leaving the files would lose letters.
    pub(super) fn rescue(&self, why: Invalidated) -> Result<(), StoreError> {
        let shown = self.files.path().display();
        match why {
            // The file may still exist under another name.
            Invalidated::Database => _ = tidy::truncate(&self.connection),
            Invalidated::Companion if self.files.has_other_log() => tracing::error!(
                target: "campanile::dead_letter",
                file = %shown,
                "the log (-wal) of the dead-letter file was removed, and another process has begun a new one: letters that \
                 were only in the old log may be lost"
            ),
            // The log is in place, and the next connection rebuilds its index. Transactions that use the old index must
            // end first. A checkpoint by the old index would cut off what others have written by the new one.
            Invalidated::Companion if self.files.has_log() => {
                self.connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK").map_err(|error| {
                    let message = format!(
                        "the log index (-shm) of `{shown}` was removed while another process writes; the store tries again \
                         with its next call"
                    );
                    StoreError::new(Kind::Locked, message).with_source(error)
                })?;
            }
            // The open descriptor still has the whole log.
            Invalidated::Companion => {
                if !tidy::empty(&self.connection).is_ok_and(|empty| empty) {
                    let message = format!(
                        "the log (-wal) of `{shown}` was removed while another process reads it; the store tries again with \
                         its next call"
                    );
                    return Err(StoreError::new(Kind::Locked, message));
                }
            }
            Invalidated::Content => {}
        }
        Ok(())
    }

    /// Closes files that are no longer at their paths, so that those at the paths can be opened.
    pub(super) fn leave(self, why: Invalidated) {
        let files = Arc::clone(&self.files);
        self.abandon();
        if why != Invalidated::Companion {
            files.set_companions_aside();
        }
    }

    /// Closes the connection without a checkpoint. SQLite would remove the log at the path, which may belong to another
    /// file now.
    fn abandon(self) {
        let _ = self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
    }
}
