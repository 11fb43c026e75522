//! The copy that is made of an older file before its schema changes.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode};

use super::file;
use super::place::FileId;
use crate::store::StoreError;
use crate::store::error::Kind;

/// How far a copy came, or why it did not.
pub(super) enum Fault {
    Sqlite(rusqlite::Error),
    Copy(StoreError),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// A copy that was made.
pub(super) struct Copied {
    pub(super) path: PathBuf,
    id: Option<FileId>,
}

impl Copied {
    /// The schema could not be changed: the file is what it was, and the copy would only take room. Another process may
    /// have made its own since, by the same name.
    pub(super) fn discard(&self) {
        if self.id.is_some() && FileId::at(&self.path).ok() == self.id {
            let _ = remove(&self.path);
        }
    }
}

/// Copies the letters of schema `version` that `reader` sees to a file beside `path`, for its owner alone.
///
/// It is whole and on the disk when it has its name. One of an earlier try is replaced.
pub(super) fn make(path: &Path, version: i32, reader: &Connection) -> Result<Copied, StoreError> {
    let failed = |error: &dyn std::fmt::Display, full: bool| {
        let (kind, what) = match full {
            true => (Kind::DiskFull, "make room for it on its disk"),
            false => (Kind::Unwritable, "its folder must be writable"),
        };
        let message = format!(
            "cannot copy `{}`, of schema version {version}, before it is changed: {error}; {what}",
            path.display()
        );
        StoreError::new(kind, message)
    };
    let no = |error: io::Error| failed(&error, error.kind() == io::ErrorKind::StorageFull);
    // Where the path is a link, the copy lies beside what it points to.
    let real = std::fs::canonicalize(path).map_err(no)?;
    let (copy, part) =
        (file::beside(&real, &format!(".v{version}")), file::beside(&real, &format!(".v{version}.part")));
    remove(&part).map_err(no)?;
    remove(&file::beside(&part, "-journal")).map_err(no)?;
    file::admit(&part)?;
    let made = write(reader, &part, version).map_err(|error| {
        let _ = remove(&part);
        failed(&error, error.sqlite_error_code() == Some(ErrorCode::DiskFull))
    });
    made?;
    file::secure(&part)?;
    std::fs::rename(&part, &copy).map_err(no)?;
    // Not every file system can do that, or has to.
    if let Some(folder) = real.parent() {
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
    Ok(Copied { id: FileId::at(&copy).ok(), path: copy })
}

fn write(reader: &Connection, part: &Path, version: i32) -> rusqlite::Result<()> {
    let text = part.to_str().ok_or_else(|| rusqlite::Error::InvalidPath(part.to_owned()))?;
    reader.execute("VACUUM INTO ?1", [text])?;
    // What SQLite writes that way it leaves to the system to bring to the disk. A change of the header brings all.
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
