//! Which files are open, and whether they still lie where they lay.
//!
//! A path is only a name. The file behind it can be removed, renamed or replaced while it is open, and what is written to
//! it then is gone with its last descriptor. So a file is known by its device and inode, and the writer looks at the
//! paths before each commit and before it acknowledges it: six calls of `stat` beside the sync of the log.

use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::file;

/// What tells one file from all others, whatever its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileId(Id);

#[cfg(unix)]
type Id = (u64, u64);
/// Elsewhere an open file cannot be removed, and there is no number to be had that outlives a restart.
#[cfg(not(unix))]
type Id = PathBuf;

impl FileId {
    /// Of the file that the path leads to, through links too. It is not opened.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        Self::of(path, &std::fs::metadata(path)?)
    }

    #[cfg(unix)]
    #[allow(clippy::unnecessary_wraps)] // It can fail elsewhere.
    fn of(_: &Path, file: &Metadata) -> io::Result<Self> {
        use std::os::unix::fs::MetadataExt;

        Ok(Self((file.dev(), file.ino())))
    }

    #[cfg(not(unix))]
    fn of(path: &Path, _: &Metadata) -> io::Result<Self> {
        std::fs::canonicalize(path).map(Self)
    }
}

/// What became of files that are open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gone {
    /// The file was removed, renamed or replaced by another.
    Database,
    /// The file is there, but its log or the index of that was removed or replaced.
    Companion,
    /// The file is there, but it was written to past SQLite.
    Content,
}

/// What the folder tells of a file that was written to.
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

/// The file, its log and the index of its log, as they were opened.
#[derive(Debug)]
pub(super) struct Files {
    path: PathBuf,
    database: FileId,
    log: (PathBuf, FileId),
    index: (PathBuf, FileId),
}

impl Files {
    /// Those at `path`, which SQLite has open. None of them changes by itself for as long as it has.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        // Where the file is a link, they lie beside what it points to.
        let real = std::fs::canonicalize(path)?;
        let companion = |suffix| {
            let path = file::beside(&real, suffix);
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

    /// Whether the log is still there.
    pub(super) fn has_log(&self) -> bool {
        Self::look_at(&self.log).is_ok()
    }

    /// Whether all of them are still there, and how the file was written to last. One that cannot be looked at is not there:
    /// a commit to it cannot be acknowledged.
    pub(super) fn look(&self) -> (Stamp, Result<(), Gone>) {
        let (stamp, looked) = self.look_at_database();
        (stamp, looked.and_then(|()| Self::look_at(&self.log)).and_then(|()| Self::look_at(&self.index)))
    }

    fn look_at_database(&self) -> (Stamp, Result<(), Gone>) {
        let Ok(file) = std::fs::metadata(&self.path) else {
            return (Stamp::default(), Err(Gone::Database));
        };
        let is_ours = FileId::of(&self.path, &file).is_ok_and(|id| id == self.database);
        (Stamp::of(&file), if is_ours { Ok(()) } else { Err(Gone::Database) })
    }

    fn look_at((path, ours): &(PathBuf, FileId)) -> Result<(), Gone> {
        if FileId::at(path).is_ok_and(|id| id == *ours) { Ok(()) } else { Err(Gone::Companion) }
    }

    /// Whether another has begun a log since ours is gone.
    pub(super) fn has_other_log(&self) -> bool {
        let (path, ours) = &self.log;
        FileId::at(path).is_ok_and(|id| id != *ours) && std::fs::metadata(path).is_ok_and(|log| log.len() > 0)
    }

    /// As the file is now.
    pub(super) fn stamp(&self) -> Stamp {
        self.look_at_database().0
    }

    /// Takes the log and its index away where they are still ours. They belong to what is no longer at the path: SQLite
    /// would apply the log to what is there now. A log with something in it is kept, by another name.
    pub(super) fn set_companions_aside(&self) {
        for (path, ours) in [&self.log, &self.index] {
            if FileId::at(path).is_ok_and(|id| id == *ours) {
                let is_log = *path == self.log.0 && std::fs::metadata(path).is_ok_and(|log| log.len() > 0);
                // What stays is found again when the file is opened.
                let _ = if is_log {
                    std::fs::rename(path, file::beside(path, "-old"))
                } else {
                    std::fs::remove_file(path)
                };
            }
        }
    }
}
