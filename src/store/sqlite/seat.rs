//! The file as the writer has it open, and the way out of one that is no longer at its path.

use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::log::Log;
use super::place::{FileId, Files, Gone};
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
}

impl Seat {
    /// Opens the file, or makes it.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let failed = |error| open::unwritable(path, error);
        for _ in 0..TRIES {
            super::file::secure(path)?;
            let before = FileId::at(path).map_err(failed)?;
            let connection = open::writer(path)?;
            let files = Files::at(path).map_err(failed)?;
            let log = Log::open(files.log()).map_err(failed)?;
            let seat = Self { connection, log, reserve: Reserve::open(path), files: Arc::new(files) };
            if *seat.files.database() == before && seat.files.look().is_ok() {
                return Ok(seat);
            }
            seat.abandon();
        }
        let message = format!("cannot open `{}`: it is replaced again and again", path.display());
        Err(StoreError::new(Kind::Unwritable, message))
    }

    /// Leaves files that are no longer at their paths, so that those which are can be opened. No reader may have them open.
    ///
    /// # Errors
    /// With itself, when that cannot be done for now without the loss of letters.
    pub(super) fn leave(self, gone: Gone) -> Result<(), (Self, StoreError)> {
        let own_log = gone == Gone::Database || !self.files.has_other_log();
        if own_log {
            // All of what is in the log goes into the file it belongs to: that file may have another name by now, or only
            // the log may be gone.
            let emptied = tidy::empty(&self.connection);
            if gone == Gone::Companion && !matches!(emptied, Ok(true)) {
                let error =
                    StoreError::new(Kind::Locked, "the log of the letters was removed, and others read it");
                return Err((self, error));
            }
        }
        let files = Arc::clone(&self.files);
        self.abandon();
        if gone == Gone::Database {
            files.remove_companions();
        }
        Ok(())
    }

    /// Closes the file as it is. SQLite would remove the log at its path, which may be another's.
    fn abandon(self) {
        let _ = self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
    }
}
