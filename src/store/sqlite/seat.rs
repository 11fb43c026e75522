//! The file as the writer has it open, and the way out of one that is no longer at its path.
//!
//! What is written into the file past SQLite, such as a backup that is copied over it, leaves its inode as it is. With a
//! write-ahead log only a checkpoint writes to the file, and each one says in the log's index how far it came. So a time
//! of change that no checkpoint explains is a reason to look at the whole file.

use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::log::Log;
use super::place::{FileId, Files, Gone, Stamp};
use super::reserve::Reserve;
use super::{open, tidy};
use crate::store::StoreError;
use crate::store::error::Kind;

/// How often to begin again when the file is replaced while it is being opened.
const TRIES: u32 = 3;

pub(super) struct Seat {
    pub(super) connection: Connection,
    pub(super) log: Log,
    pub(super) reserve: Reserve,
    pub(super) files: Arc<Files>,
    written: Stamp,
    progress: Progress,
}

/// How far the log has grown, and how much of it is in the file: in pages.
#[derive(Clone, Copy, Default)]
struct Progress {
    log: i64,
    copied: i64,
}

impl Progress {
    fn of(connection: &Connection) -> rusqlite::Result<Self> {
        let mut progress = connection.prepare_cached("PRAGMA wal_checkpoint(NOOP)")?;
        progress.query_row([], |row| Ok(Self { log: row.get(1)?, copied: row.get(2)? }))
    }

    /// Whether a checkpoint has written to the file since `before`. None has when it cannot be told.
    fn is_after_checkpoint(self, before: Self) -> bool {
        if self.log >= before.log {
            return self.copied > before.copied;
        }
        // The log was begun anew, which needs all of it to be in the file.
        before.copied < before.log || self.copied > 0
    }
}

impl Seat {
    /// Opens the file, or makes it.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let failed = |error| open::unwritable(path, error);
        for _ in 0..TRIES {
            super::file::admit(path)?;
            let before = FileId::at(path).map_err(failed)?;
            let connection = open::writer(path)?;
            let files = Files::at(path).map_err(failed)?;
            let log = Log::open(files.log()).map_err(failed)?;
            let (written, progress) = (files.stamp(), Progress::default());
            let (reserve, files) = (Reserve::open(path), Arc::new(files));
            let mut seat = Self { connection, log, reserve, files, written, progress };
            seat.note();
            if *seat.files.database() == before && seat.files.look().1.is_ok() {
                return Ok(seat);
            }
            seat.abandon();
        }
        let message = format!("cannot open `{}`: it is replaced again and again", path.display());
        Err(StoreError::new(Kind::Unwritable, message))
    }

    /// What became of the files.
    pub(super) fn look(&mut self) -> Result<(), Gone> {
        let (written, looked) = self.files.look();
        if looked == Err(Gone::Database) {
            return looked;
        }
        let before = self.progress;
        self.progress = Progress::of(&self.connection).unwrap_or(before);
        if written != self.written && !self.progress.is_after_checkpoint(before) {
            // Without its log, or cut to nothing, it must not be opened beside.
            let is_other = looked.is_err() || written.is_empty() || self.is_damaged();
            if is_other {
                return Err(Gone::Content);
            }
        }
        self.written = written;
        looked
    }

    /// The file was written to by this connection.
    pub(super) fn note(&mut self) {
        self.written = self.files.stamp();
        self.progress = Progress::of(&self.connection).unwrap_or(self.progress);
    }

    /// Whether the file and its log do not fit together, as one sees them who has nothing of them in memory.
    fn is_damaged(&self) -> bool {
        let path = self.files.path();
        let looked = open::reader(path).and_then(|connection| open::check(path, &connection));
        looked.is_err_and(|error| error.is_corrupt())
    }

    /// Brings what is only in the log into the file it belongs to. No reader may have them open.
    ///
    /// # Errors
    /// When that cannot be done for now, and letters would be lost if the files were left.
    pub(super) fn rescue(&self, gone: Gone) -> Result<(), StoreError> {
        match gone {
            // It may have another name by now.
            Gone::Database => _ = tidy::truncate(&self.connection),
            Gone::Companion if self.files.has_other_log() => tracing::error!(
                target: "campanile::dead_letter",
                file = %self.files.path().display(),
                "the log of the letters was removed, and another process has begun a new one: what was in the log and not \
                 in the file by then may be lost"
            ),
            // The log is in place: its index is made anew from it by the one who opens it first. What is under way by the
            // old index has to end before that. To empty the log by it would cut off what is written by the new one.
            Gone::Companion if self.files.has_log() => {
                self.connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK").map_err(|error| {
                    let message = "the index of the log of the letters was removed, and others write by it";
                    StoreError::new(Kind::Locked, message).with_source(error)
                })?;
            }
            // The descriptor has all of the log still.
            Gone::Companion => {
                if !tidy::empty(&self.connection).is_ok_and(|empty| empty) {
                    let message = "the log of the letters was removed, and others read it";
                    return Err(StoreError::new(Kind::Locked, message));
                }
            }
            Gone::Content => {}
        }
        Ok(())
    }

    /// Leaves files that are no longer at their paths, so that those which are can be opened.
    pub(super) fn leave(self, gone: Gone) {
        let files = Arc::clone(&self.files);
        self.abandon();
        if gone != Gone::Companion {
            files.set_companions_aside();
        }
    }

    /// Closes the file as it is. SQLite would remove the log at its path, which may be another's.
    fn abandon(self) {
        let _ = self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
    }
}
