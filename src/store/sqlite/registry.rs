//! The files that are open in this process.
//!
//! Two handles on one file share one writer and its readers, whatever paths they were opened by. Otherwise the one would
//! not hear when the other moves on to a file that replaced theirs, and SQLite's locks do not keep two files of one
//! process apart that share a log by its name.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::file;
use super::job::{Job, Task};
use super::open::unwritable;
use super::open_file::OpenFile;
use super::place::FileId;
use crate::base::sync::Mutex;
use crate::store::StoreError;
use crate::store::error::Kind;

/// How long to wait for a writer to leave a file that was moved, and how often to look.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(2);

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
    /// The way to the thread that writes.
    jobs: Mutex<Option<mpsc::WeakSender<Box<dyn Job>>>>,
}

impl Slot {
    pub(super) fn is_now(&self, database: Option<FileId>) {
        *self.database.lock() = database;
    }

    pub(super) fn writes_by(&self, jobs: &mpsc::Sender<Box<dyn Job>>) {
        *self.jobs.lock() = Some(jobs.downgrade());
    }

    fn has_open(&self, id: &FileId) -> bool {
        self.database.lock().as_ref() == Some(id)
    }

    /// Whether the file is at the path by which it was opened.
    fn is_in_place(&self, id: &FileId) -> bool {
        FileId::at(&self.real).is_ok_and(|there| there == *id)
    }

    /// Has the thread that writes look at its file, which it does with each job. One whose inbox is full does so anyway.
    fn look(&self) {
        let jobs = self.jobs.lock().as_ref().and_then(mpsc::WeakSender::upgrade);
        if let Some(jobs) = jobs {
            let (reply, _) = oneshot::channel();
            let _ = jobs.try_send(Box::new(Task::new(0, |_| Ok(()), reply).fleeting()));
        }
    }
}

/// The place of the file at `path`, which is made where there is none. It does not depend on the path by which the file is
/// named; and a file that replaced one that is open has the place of that one. A file that is open and was moved has the
/// place of its new path: the one of the old path goes on with what is there.
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
    let same_file = open().find(|slot| slot.has_open(&id) && slot.is_in_place(&id));
    if let Some(slot) = same_file.or_else(|| open().find(|slot| slot.real == real)) {
        return Ok(slot);
    }
    file::warn_of_names(path);
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

/// Waits until no other writer of this process has the file open that is at `path` now. One that has it opened it by
/// another path, from which it was moved: it leaves the file when it looks. Two that have one file open by two paths would
/// each write to a log that the other does not read.
pub(super) fn vacate(path: &Path, own: &Arc<Slot>) -> Result<(), StoreError> {
    let mut patience = PATIENCE.as_millis() / PAUSE.as_millis();
    let mut has_looked = false;
    loop {
        let Ok(id) = FileId::at(path) else {
            // It is made by the one who opens it.
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
        if patience == 0 {
            let message = format!(
                "cannot open `{}`: this process has it open by another path, from which it was moved",
                path.display()
            );
            return Err(StoreError::new(Kind::Locked, message));
        }
        if !std::mem::replace(&mut has_looked, true) {
            others.iter().for_each(|slot| slot.look());
        }
        drop(others);
        patience -= 1;
        std::thread::sleep(PAUSE);
    }
}

/// Whether a store of this process has another file open that lay at `path` before. SQLite must not open the new one then:
/// it would take the index of the old one's log, by its name, for one that no process uses, and cut it off. Nor may it open
/// a file that was moved there and is open by its old path, whose log it would not find.
#[cfg(feature = "checks")]
pub(crate) fn is_replaced(path: &Path) -> bool {
    let (Ok(id), Ok(real)) = (FileId::at(path), std::fs::canonicalize(path)) else { return false };
    let slots = SLOTS.lock();
    slots.iter().filter_map(Weak::upgrade).any(|slot| {
        let database = slot.database.lock().clone();
        database.is_some_and(|database| (slot.real == real) != (database == id && slot.is_in_place(&id)))
    })
}
