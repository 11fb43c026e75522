//! The copy of an older file that is made before its schema changes.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode};

use super::file;
use super::identity::FileId;
use crate::store::StoreError;
use crate::store::error::Kind;

/// Why a migration failed.
pub(super) enum Fault {
    /// SQLite failed.
    Sqlite(rusqlite::Error),
    /// The copy could not be made.
    Copy(StoreError),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// A finished copy.
pub(super) struct Copied {
    pub(super) path: PathBuf,
    id: Option<FileId>,
}

impl Copied {
    /// Removes the copy after the migration failed, unless another process has made its own by the same name since.
    pub(super) fn discard(&self) {
        if self.id.is_some() && FileId::at(&self.path).ok() == self.id {
            let _ = remove(&self.path);
        }
    }
}

/// Copies the file of schema `version` that `reader` reads to a file beside `path` that only its owner can read.
///
/// The copy gets its final name when it is complete and on disk. A copy of an earlier attempt is replaced.
pub(super) fn make(path: &Path, version: i32, reader: &Connection) -> Result<Copied, StoreError> {
    let failed = |error: &dyn std::fmt::Display, full: bool| {
        let (kind, what) = match full {
            true => (Kind::DiskFull, "free enough disk space for a copy of the file"),
            false => (Kind::Unwritable, "this process must have write permission for the folder"),
        };
        let message = format!(
            "cannot copy `{}` before its migration from schema version {version}: {error}; {what}",
            path.display()
        );
        StoreError::new(kind, message)
    };
    let io_failed = |error: io::Error| failed(&error, error.kind() == io::ErrorKind::StorageFull);
    // If the path is a link, the copy is next to its target.
    let real = std::fs::canonicalize(path).map_err(io_failed)?;
    let (copy, part) = (
        file::with_suffix(&real, &format!(".v{version}")),
        file::with_suffix(&real, &format!(".v{version}.part")),
    );
    remove(&part).map_err(io_failed)?;
    remove(&file::with_suffix(&part, "-journal")).map_err(io_failed)?;
    file::create(&part)?;
    write(reader, &part, version).map_err(|error| {
        let _ = remove(&part);
        failed(&error, error.sqlite_error_code() == Some(ErrorCode::DiskFull))
    })?;
    file::secure(&part)?;
    std::fs::rename(&part, &copy).map_err(io_failed)?;
    // Some file systems cannot sync a folder, or need not.
    if let Some(folder) = real.parent() {
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
    Ok(Copied { id: FileId::at(&copy).ok(), path: copy })
}

fn write(reader: &Connection, part: &Path, version: i32) -> rusqlite::Result<()> {
    let text = part.to_str().ok_or_else(|| rusqlite::Error::InvalidPath(part.to_owned()))?;
    reader.execute("VACUUM INTO ?1", [text])?;
    // SQLite does not sync the result of `VACUUM INTO`. A change of the header syncs the whole file.
    let copy = Connection::open(part)?;
    copy.pragma_update(None, "synchronous", "FULL")?;
    copy.pragma_update(None, "user_version", 0)?;
    copy.pragma_update(None, "user_version", version)?;
    copy.close().map_err(|(_, error)| error)
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
