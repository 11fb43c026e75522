//! What all handles on one file share.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::depths::Depths;
use super::job::Job;
use super::place::Files;
use super::readers::Readers;
use super::registry::Slot;
use crate::base::sync::Mutex;
use crate::store::LetterId;
use crate::store::steady::Steady;

/// The file, for those who read and for the thread that writes.
#[derive(Debug)]
pub(super) struct Shared {
    /// As it was opened first.
    pub(super) path: Arc<Path>,
    pub(super) readers: Readers,
    pub(super) depths: Depths,
    /// None while the file cannot be opened.
    pub(super) files: Mutex<Option<Arc<Files>>>,
    /// That of the file that is open, and of the one before it while none can be opened.
    pub(super) steady: Steady,
    pub(super) slot: Arc<Slot>,
}

impl Shared {
    /// Whether the files that are open are those at the path.
    pub(super) fn stands(&self) -> bool {
        let files = self.files.lock().clone();
        files.is_some_and(|files| files.look().1.is_ok())
    }

    pub(super) fn has_open(&self, files: Option<Arc<Files>>) {
        self.slot.is_now(files.as_ref().map(|files| files.database().clone()));
        *self.files.lock() = files;
    }
}

/// The file, for those who have something written. The thread that writes ends with it.
pub(super) struct OpenFile {
    pub(super) shared: Arc<Shared>,
    pub(super) jobs: mpsc::Sender<Box<dyn Job>>,
    /// Letters that are being moved to another store.
    leaving: Mutex<BTreeSet<LetterId>>,
}

impl OpenFile {
    pub(super) fn new(shared: Arc<Shared>, jobs: mpsc::Sender<Box<dyn Job>>) -> Self {
        Self { shared, jobs, leaving: Mutex::default() }
    }

    pub(super) fn is_leaving(&self, id: LetterId) -> bool {
        self.leaving.lock().contains(&id)
    }
}

/// Letters on their way from a file to another store. For as long as this lives, they cannot be put into the same file: the
/// other store would be this one by another way, and the letters would be removed where they were put.
#[derive(Debug)]
pub(crate) struct Leaving {
    file: Arc<OpenFile>,
    ids: Vec<LetterId>,
}

impl Leaving {
    pub(super) fn new(file: Arc<OpenFile>, ids: Vec<LetterId>) -> Self {
        file.leaving.lock().extend(&ids);
        Self { file, ids }
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        let mut leaving = self.file.leaving.lock();
        for id in &self.ids {
            leaving.remove(id);
        }
    }
}

impl std::fmt::Debug for OpenFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenFile").field("path", &self.shared.path).finish_non_exhaustive()
    }
}
