//! The files that are open in this process.
//!
//! Two handles on one file share one writer and its readers, whatever paths they were opened by. Otherwise the one would
//! not hear when the other moves on to a file that replaced theirs, and SQLite's locks do not keep two files of one
//! process apart that share a log by its name.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use super::file;
use super::open::unwritable;
use super::open_file::OpenFile;
use super::place::FileId;
use crate::store::StoreError;
use crate::store::error::Kind;
use crate::sync::Mutex;

static SLOTS: Mutex<Vec<Weak<Slot>>> = Mutex::new(Vec::new());

/// A file that is open in this process, or is being opened.
#[derive(Debug)]
pub(super) struct Slot {
    /// The path without links, as it was when the file was opened first.
    real: PathBuf,
    /// Which file it is; none while it cannot be opened.
    database: Mutex<Option<FileId>>,
    /// Held by the one who opens it: others wait for what comes of that.
    pub(super) file: Mutex<Weak<OpenFile>>,
    /// Held by the thread that writes: the one before it has closed the file.
    pub(super) writer: Mutex<()>,
}

impl Slot {
    pub(super) fn is_now(&self, database: Option<FileId>) {
        *self.database.lock() = database;
    }
}

/// The place of the file at `path`, which is made where there is none. It does not depend on the path by which the file is
/// named; and a file that replaced one that is open has the place of that one.
pub(super) fn slot(path: &Path) -> Result<Arc<Slot>, StoreError> {
    if path.as_os_str().is_empty() || path == Path::new(":memory:") {
        let message = format!(
            "cannot write letters to `{}`: it names no file; for letters in memory use `in_memory`",
            path.display()
        );
        return Err(StoreError::new(Kind::Unwritable, message));
    }
    file::admit(path)?;
    let known = || Ok((FileId::at(path)?, std::fs::canonicalize(path)?));
    let (id, real) = known().map_err(|error| unwritable(path, error))?;
    let mut slots = SLOTS.lock();
    slots.retain(|slot| slot.strong_count() > 0);
    let open = || slots.iter().filter_map(Weak::upgrade);
    let same_file = open().find(|slot| slot.database.lock().as_ref() == Some(&id));
    if let Some(slot) = same_file.or_else(|| open().find(|slot| slot.real == real)) {
        return Ok(slot);
    }
    file::warn_of_names(path);
    let slot = Arc::new(Slot {
        real,
        database: Mutex::new(Some(id)),
        file: Mutex::default(),
        writer: Mutex::default(),
    });
    slots.push(Arc::downgrade(&slot));
    Ok(slot)
}

/// Whether a store of this process has another file open that lay at `path` before. SQLite must not open the new one then:
/// it would take the index of the old one's log, by its name, for one that no process uses, and cut it off.
#[cfg(feature = "checks")]
pub(crate) fn is_replaced(path: &Path) -> bool {
    let (Ok(id), Ok(real)) = (FileId::at(path), std::fs::canonicalize(path)) else { return false };
    let slots = SLOTS.lock();
    slots.iter().filter_map(Weak::upgrade).any(|slot| {
        slot.real == real && slot.database.lock().as_ref().is_some_and(|database| *database != id)
    })
}
