//! The state that all handles on one file share.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::depths::Depths;
use super::identity::Files;
use super::job::Job;
use super::readers::Readers;
use crate::base::sync::Mutex;
use crate::store::LetterId;
use crate::store::clock::StoreClock;

/// The state that the handles share with the writer.
#[derive(Debug)]
pub(super) struct Shared {
    /// The path with which the file was first opened.
    pub(super) path: Arc<Path>,
    pub(super) readers: Readers,
    pub(super) depths: Depths,
    /// `None` while the file cannot be opened.
    pub(super) files: Mutex<Option<Arc<Files>>>,
    /// The clock of the open file, or of the last one while none can be opened.
    pub(super) clock: StoreClock,
}

impl Shared {
    /// Whether the open files are those at the path.
    pub(super) fn is_current(&self) -> bool {
        let files = self.files.lock().clone();
        files.is_some_and(|files| files.check().1.is_ok())
    }
}

/// The state that all handles share. The writer ends when the last handle is dropped.
pub(super) struct OpenFile {
    pub(super) shared: Arc<Shared>,
    pub(super) jobs: mpsc::Sender<Box<dyn Job>>,
    /// Letters that the drainer is moving to another store.
    moving: Mutex<BTreeSet<LetterId>>,
}

impl OpenFile {
    pub(super) fn new(shared: Arc<Shared>, jobs: mpsc::Sender<Box<dyn Job>>) -> Self {
        Self { shared, jobs, moving: Mutex::default() }
    }

    pub(super) fn is_moving(&self, id: LetterId) -> bool {
        self.moving.lock().contains(&id)
    }
}

/// Marks letters as being moved from this file to another store. Until it is dropped, the letters cannot be put into
/// this file. Otherwise, if the other store leads back to this file, the letters would be removed after the move, and
/// lost.
#[derive(Debug)]
pub(crate) struct MoveGuard {
    file: Arc<OpenFile>,
    ids: Vec<LetterId>,
}

impl MoveGuard {
    pub(super) fn new(file: Arc<OpenFile>, ids: Vec<LetterId>) -> Self {
        file.moving.lock().extend(&ids);
        Self { file, ids }
    }
}

impl Drop for MoveGuard {
    fn drop(&mut self) {
        let mut moving = self.file.moving.lock();
        for id in &self.ids {
            moving.remove(id);
        }
    }
}

impl std::fmt::Debug for OpenFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenFile").field("path", &self.shared.path).finish_non_exhaustive()
    }
}
