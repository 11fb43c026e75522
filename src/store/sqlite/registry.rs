//! The files that this process has open.
//!
//! All handles on one file share one writer and its readers, by whatever paths they were opened. With two writers,
//! one would not notice that the other has changed over to a file that replaced theirs; and within one process,
//! SQLite's locks do not separate two files that share a log by its name.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::errors::unwritable;
use super::file;
use super::identity::FileId;
use super::job::{Job, Task};
use super::open_file::OpenFile;
use crate::base::sync::Mutex;
use crate::store::StoreError;
use crate::store::error::Kind;

/// How long to wait until a writer closes a file that was moved, and the time between two checks.
const TIMEOUT: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(2);

static SLOTS: Mutex<Vec<Weak<Slot>>> = Mutex::new(Vec::new());

/// A file that this process has open or is opening.
#[derive(Debug)]
pub(super) struct Slot {
    /// The path without links, as it was when the file was first opened.
    real: PathBuf,
    /// The id of the open file. `None` while it cannot be opened.
    database: Mutex<Option<FileId>>,
    /// Held while the file is being opened, so that others wait for the result.
    pub(super) file: Mutex<Weak<OpenFile>>,
    /// Held by the writer while it has the file open.
    pub(super) writer: Mutex<()>,
    /// The inbox of the writer.
    jobs: Mutex<Option<mpsc::WeakSender<Box<dyn Job>>>>,
}

impl Slot {
    pub(super) fn set_database(&self, database: Option<FileId>) {
        *self.database.lock() = database;
    }

    pub(super) fn set_inbox(&self, jobs: &mpsc::Sender<Box<dyn Job>>) {
        *self.jobs.lock() = Some(jobs.downgrade());
    }

    fn has_open(&self, id: &FileId) -> bool {
        self.database.lock().as_ref() == Some(id)
    }

    /// Whether the file is still at the path with which it was opened.
    fn is_in_place(&self, id: &FileId) -> bool {
        FileId::at(&self.real).is_ok_and(|there| there == *id)
    }

    /// Makes the writer check its file, which it does with each job. A writer whose inbox is full does so anyway.
    fn wake_writer(&self) {
        let jobs = self.jobs.lock().as_ref().and_then(mpsc::WeakSender::upgrade);
        if let Some(jobs) = jobs {
            let (reply, _) = oneshot::channel();
            let _ = jobs.try_send(Box::new(Task::new(0, |_| Ok(()), reply).not_durable()));
        }
    }
}

/// The slot of the file at `path`. Creates the file if it does not exist. All paths of a file lead to the same slot.
/// A file that replaced an open file gets the slot of that file. An open file that was moved gets a slot for its new
/// path; the slot of the old path continues with the file that is there.
pub(super) fn slot(path: &Path) -> Result<Arc<Slot>, StoreError> {
    if path.as_os_str().is_empty() || path == Path::new(":memory:") {
        let message = format!(
            "cannot write letters to `{}`: it is not the path of a file; for a queue in memory use `in_memory`",
            path.display()
        );
        return Err(StoreError::new(Kind::Unwritable, message));
    }
    file::create(path)?;
    let identify = || Ok((FileId::at(path)?, std::fs::canonicalize(path)?));
    let (id, real) = identify().map_err(|error| unwritable(path, error))?;
    let mut slots = SLOTS.lock();
    slots.retain(|slot| slot.strong_count() > 0);
    let open = || slots.iter().filter_map(Weak::upgrade);
    let same_file = open().find(|slot| slot.has_open(&id) && slot.is_in_place(&id));
    if let Some(slot) = same_file.or_else(|| open().find(|slot| slot.real == real)) {
        return Ok(slot);
    }
    file::warn_of_hard_links(path);
    let slot = Arc::new(Slot {
        real,
        database: Mutex::new(Some(id)),
        file: Mutex::default(),
        writer: Mutex::default(),
        jobs: Mutex::default(),
    });
    slots.push(Arc::downgrade(&slot));
    Ok(slot)
}

/// Waits until no other writer of this process has the file at `path` open. Such a writer opened the file by another
/// path, from which it was moved, and closes it when it checks its file. Two writers that use two paths would write
/// to two logs of the same file.
pub(super) fn wait_until_released(path: &Path, own: &Arc<Slot>) -> Result<(), StoreError> {
    let mut checks_left = TIMEOUT.as_millis() / PAUSE.as_millis();
    let mut has_woken = false;
    loop {
        let Ok(id) = FileId::at(path) else {
            // No file: opening creates it.
            return Ok(());
        };
        let others: Vec<Arc<Slot>> = {
            let slots = SLOTS.lock();
            let others = slots.iter().filter_map(Weak::upgrade);
            others.filter(|slot| !Arc::ptr_eq(slot, own) && slot.has_open(&id)).collect()
        };
        if others.is_empty() {
            return Ok(());
        }
        if checks_left == 0 {
            let message = format!(
                "cannot open `{}`: this process still has the file open by its former path; close the store on that path, or \
                 try again later",
                path.display()
            );
            return Err(StoreError::new(Kind::Locked, message));
        }
        if !std::mem::replace(&mut has_woken, true) {
            others.iter().for_each(|slot| slot.wake_writer());
        }
        drop(others);
        checks_left -= 1;
        std::thread::sleep(PAUSE);
    }
}

/// Whether SQLite must not open the file at `path`, because a store of this process has a file open that was there
/// before, or opened the file by another path. In the first case SQLite would truncate the index of the old file's
/// log, which it takes for unused; in the second case it would not find the log.
#[cfg(feature = "checks")]
pub(crate) fn is_replaced(path: &Path) -> bool {
    let (Ok(id), Ok(real)) = (FileId::at(path), std::fs::canonicalize(path)) else { return false };
    let slots = SLOTS.lock();
    slots.iter().filter_map(Weak::upgrade).any(|slot| {
        let database = slot.database.lock().clone();
        database.is_some_and(|database| (slot.real == real) != (database == id && slot.is_in_place(&id)))
    })
}
