//! Bringing the log to the disk.
//!
//! SQLite can do it by itself (`synchronous = FULL`), with an `fsync` that also writes down when the log was changed:
//! that takes several times as long, and nobody asks for it. So SQLite is told to leave the log alone after a commit
//! (`NORMAL`), and it is synced here, as `FULL` would, before anybody hears of the commit. One sync serves all commits
//! before it.

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
    /// The log of a file that is open: it stays the same for as long. SQLite has no locks on the log that a descriptor of
    /// it could take away.
    pub(super) fn open(log: &Path) -> io::Result<Self> {
        Ok(Self { file: OpenOptions::new().read(true).write(true).open(log)? })
    }

    /// In bytes; zero when that cannot be told.
    pub(super) fn size(&self) -> u64 {
        self.file.metadata().map_or(0, |file| file.len())
    }

    /// Waits until all that was committed is on the disk.
    pub(super) fn sync(&self) -> rusqlite::Result<()> {
        self.file.sync_data().map_err(|error| {
            let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
            let code = if full { ffi::SQLITE_FULL } else { ffi::SQLITE_IOERR_FSYNC };
            Error::SqliteFailure(ffi::Error::new(code), Some(error.to_string()))
        })
    }
}

/// The path of the log of a file.
pub(super) fn beside(path: &Path) -> PathBuf {
    file::beside(path, "-wal")
}
