//! Syncing the write-ahead log.
//!
//! SQLite can do it (`synchronous = FULL`), but its `fsync` also writes the time of change, which takes several times as
//! long. So SQLite does not sync after a commit (`synchronous = NORMAL`), and the writer syncs the data of the log before
//! it acknowledges the commit. One sync covers all commits before it.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Error, ffi};

use super::file;

#[derive(Debug)]
pub(super) struct Log {
    file: File,
}

impl Log {
    /// Opens the log of an open database, which stays the same while the database is open. SQLite holds no locks on the log
    /// that closing this descriptor would release.
    pub(super) fn open(log: &Path) -> io::Result<Self> {
        Ok(Self { file: OpenOptions::new().read(true).write(true).open(log)? })
    }

    /// The size in bytes, or 0 if it is not known.
    pub(super) fn size(&self) -> u64 {
        self.file.metadata().map_or(0, |file| file.len())
    }

    /// Waits until all commits are on disk.
    pub(super) fn sync(&self) -> rusqlite::Result<()> {
        self.file.sync_data().map_err(|error| {
            let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
            let code = if full { ffi::SQLITE_FULL } else { ffi::SQLITE_IOERR_FSYNC };
            Error::SqliteFailure(ffi::Error::new(code), Some(error.to_string()))
        })
    }
}

/// The path of the log of the database at `path`.
pub(super) fn path_of(path: &Path) -> PathBuf {
    file::with_suffix(path, "-wal")
}
