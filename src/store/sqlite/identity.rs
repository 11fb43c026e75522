//! Whether the open files are still the files at their paths.
//!
//! A file can be removed, renamed or replaced while it is open. Letters that are written to it then are lost when it
//! is closed. So a file is identified by its device and inode, and the writer checks the paths before each commit and
//! before it acknowledges it. That costs six calls of `stat`, little beside the sync of the log.

use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::file;

/// Identifies a file, by whatever path it is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileId(Id);

#[cfg(unix)]
type Id = (u64, u64);
/// On other platforms an open file cannot be removed, and the standard library offers no file number.
#[cfg(not(unix))]
type Id = PathBuf;

impl FileId {
    /// The id of the file at `path`, which may be a link to it. Does not open the file.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        Self::of(path, &std::fs::metadata(path)?)
    }

    #[cfg(unix)]
    #[allow(clippy::unnecessary_wraps)] // It can fail on other platforms.
    fn of(_: &Path, file: &Metadata) -> io::Result<Self> {
        use std::os::unix::fs::MetadataExt;

        Ok(Self((file.dev(), file.ino())))
    }

    #[cfg(not(unix))]
    fn of(path: &Path, _: &Metadata) -> io::Result<Self> {
        std::fs::canonicalize(path).map(Self)
    }
}

/// Why the open files must no longer be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Invalidated {
    /// The file was removed, renamed or replaced.
    Database,
    /// The log or its index was removed or replaced. The file is unchanged.
    Companion,
    /// A program other than SQLite wrote to the file.
    Content,
}

/// The length and modification time of a file. A write changes them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stamp {
    length: u64,
    modified: Option<SystemTime>,
}

impl Stamp {
    fn of(file: &Metadata) -> Self {
        Self { length: file.len(), modified: file.modified().ok() }
    }

    pub(super) fn is_empty(self) -> bool {
        self.length == 0
    }
}

/// The database, its log and the index of its log, as they were opened.
#[derive(Debug)]
pub(super) struct Files {
    path: PathBuf,
    database: FileId,
    log: (PathBuf, FileId),
    index: (PathBuf, FileId),
}

impl Files {
    /// The files of the database at `path`, which SQLite has open. SQLite itself does not replace them while they are
    /// open.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        // If the path is a link, the companions are next to its target.
        let real = std::fs::canonicalize(path)?;
        let companion = |suffix| {
            let path = file::with_suffix(&real, suffix);
            FileId::at(&path).map(|id| (path, id))
        };
        let (log, index) = (companion("-wal")?, companion("-shm")?);
        Ok(Self { path: path.to_owned(), database: FileId::at(path)?, log, index })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn database(&self) -> &FileId {
        &self.database
    }

    /// The path of the log.
    pub(super) fn log(&self) -> &Path {
        &self.log.0
    }

    /// Whether the log is still at its path.
    pub(super) fn has_log(&self) -> bool {
        Self::check_companion(&self.log).is_ok()
    }

    /// Whether all files are still at their paths, and the stamp of the database. A file that `stat` cannot reach
    /// counts as gone, because a commit to it cannot be acknowledged.
    pub(super) fn check(&self) -> (Stamp, Result<(), Invalidated>) {
        let (stamp, checked) = self.check_database();
        let checked = checked
            .and_then(|()| Self::check_companion(&self.log))
            .and_then(|()| Self::check_companion(&self.index));
        (stamp, checked)
    }

    fn check_database(&self) -> (Stamp, Result<(), Invalidated>) {
        let Ok(file) = std::fs::metadata(&self.path) else {
            return (Stamp::default(), Err(Invalidated::Database));
        };
        let is_same = FileId::of(&self.path, &file).is_ok_and(|id| id == self.database);
        (Stamp::of(&file), if is_same { Ok(()) } else { Err(Invalidated::Database) })
    }

    fn check_companion((path, opened): &(PathBuf, FileId)) -> Result<(), Invalidated> {
        if FileId::at(path).is_ok_and(|id| id == *opened) { Ok(()) } else { Err(Invalidated::Companion) }
    }

    /// Whether another process has begun a new log after ours was removed.
    pub(super) fn has_other_log(&self) -> bool {
        let (path, opened) = &self.log;
        FileId::at(path).is_ok_and(|id| id != *opened)
            && std::fs::metadata(path).is_ok_and(|log| log.len() > 0)
    }

    /// The current stamp of the database.
    pub(super) fn stamp(&self) -> Stamp {
        self.check_database().0
    }

    /// Removes the log and its index if they are still the opened ones. They belong to a database that is no longer
    /// at the path, and SQLite would apply the log to the one that is there now. A log that is not empty is renamed
    /// instead.
    pub(super) fn set_companions_aside(&self) {
        for (path, opened) in [&self.log, &self.index] {
            if FileId::at(path).is_ok_and(|id| id == *opened) {
                let is_log = *path == self.log.0 && std::fs::metadata(path).is_ok_and(|log| log.len() > 0);
                // If this fails, opening the file finds out.
                let _ = if is_log {
                    std::fs::rename(path, file::with_suffix(path, "-old"))
                } else {
                    std::fs::remove_file(path)
                };
            }
        }
    }
}
